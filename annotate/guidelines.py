"""The guidelines people judge by, in versions: every judgment names the one its labeler had."""

from pathlib import Path

from annotate.accounts import changing
from annotate.config import AnnotateConfig
from storage import team
from storage.errors import InputError
from storage.records import content_id
from storage.store import Store, utc_now
from storage.team_records import Guideline
from storage.words import many

MAX_CHARS = 100_000


def current(store: Store) -> Guideline | None:
    """The version in force; None while there is none."""
    versions = team.guidelines(store)
    return versions[0] if versions else None


def publish(store: Store, text: str, *, author: str) -> Guideline:
    """Put a text in force; the text in force already makes no new version."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise InputError("The guidelines are empty, so they were not changed.")
    if len(text) > MAX_CHARS:
        raise InputError(f"The guidelines have {many(len(text), 'character')}; {MAX_CHARS} fit.")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise InputError("The guidelines hold half of a surrogate pair, which is no character.")
    with changing:
        versions = team.guidelines(store)
        if versions and versions[0].text == text:
            return versions[0]
        row = Guideline(
            id=content_id("g1", text),
            revision=versions[0].revision + 1 if versions else 0,
            text=text,
            author=author,
            created_at=utc_now(),
        )
        store.append([row])
    team.note(
        store,
        actor=author,
        action="guidelines changed",
        subject=row.id,
        detail=f"version {row.revision + 1}",
    )
    return row


def take_file(store: Store, workspace: Path, config: AnnotateConfig) -> Guideline | None:
    """Publish the guideline file's text if it was never in force; gives what is in force now.

    So a file edited between two starts counts, and one that the page has since replaced does not.
    """
    text = file_text(workspace, config).replace("\r\n", "\n").strip()
    if text and all(version.text != text for version in team.guidelines(store)):
        return publish(store, text, author=config.guidelines)
    return current(store)


def file_text(workspace: Path, config: AnnotateConfig) -> str:
    """The guideline file's text; "" if there is none inside the workspace."""
    file = (workspace / config.guidelines).resolve()
    if not file.is_relative_to(workspace.resolve()) or not file.is_file():
        return ""
    return file.read_text(encoding="utf-8", errors="replace")
