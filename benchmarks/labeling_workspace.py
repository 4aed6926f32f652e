"""A workspace of made-up pairs for the labeling benchmarks: answers of real length and markup."""

import random
import secrets
from pathlib import Path

from annotate.accounts import start_session
from pairloop.workspace import Workspace, init_workspace
from storage.records import (
    FinishReason,
    Labeler,
    LabelerKind,
    Message,
    Pair,
    Policy,
    Prompt,
    Purpose,
    Response,
    Role,
    Sampling,
    Split,
)
from storage.store import Store, utc_now

WORDS = [
    "tea",
    "water",
    "leaf",
    "cup",
    "warm",
    "pour",
    "the",
    "a",
    "of",
    "into",
    "minutes",
    "because",
    "taste",
    "green",
    "black",
    "kettle",
    "boil",
    "wait",
    "gently",
    "then",
    "serve",
    "with",
    "honey",
    "or",
    "lemon",
    "some",
    "people",
    "prefer",
    "it",
    "strong",
    "while",
    "others",
    "do",
    "not",
]


def answer(chance: random.Random) -> str:
    """About 1,500 characters: prose, a list, code, a formula and a table."""

    def prose(n: int) -> str:
        return " ".join(chance.choice(WORDS) for _ in range(n)).capitalize() + "."

    items = "\n".join(f"{i}. **{chance.choice(WORDS)}** {prose(12)}" for i in range(1, 5))
    code = (
        f"```python\ndef brew(minutes: int = {chance.randint(1, 9)}) -> str:\n    return 'tea'\n```"
    )
    table = "| leaf | minutes |\n| --- | --- |\n| green | 2 |\n| black | 4 |"
    formula = rf"It costs $5, and $$t = \frac{{V \rho}}{{{chance.randint(2, 9)}}}$$"
    return "\n\n".join([prose(60), items, code, table, formula, prose(50)])


def make_workspace(root: Path, *, pairs: int, labelers: int, config: str) -> Workspace:
    """A workspace with pairs to label and labelers l0, l1, ... who can't sign in by password."""
    text = f'[generate]\nmodel = "none"\n\n[annotate]\n{config}\n'
    space, _ = init_workspace(root, model="none", config=text)
    chance, now = random.Random(0), utc_now()
    policy = Policy(
        id=Policy.id_of(base_model="none", adapter_hash=None, parent=None),
        round=0,
        base_model="none",
        adapter=None,
        adapter_hash=None,
        parent=None,
        method="sft",
        run_id=None,
        created_at=now,
    )
    prompts, responses, formed = [], [], []
    for i in range(pairs):
        messages = (Message(role="user", content=f"Question {i}: how do I make good tea?"),)
        prompt_id = Prompt.id_of(messages)
        prompts.append(
            Prompt(
                id=prompt_id,
                messages=messages,
                source="benchmark",
                split=Split.TRAIN,
                tags=(),
                created_at=now,
            )
        )
        two = [_response(prompt_id, policy.id, answer(chance), index=k) for k in range(2)]
        responses += two
        first, second = sorted(r.id for r in two)
        formed.append(
            Pair(
                id=Pair.id_of(first=first, second=second, purpose=Purpose.TRAIN),
                prompt_id=prompt_id,
                first=first,
                second=second,
                purpose=Purpose.TRAIN,
                strategy="random",
                round=0,
                created_at=now,
            )
        )
    people = [
        Labeler(
            name=f"l{i}",
            revision=0,
            role=Role.LABELER,
            kind=LabelerKind.HUMAN,
            password_hash="",
            active=True,
            created_at=now,
        )
        for i in range(labelers)
    ]
    with space.store() as store, store.connected():
        for rows in ([policy], prompts, responses, formed, people):
            store.append(rows)
    return space


def _response(prompt_id: str, policy_id: str, text: str, *, index: int) -> Response:
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=512, seed=index, index=index)
    return Response(
        id=Response.id_of(prompt_id=prompt_id, policy_id=policy_id, sampling=sampling),
        prompt_id=prompt_id,
        policy_id=policy_id,
        text=text,
        prompt_token_ids=None,
        token_ids=None,
        logprob_sum=None,
        finish_reason=FinishReason.STOP,
        temperature=1.0,
        top_p=1.0,
        max_tokens=512,
        seed=index,
        sample_index=index,
        engine="benchmark",
        template_hash="",
        run_id="",
        created_at=utc_now(),
    )


def sessions(store: Store, *, labelers: int) -> list[str]:
    """A signed-in cookie for every labeler."""
    return [start_session(store, f"l{i}", hours=1) for i in range(labelers)]


def fresh_key() -> str:
    return secrets.token_hex(16)
