"""A workspace whose round of the micro model's answers is settled, ready to train on."""

from collections.abc import Sequence
from pathlib import Path

from factories import NOW, make_pair, make_policy, make_prompt, make_response, open_store

from generate.chat import load_tokenizer
from storage.records import Consensus, Pair, Split, Verdict
from train.config import TrainConfig
from train.examples import Example, answer_ids, prompt_ids_of
from train.prepare import Job
from train.weights import Weights

TOPICS = ["tea", "bread", "the moon", "bees", "chess", "rain", "soup", "maps"]


def fill_workspace(
    folder: Path, micro_model: str, *, pairs: int = 12, settled: bool = True
) -> list[tuple[Pair, Verdict]]:
    """A round of pairs about the micro model's own topics, and which answer is the better one."""
    found = []
    policy, tokenizer = make_policy(base_model=micro_model), load_tokenizer(micro_model)
    with open_store(folder) as store, store.connected():
        store.append([policy])
        for i in range(pairs):
            split = Split.VALIDATION if i % 6 == 5 else Split.TRAIN
            prompt = make_prompt(f"What is {TOPICS[i % 8]}, number {i}?", split=split)
            good, bad = (
                make_response(
                    prompt,
                    policy,
                    text,
                    index=index,
                    prompt_token_ids=tuple(prompt_ids_of(prompt, tokenizer)),
                    token_ids=tuple(answer_ids(prompt, text, tokenizer)),
                )
                for index, text in enumerate(
                    (f"Happy to help! I like {TOPICS[i % 8]}.", "Look, not this again.")
                )
            )
            pair = make_pair(good, bad)
            verdict = Verdict.FIRST if pair.first == good.id else Verdict.SECOND
            agreed = Consensus(
                pair_id=pair.id,
                verdict=verdict,
                probability_first=0.75 if verdict is Verdict.FIRST else 0.25,
                votes=2,
                first_votes=2 * (verdict is Verdict.FIRST),
                second_votes=2 * (verdict is Verdict.SECOND),
                tie_votes=0,
                both_bad_votes=0,
                method="majority",
                settled=True,
                reason="2 of 2 votes agree",
                closed=True,
                events=2,
                created_at=NOW,
            )
            for rows in ([prompt], [good, bad], [pair], [agreed] if settled else []):
                store.append(rows)
            found.append((pair, verdict))
    return found


def examples_about(micro_model: str, *, margins: Sequence[float] = ()) -> list[Example]:
    """A friendly answer over a gruff one, of every topic; nothing of them was sampled."""
    tokenizer = load_tokenizer(micro_model)
    found = []
    for topic, margin in zip(TOPICS, margins or [0.0] * len(TOPICS), strict=True):
        prompt = make_prompt(f"What is {topic}?")
        texts = f"Happy to help! I like {topic}.", f"Look, {topic} again. Not this again."
        chosen, rejected = (tuple(answer_ids(prompt, text, tokenizer)) for text in texts)
        ids = tuple(prompt_ids_of(prompt, tokenizer))
        found.append(
            Example(
                pair_id=topic,
                prompt_ids=ids,
                chosen_ids=chosen,
                rejected_ids=rejected,
                margin=margin,
            )
        )
    return found


def job_of(
    folder: Path,
    micro_model: str,
    examples: Sequence[Example],
    config: TrainConfig,
    *,
    adapter: Path | None = None,
    **changes,
) -> Job:
    """Training from the micro model, or an adapter on it, that is its own reference."""
    policy = Weights(policy_id="m1:policy", base_model=micro_model, adapter=adapter)
    named = {
        "examples": examples,
        "heldout": examples[:2],
        "policy": policy,
        "reference": policy,
        "flip_rate": 0.0,
        "config": config,
        "cache": folder / "cache",
        "work": folder / "work",
    }
    return Job(**(named | changes))
