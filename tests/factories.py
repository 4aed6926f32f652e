"""Builders of records and small stores for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from annotate.accounts import COMMAND_LINE, add_hashed, hash_password
from storage.adjudication_records import Adjudication, Cause
from storage.records import (
    FinishReason,
    Judgment,
    Labeler,
    Message,
    Pair,
    Policy,
    Prompt,
    Purpose,
    Response,
    Role,
    Sampling,
    Split,
    Strength,
    Verdict,
)
from storage.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5)
PASSWORD = "correct horse battery"


def make_prompt(text: str = "What is tea?", *, split: Split = Split.TRAIN, **changes) -> Prompt:
    messages = changes.pop("messages", (Message(role="user", content=text),))
    values = {"source": "test", "split": split, "tags": (), "created_at": NOW} | changes
    return Prompt(id=Prompt.id_of(messages), messages=messages, **values)


def make_policy(number: int = 0, *, parent: Policy | None = None, **changes) -> Policy:
    values = {
        "base_model": "test/model",
        "adapter": f"policies/round-{number}" if number else None,
        "adapter_hash": "0" * 64 if number else None,
        "parent": parent.id if parent else None,
        "method": "dpo" if number else "sft",
        "run_id": None,
        "created_at": NOW,
    } | changes
    policy_id = Policy.id_of(
        base_model=values["base_model"],
        adapter_hash=values["adapter_hash"],
        parent=values["parent"],
    )
    return Policy(id=policy_id, round=number, **values)


def make_response(
    prompt: Prompt,
    policy: Policy,
    text: str,
    *,
    temperature: float = 1.0,
    index: int = 0,
    **changes,
) -> Response:
    sampling = Sampling(temperature=temperature, top_p=1.0, max_tokens=64, seed=7, index=index)
    values = {
        "prompt_token_ids": (1, 2, 3),
        "token_ids": (4, 5, 6),
        "logprob_sum": -3.5,
        "finish_reason": FinishReason.STOP,
        "engine": "test",
        "template_hash": "t",
        "run_id": "run",
        "created_at": NOW,
    } | changes
    return Response(
        id=Response.id_of(prompt_id=prompt.id, policy_id=policy.id, sampling=sampling),
        prompt_id=prompt.id,
        policy_id=policy.id,
        text=text,
        temperature=temperature,
        top_p=1.0,
        max_tokens=64,
        seed=7,
        sample_index=index,
        **values,
    )


def make_pair(
    a: Response, b: Response, *, purpose: Purpose = Purpose.TRAIN, number: int = 0
) -> Pair:
    first, second = sorted([a.id, b.id])
    return Pair(
        id=Pair.id_of(first=first, second=second, purpose=purpose),
        prompt_id=a.prompt_id,
        first=first,
        second=second,
        purpose=purpose,
        strategy="random",
        round=number,
        created_at=NOW,
    )


def make_judgment(
    pair: Pair | str,
    labeler: str,
    verdict: Verdict,
    *,
    revision: int = 0,
    withdrawn: bool = False,
    strength: Strength | None = None,
    seconds: float = 5.0,
    presentation: str = "s1:none",
    minute: int = 0,
) -> Judgment:
    """A judgment made so many minutes after NOW."""
    pair_id = pair if isinstance(pair, str) else pair.id
    return Judgment(
        id=f"{pair_id}/{labeler}/{revision}",
        pair_id=pair_id,
        labeler=labeler,
        presentation_id=presentation,
        revision=revision,
        verdict=verdict,
        strength=strength,
        withdrawn=withdrawn,
        seconds=seconds,
        created_at=NOW + timedelta(minutes=minute),
    )


@dataclass
class Filled:
    """What fill_store put into a store."""

    policy: Policy
    prompts: list[Prompt]
    responses: list[Response]
    pairs: list[Pair]
    labelers: list[Labeler]


def make_adjudication(
    pair: Pair | str, verdict: Verdict | None = Verdict.FIRST, **changes
) -> Adjudication:
    values = {
        "id": "a",
        "pair_id": pair if isinstance(pair, str) else pair.id,
        "revision": 0,
        "adjudicator": "lead",
        "verdict": verdict,
        "cause": Cause.STYLE,
        "note": "",
        "withdrawn": False,
        "created_at": NOW,
    }
    return Adjudication(**values | changes)


def fill_store(
    store: Store,
    *,
    pairs: int = 12,
    labelers: Sequence[str] = ("ann", "bob"),
    admin: str | None = "lead",
    model: str = "test/model",
) -> Filled:
    """A round of `pairs` prompts with two answers each, and people with PASSWORD."""
    policy = make_policy(base_model=model)
    prompts = [make_prompt(f"Question {i}: what is {i} + {i}?") for i in range(pairs)]
    responses = []
    for i, prompt in enumerate(prompts):
        good = f"It is **{2 * i}**.\n\n```python\nprint({i} + {i})\n```"
        wordy = f"Well, adding {i} to {i} gives $${i} + {i} = {2 * i}$$ as everybody knows."
        responses.append(make_response(prompt, policy, good, temperature=0.7))
        responses.append(make_response(prompt, policy, wordy, temperature=1.3))
    formed = [make_pair(responses[2 * i], responses[2 * i + 1]) for i in range(pairs)]
    with store.connected():
        for rows in ([policy], prompts, responses, formed):
            store.append(rows)
        people = [add_person(store, name) for name in labelers]
        if admin is not None:
            people.append(add_person(store, admin, role=Role.ADMIN))
    return Filled(policy, prompts, responses, formed, people)


def add_person(store: Store, name: str, *, role: Role = Role.LABELER) -> Labeler:
    """An account with PASSWORD, which is hashed once for all of them: that takes its time."""
    return add_hashed(store, name, password_hash=_hashed(), role=role, author=COMMAND_LINE)


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)


def open_store(folder: Path, *, hold: bool = False) -> Store:
    """The folder's store; a new one is a copy of an empty one, instead of every migration again."""
    file = folder / "pairloop.duckdb"
    if not file.exists():
        file.write_bytes(_empty())
    return Store(file, hold=hold)


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder, Store(Path(folder) / "pairloop.duckdb") as store:
        store.query("prompts_all")
        return store.database.read_bytes()
