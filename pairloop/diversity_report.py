"""`pairloop generate --diversity`: what the stored answers say about the temperatures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from annotate.report_words import number
from generate.diversity import Diversity, diversity
from generate.pair_stage import by_prompt, filters_of
from pairloop.diversity_plot import check_plot, plot
from pairloop.report import table
from storage.errors import NotReadyError
from storage.policies import find_policy
from storage.prompts import prompts
from storage.records import Split
from storage.responses import responses_of
from storage.words import many

if TYPE_CHECKING:
    from pairloop.workspace import Workspace


def report_diversity(space: "Workspace", *, plot_file: Path | None, as_json: bool) -> None:
    """Print the newest policy's report, and draw it where a file is named."""
    if plot_file is not None:
        check_plot(plot_file)
    with space.store() as store:
        policy = find_policy(store, "latest")
        testing = {p.id for p in prompts(store) if p.split is Split.TEST}
        answers = [r for r in responses_of(store, policy.id) if r.prompt_id not in testing]
    if not answers:
        raise NotReadyError(
            f"Round {policy.round} has no answers yet. Sample some with `pairloop generate`."
        )
    found = diversity(by_prompt(answers), filters_of(space.generate), seed=space.generate.seed)
    if plot_file is not None:
        plot(found, plot_file, title=f"Round {policy.round}: {many(len(answers), 'answer')}")
    if as_json:
        print(json.dumps({"round": policy.round} | asdict(found)))
        return
    _tables(found, policy.round)
    drawn = f" Drawn in {plot_file}." if plot_file is not None else ""
    print(
        f"{many(len(answers), 'answer')} to {many(found.prompts, 'prompt')}; answers to {found.compared} of them "
        f"were compared.{drawn} Next: set generate.temperatures, then pairloop generate"
    )


def _tables(found: Diversity, number_of_round: int) -> None:
    reasons = sorted({reason for row in found.rows for reason in row.drops})
    finish = sorted({reason for row in found.rows for reason in row.finish_reasons})
    columns = ["temperature", "answers", "mean words", "sd"]
    columns += ["distinct-1", "-2", "-3", "self-BLEU", "usable pairs", *finish]
    columns += [reason.replace("_", " ") for reason in reasons]
    rows: list[list[object]] = [
        [
            row.temperature,
            row.answers,
            round(row.mean_words, 1),
            round(row.sd_words, 1),
            *(number(share) for share in row.distinct),
            number(row.self_bleu),
            number(row.usable_pairs, percent=True),
            *(row.finish_reasons.get(reason, 0) for reason in finish),
            *(row.drops.get(reason, 0) for reason in reasons),
        ]
        for row in found.rows
    ]
    table(f"Answers of round {number_of_round} by temperature", columns, rows)
    if found.between:
        table(
            "Pairs of answers to one prompt",
            ["temperatures", "pairs", "usable", "distance in words"],
            [
                [
                    " and ".join(f"{t:g}" for t in b.temperatures),
                    b.pairs,
                    number(b.usable, percent=True),
                    number(b.distance),
                ]
                for b in found.between
            ],
        )
