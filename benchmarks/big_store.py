"""A workspace as large as a long project's: made-up rows of real shape, appended in bulk.

    python -m benchmarks.big_store FOLDER                # 300,000 responses, 200,000 pairs, 1,000,000 judgments
    python -m benchmarks.big_store FOLDER --pairs 2000 --judgments 12000 --labelers 20

Three rounds answer the same prompts; test prompts compare the rounds. All pairs but a twentieth of
the newest round have five votes of people of known accuracy; among the rows are gold pairs that
everybody judged, skips, flags, edited answers, changed minds, withdrawals and adjudications.
"""

import argparse
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from annotate.consensus import settle
from generate.plan import plan
from pairloop.demo.workspace import MODEL_DIR
from pairloop.workspace import Workspace, init_workspace
from storage.adjudication_records import Adjudication
from storage.codec import TABLES, arrow_schema
from storage.judgments import labelers
from storage.records import (
    Judgment,
    Labeler,
    Message,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Purpose,
    Response,
    Split,
)
from storage.store import Store, utc_now
from storage.team_records import Gold

ROUNDS, SAMPLES, PER_PROMPT, VOTES = 3, 4, 3, 5
GOLD = 50
DAYS = 90
VERDICTS = np.array(["first", "second", "tie", "both_bad", "skip"], dtype=object)
STRENGTHS = np.array([None, "slight", "clear", "strong"], dtype=object)
TOPICS = ["code", "cooking", "history", "law", "mathematics", "medicine", "music", "travel"]
CONFIG = """\
[generate]
model = "{model}"
temperatures = [0.7, 1.0]
samples_per_temperature = 2
max_tokens = 512
pairs_per_prompt = 3

[annotate]
votes_per_pair = 5
evaluation_votes = 5

[train]
min_triplets = 20
"""
LINE = "An **answer** says what it has to say in a sentence or two of plain words, and no more.\n"


def big_workspace(
    root: Path, *, responses: int, pairs: int, judgments: int, people: int
) -> Workspace:
    """The workspace in this folder, filled where it is new."""
    model = str(MODEL_DIR)
    space, _ = init_workspace(root, model=model, config=CONFIG.format(model=model))
    with space.store() as store, store.connected():
        if not labelers(store):
            began = time.perf_counter()
            fill(store, space, responses=responses, pairs=pairs, judgments=judgments, people=people)
            settle(store, space.annotate)
            print(f"filled in {time.perf_counter() - began:.0f} s")
    return space


