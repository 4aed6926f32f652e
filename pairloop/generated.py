"""What sampling came to, as `pairloop generate` says it."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from generate.plan import Plan
from generate.recording import Generated
from pairloop.report import counted, table
from storage.responses import TemperatureRow
from storage.words import many


def say_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what would be sampled and about how long that takes."""
    if as_json:
        print(json.dumps(asdict(plan) | {"policy": plan.policy.id, "round": plan.policy.round}))
        return
    print(
        f"Round {plan.policy.round}: {many(plan.prompts, 'prompt')}, {many(plan.wanted, 'answer')} wanted, "
        f"{plan.done} stored, {plan.missing} to sample."
    )
    if plan.missing:
        print(_cost(plan))
    print("Nothing was written. Next: pairloop generate")


def _cost(plan: Plan) -> str:
    if plan.expected_tokens is None:
        return (
            f"At most {many(plan.most_tokens, 'token')}; no answer was sampled yet to say how many."
        )
    text = f"About {many(plan.expected_tokens, 'token')} (at most {plan.most_tokens})"
    if plan.expected_seconds is None or plan.tokens_per_second is None:
        return f"{text}; no run measured this model's speed yet."
    return (
        f"{text}, {duration(plan.expected_seconds)} at the {plan.tokens_per_second:.0f} tokens/s "
        "of the last run."
    )


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def say_generated(result: Generated, rows: Sequence[TemperatureRow], *, as_json: bool) -> None:
    """Print the answers by temperature and what was left out."""
    if as_json:
        print(
            json.dumps(
                {
                    "round": result.policy.round,
                    "wanted": result.wanted,
                    "sampled": result.sampled,
                    "tokens": result.tokens,
                    "seconds": result.seconds,
                    "pairs": result.all_pairs,
                    "new_pairs": result.new_pairs,
                    "drops": dict(result.drops),
                    "finish_reasons": dict(result.finish_reasons),
                    "prompts_left_out": dict(result.left_out),
                    "temperatures": [asdict(row) for row in rows],
                }
            )
        )
        return
    table(
        "Answers",
        [
            "temperature",
            "answers",
            "tokens",
            "mean tokens",
            "ended",
            "cut off",
            "at a stop string",
            "duplicates",
        ],
        [
            [
                f"{row.temperature:g}",
                row.answers,
                "-" if row.tokens is None else row.tokens,
                "-" if row.mean_tokens is None else f"{row.mean_tokens:.1f}",
                row.stop,
                row.length,
                row.stop_string,
                row.duplicates,
            ]
            for row in rows
        ],
    )
    if result.left_out:
        print(f"Prompts left out: {counted(result.left_out)}.")
    print(f"Left out of pairs: {counted(result.drops)}.")
    print(
        f"Round {result.policy.round}: sampled {result.sampled} of {many(result.wanted, 'answer')} "
        f"({many(result.tokens, 'token')}, {result.tokens_per_second:.0f} tokens/s), "
        f"{many(result.new_pairs, 'new pair')} of {result.all_pairs}. Next: pairloop annotate"
    )
