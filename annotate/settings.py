"""The distribution settings in force: pairloop.toml's, and what a lead changed since on the page.

Changes are rows of the store, so that it is known who changed what and when, and so that every
command sees them: defaults < pairloop.toml < flags < the page.
"""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from annotate.config import AnnotateConfig, Distribution
from storage import team
from storage.errors import ConfigurationError
from storage.store import Store, utc_now
from storage.team_records import Setting


def in_force(store: Store, config: AnnotateConfig) -> AnnotateConfig:
    """The configuration with the stored changes; ones this version does not know are left out."""
    changes = {
        key: json.loads(row.value)
        for key, row in team.settings(store).items()
        if key in Distribution.model_fields and row.value != "null"
    }
    if not changes:
        return config
    return AnnotateConfig.model_validate(config.model_dump() | changes)


def change(
    store: Store, config: AnnotateConfig, changes: Mapping[str, object], *, author: str
) -> AnnotateConfig:
    """Store changed settings and give back what is in force now; None goes back to the file.

    Raises ConfigurationError for unknown keys and wrong values; then nothing is stored.
    """
    now_in_force = in_force(store, config).model_dump()
    wanted = {k: v if v is not None else getattr(config, k, None) for k, v in changes.items()}
    unknown = sorted(set(wanted) - set(Distribution.model_fields))
    if unknown:
        known = ", ".join(Distribution.model_fields)
        raise ConfigurationError(f"There is no setting {unknown[0]!r}. Known settings: {known}.")
    try:
        checked = AnnotateConfig.model_validate(now_in_force | wanted)
    except ValidationError as error:
        problems = "; ".join(f"{i['loc'][0]}: {i['msg']}" for i in error.errors())
        raise ConfigurationError(f"The settings were not changed: {problems}.") from error
    stored = team.settings(store)
    rows = [
        Setting(
            key=key,
            revision=stored[key].revision + 1 if key in stored else 0,
            value=json.dumps(None if changes[key] is None else getattr(checked, key)),
            author=author,
            created_at=utc_now(),
        )
        for key in changes
        if getattr(checked, key) != now_in_force[key] or changes[key] is None
    ]
    store.append(rows)
    for row in rows:
        team.note(store, actor=author, action="setting changed", subject=row.key, detail=row.value)
    return checked
