"""The distribution settings in force: pairloop.toml's, and what a lead changed since on the page.

Changes are rows of the store, so that it is known who changed what and when, and so that every
command sees them: defaults < pairloop.toml < flags < the page. A stored value is JSON: null goes
back to the file, "off" switches off what the file switches on.
"""

import json
import secrets
from collections.abc import Mapping

from pydantic import ValidationError

from annotate.config import AnnotateConfig, Distribution
from storage import team
from storage.errors import ConfigurationError
from storage.store import Store, utc_now
from storage.team_records import Setting

OFF = "off"
_SEED = "seed"  # the row's key; no Distribution setting has this name
CAN_BE_OFF = frozenset(
    key for key, field in Distribution.model_fields.items() if field.default is None
)
_IN_WORDS = {"null": "as in pairloop.toml", json.dumps(OFF): OFF}  # what the trail says


def in_force(store: Store, config: AnnotateConfig) -> AnnotateConfig:
    """The configuration with the stored changes; ones this version does not know are left out."""
    changes = {
        key: _plain(json.loads(row.value))
        for key, row in team.settings(store).items()
        if key in Distribution.model_fields and row.value != "null"
    }
    if not changes:
        return config
    return AnnotateConfig.model_validate(config.model_dump() | changes)


def with_own_seed(store: Store, config: AnnotateConfig) -> AnnotateConfig:
    """The configuration with a seed nobody knows, where pairloop.toml names none.

    With the seed anybody could work out which of their pairs are gold. It is drawn once and kept in
    the store, so that a restart goes on with the same draws.
    """
    if "seed" in config.model_fields_set:
        return config
    if _SEED not in team.settings(store):
        drawn = json.dumps(secrets.randbelow(2**63))
        store.append(
            [Setting(key=_SEED, revision=0, value=drawn, author="server", created_at=utc_now())]
        )
    return config.model_copy(update={"seed": json.loads(team.settings(store)[_SEED].value)})


def change(
    store: Store, config: AnnotateConfig, changes: Mapping[str, object], *, author: str
) -> AnnotateConfig:
    """Store changed settings and give back what is in force now.

    None goes back to the file; OFF switches off a setting that can be. Raises ConfigurationError
    for unknown keys and wrong values; then nothing is stored.
    """
    now_in_force = in_force(store, config).model_dump()
    if unknown := sorted(set(changes) - set(Distribution.model_fields)):
        known = ", ".join(Distribution.model_fields)
        raise ConfigurationError(f"There is no setting {unknown[0]!r}. Known settings: {known}.")
    for key in changes:
        if changes[key] == OFF and key not in CAN_BE_OFF:
            raise ConfigurationError(
                f"{key} can't be off; {' and '.join(sorted(CAN_BE_OFF))} can. Give it a value."
            )
    wanted = {
        key: getattr(config, key) if value is None else _plain(value)
        for key, value in changes.items()
    }
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
            value=json.dumps(_stored(changes[key], getattr(checked, key))),
            author=author,
            created_at=utc_now(),
        )
        for key in changes
        if getattr(checked, key) != now_in_force[key] or changes[key] is None
    ]
    store.append(rows)
    for row in rows:
        detail = _IN_WORDS.get(row.value, row.value)
        team.note(store, actor=author, action="setting changed", subject=row.key, detail=detail)
    return checked


def _plain(value: object) -> object:
    return None if value == OFF else value


def _stored(asked: object, checked: object) -> object:
    return asked if asked is None or asked == OFF else checked
