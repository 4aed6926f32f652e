"""Reading responses."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.records import Response
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureRow:
    """How the answers at one temperature turned out. Tokens are None where no engine told them."""

    temperature: float
    answers: int
    tokens: int | None
    mean_tokens: float | None
    duplicates: int
    stop: int
    length: int
    stop_string: int


def responses_of(store: Store, policy_id: str) -> list[Response]:
    """Every response of a policy, grouped by prompt."""
    return store.read(Response, "responses_of_policy", policy_id=policy_id)


def answers_to(store: Store, policy_id: str, prompt_ids: Sequence[str]) -> list[Response]:
    """What a policy answered to these prompts, as people may read it: without token ids and
    log-probabilities.
    """
    return store.read(
        Response, "answers_to_prompts", policy_id=policy_id, prompt_ids=list(prompt_ids)
    )


def response_ids_to(store: Store, policy_ids: Sequence[str], prompt_ids: Sequence[str]) -> set[str]:
    """Ids of what is already sampled from these policies of the answers to these prompts."""
    found = store.table(
        "response_ids_to_prompts", policy_ids=list(policy_ids), prompt_ids=list(prompt_ids)
    )
    return set(found["id"].to_pylist())


def responses_by_id(
    store: Store, ids: Sequence[str], *, tokens: bool = True
) -> dict[str, Response]:
    """The stored responses among these ids, without each token's log-probability.

    tokens: with the ids of the prompt's and the answer's tokens, where they are known.
    """
    found = store.read(Response, "responses_by_ids", ids=sorted(set(ids)), tokens=tokens)
    return {r.id: r for r in found}


def texts_by_id(store: Store, ids: Sequence[str]) -> dict[str, str]:
    """The texts alone of the stored responses among these ids."""
    rows = store.query("response_texts_by_ids", ids=sorted(set(ids)))
    return {str(r["id"]): str(r["text"]) for r in rows}


def answers_by_temperature(store: Store, ids: Iterable[Sequence[str]]) -> list[TemperatureRow]:
    """How the stored responses among these ids turned out, one row per temperature.

    ids: some at a time, as many as may take memory; all of a prompt's stand in one of these.
    """
    found: dict[object, Counter[str]] = defaultdict(Counter)
    for some in ids:
        for row in store.query("answers_by_temperature", ids=list(some)):
            found[row.pop("temperature")].update(row)
    rows = []
    for temperature, counts in found.items():
        told, tokens = counts.pop("told"), counts.pop("tokens")
        rows.append(
            TemperatureRow(
                temperature=float(str(temperature)),
                tokens=tokens if told else None,
                mean_tokens=tokens / told if told else None,
                **counts,
            )
        )
    return sorted(rows, key=lambda row: row.temperature)


def mean_tokens(store: Store, *, max_tokens: int) -> float | None:
    """Mean length of the answers sampled under this limit, None before the first."""
    (row,) = store.query("mean_answer_tokens", max_tokens=max_tokens)
    return None if row["tokens"] is None else float(str(row["tokens"]))


def sampling_speed(store: Store, *, model: str, engine: str) -> float | None:
    """Tokens per second of the last run with this model and engine setting, None before one."""
    for row in store.query("sampling_speeds"):
        config: Mapping[str, object] = json.loads(str(row["config"]))
        if (config["model"], config["engine"]) == (model, engine):
            return float(json.loads(str(row["metrics"]))["tokens_per_second"])
    return None