def fill(
    store: Store, space: Workspace, *, responses: int, pairs: int, judgments: int, people: int
) -> None:
    """Rows of every kind that grows with a project; consensus is left to `settle`."""
    rng = np.random.default_rng(0)
    policies = _policies(space)
    store.append(policies)
    prompts = _prompts(max(10, responses // (ROUNDS * SAMPLES)), space)
    store.append(prompts)
    answers = _responses(store, prompts, policies, space, rng)
    found = _pairs(prompts, answers, pairs)
    store.append(found)
    names = np.array([f"labeler-{i:03}" for i in range(people)], dtype=object)
    _put(
        store,
        Labeler,
        people,
        name=names,
        role=np.where(np.arange(people) % 20 == 19, "adjudicator", "labeler"),
        kind="human",
        password_hash="",
        active=True,
    )
    gold = [p for p in found if p.purpose is Purpose.GOLD]
    _put(
        store,
        Gold,
        len(gold),
        pair_id=[p.id for p in gold],
        use="hidden",
        verdict="first",
        explanation="",
        source="by hand",
        active=True,
        author="labeler-019",
    )
    _judge(store, found, names, judgments, rng)
    decided = [p.id for p in found[: len(found) // 2 : 50]]
    _put(
        store,
        Adjudication,
        len(decided),
        id=_ids("", len(decided), rng),
        pair_id=decided,
        adjudicator="labeler-019",
        verdict="first",
        cause="style",
        note="",
        withdrawn=False,
    )


def _put(store: Store, record: type, rows: int, /, **columns: object) -> None:
    """Append a table of a record's kind; what is not an array holds in every row."""
    now = np.datetime64(utc_now() - timedelta(days=DAYS), "us")
    columns = {"created_at": now} | columns
    empty = {"revision": 0, "criteria": "{}", "rationale": "", "edited_text": "", "guideline": ""}
    made = []
    for field in arrow_schema(record):
        value = columns.get(field.name, empty.get(field.name))
        if isinstance(value, pa.Array):
            made.append(value.cast(field.type))
        elif isinstance(value, np.ndarray | list):
            made.append(pa.array(value, type=field.type))
        elif value is None and pa.types.is_list(field.type) and field.name == "flags":
            made.append(pa.array([[]] * rows, type=field.type))
        else:
            made.append(pa.repeat(pa.scalar(value, type=field.type), rows))
    with store.connected() as connection:
        connection.append(TABLES[record], pa.Table.from_arrays(made, schema=arrow_schema(record)))


def _ids(tag: str, count: int, rng: np.random.Generator) -> np.ndarray:
    digits = rng.bytes(16 * count).hex()
    return np.array([tag + digits[i : i + 32] for i in range(0, 32 * count, 32)], dtype=object)


def _policies(space: Workspace) -> list[Policy]:
    found: list[Policy] = []
    for number in range(ROUNDS):
        parent = found[-1].id if found else None
        adapter = f"policies/round-{number}" if number else None
        digest = f"{number:064x}" if number else None
        base = space.generate.model
        found.append(
            Policy(
                id=Policy.id_of(base_model=base, adapter_hash=digest, parent=parent),
                round=number,
                base_model=base,
                adapter=adapter,
                adapter_hash=digest,
                parent=parent,
                method="dpo" if number else "sft",
                run_id=None,
                created_at=utc_now() - timedelta(days=DAYS - number),
            )
        )
    return found


def _prompts(count: int, space: Workspace) -> list[Prompt]:
    shares = (space.generate.validation_share, space.generate.test_share)
    found = []
    for i in range(count):
        where = (i % 100) / 100
        split = Split.TEST if where < shares[1] else Split.TRAIN
        split = Split.VALIDATION if shares[1] <= where < sum(shares) else split
        text = f"Question {i}: what should somebody know about {TOPICS[i % len(TOPICS)]}?"
        messages = (Message(role="user", content=text),)
        found.append(
            Prompt(
                id=Prompt.id_of(messages),
                messages=messages,
                source="benchmark",
                split=split,
                tags=(TOPICS[i % len(TOPICS)],),
                created_at=utc_now() - timedelta(days=DAYS),
            )
        )
    return found


def _responses(
    store: Store,
    prompts: Sequence[Prompt],
    policies: Sequence[Policy],
    space: Workspace,
    rng: np.random.Generator,
) -> list[list[list[str]]]:
    """Answers of some 200 to 1,500 characters with their tokens; ids by round and prompt."""
    ids = []
    for policy in policies:
        wanted = plan([p.id for p in prompts], [policy], space.generate)
        n = len(wanted)
        tokens = rng.integers(40, 240, n)
        offsets = np.concatenate([[0], np.cumsum(tokens)]).astype(np.int32)
        lines = rng.integers(2, 16, n).tolist()
        asked = np.arange(n + 1, dtype=np.int32) * 30
        _put(
            store,
            Response,
            n,
            id=[w.response_id for w in wanted],
            prompt_id=[w.prompt_id for w in wanted],
            policy_id=policy.id,
            text=[f"Answer {i % 9973}.\n" + LINE * k for i, k in enumerate(lines)],
            prompt_token_ids=_lists(rng.integers(0, 32_000, asked[-1], dtype=np.int32), asked),
            token_ids=_lists(rng.integers(0, 32_000, offsets[-1], dtype=np.int32), offsets),
            logprobs=_lists(-rng.random(offsets[-1], dtype=np.float32), offsets),
            logprob_sum=-tokens / 2,
            finish_reason="stop",
            temperature=[w.sampling.temperature for w in wanted],
            top_p=1.0,
            top_k=0,
            min_p=0.0,
            stop=pa.array([[]] * n, type=pa.list_(pa.string())),
            max_tokens=512,
            seed=[w.sampling.seed for w in wanted],
            sample_index=[w.sampling.index for w in wanted],
            engine="benchmark",
            template_hash="",
            run_id="",
        )
        of_round = [w.response_id for w in wanted]
        ids.append([of_round[i : i + SAMPLES] for i in range(0, n, SAMPLES)])
    return ids


def _lists(values: np.ndarray, offsets: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _pairs(prompts: Sequence[Prompt], answers: list[list[list[str]]], count: int) -> list[Pair]:
    """Pairs to label, round by round, and gold pairs, which are the first ones again."""
    found: list[Pair] = []
    meet = [(0, 1), (2, 3), (0, 2)][:PER_PROMPT]
    for number, of_round in enumerate(answers):
        for p, prompt in enumerate(prompts):
            if prompt.split is not Split.TEST:
                two = [(of_round[p][a], of_round[p][b], Purpose.TRAIN) for a, b in meet]
            elif number:
                two = [(answers[number - 1][p][0], of_round[p][0], Purpose.EVALUATION)]
            else:
                continue
            found += [_pair(prompt, number, *one) for one in two]
    if len(found) > count:
        found = [found[i] for i in np.linspace(0, len(found) - 1, count).astype(int)]
    first = [(prompts[p], 0, *answers[0][p][:2], Purpose.GOLD) for p in range(GOLD)]
    return found + [_pair(*one) for one in first if len(prompts) > GOLD]


def _pair(prompt: Prompt, number: int, one: str, other: str, purpose: Purpose) -> Pair:
    first, second = sorted([one, other])
    return Pair(
        id=Pair.id_of(first=first, second=second, purpose=purpose),
        prompt_id=prompt.id,
        first=first,
        second=second,
        purpose=purpose,
        strategy="gold" if purpose is Purpose.GOLD else "random",
        round=number,
        created_at=utc_now() - timedelta(days=DAYS - number),
    )


def _judge(
    store: Store,
    pairs: Sequence[Pair],
    names: np.ndarray,
    judgments: int,
    rng: np.random.Generator,
) -> None:
    """Five votes a pair and everybody's on the gold pairs; the rest are second thoughts."""
    regular = [i for i, p in enumerate(pairs) if p.purpose is not Purpose.GOLD]
    people, gold = len(names), np.arange(len(regular), len(pairs))
    done = regular[: len(regular) - len(regular) // 20]
    pair = np.repeat(done, VOTES)
    start = rng.integers(0, people, len(done))[:, None]
    who = ((start + np.arange(VOTES) * 7) % people).ravel()
    pair = np.concatenate([pair, np.repeat(gold, people)])[:judgments]
    who = np.concatenate([who, np.tile(np.arange(people), len(gold))])[:judgments]
    n = len(pair)
    at = np.sort(rng.random(n)) * DAYS * 86_400
    again = rng.choice(n, max(0, min(judgments - n, n)), replace=False)
    given = np.concatenate([np.arange(n), again])
    right = rng.random(len(given)) < rng.uniform(0.65, 0.95, people)[who[given]]
    truth = rng.integers(0, 2, len(pairs))
    truth[gold] = 0
    verdict = np.where(right, truth[pair[given]], 1 - truth[pair[given]])
    odd = rng.random(len(given))
    verdict[odd < 0.10] = 2
    verdict[odd < 0.03] = 3
    verdict[odd < 0.01] = 4
    degree = np.where(verdict < 2, rng.integers(0, 4, len(given)), 0)
    made_at = np.datetime64(utc_now() - timedelta(days=DAYS), "us") + (at[given] * 1e6).astype(
        "timedelta64[us]"
    )
    made_at[n:] += np.timedelta64(5, "m")
    pair_ids = np.array([p.id for p in pairs], dtype=object)
    shown = _ids("s1:", n, rng)
    _put(
        store,
        Presentation,
        n,
        id=shown,
        pair_id=pair_ids[pair],
        labeler=names[who],
        first_side=np.where(rng.random(n) < 0.5, "left", "right"),
        guideline="",
        created_at=made_at[:n],
    )
    marks = rng.random(len(given))
    flags = [[]] * len(given)
    for i in np.flatnonzero(marks < 0.01):
        flags[i] = ["unsafe"]
    _put(
        store,
        Judgment,
        len(given),
        id=_ids("", len(given), rng),
        pair_id=pair_ids[pair[given]],
        labeler=names[who[given]],
        presentation_id=shown[given],
        revision=np.concatenate([np.zeros(n, np.int64), np.ones(len(again), np.int64)]),
        verdict=VERDICTS[verdict],
        strength=STRENGTHS[degree],
        withdrawn=(np.arange(len(given)) >= n) & (marks > 0.9),
        rationale=np.where(marks > 0.95, "The other one is wrong about the second point.", ""),
        edited_text=np.where((marks < 0.005) & (verdict < 2), "A better answer.", ""),
        flags=pa.array(flags, type=pa.list_(pa.string())),
        seconds=rng.lognormal(3, 0.5, len(given)),
        created_at=made_at,
    )


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The sizes as options."""
    parser.add_argument("--responses", type=int, default=300_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--labelers", type=int, default=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    add_sizes(parser)
    options = parser.parse_args()
    big_workspace(
        options.folder,
        responses=options.responses,
        pairs=options.pairs,
        judgments=options.judgments,
        people=options.labelers,
    )


if __name__ == "__main__":
    main()
