"""Agreement figures that published preference work reports, to hold one's own against.

Figures compare only where the same thing was counted: MT-bench's experts agree in 63 % of votes with
ties and in 81 % without, the same people on the same pairs.
"""

from dataclasses import dataclass
from enum import StrEnum


class Counted(StrEnum):
    """What a share of agreement counts."""

    WITH_TIES = "with ties"  # a tie agrees with a tie alone
    WITHOUT_TIES = "without ties"  # forced choice, or votes for an answer alone
    NOT_SAID = "not said"


class Who(StrEnum):
    """Whose votes are compared."""

    LABELERS = "labelers"
    RESEARCHERS = "researchers"
    LABELER_RESEARCHER = "labelers with researchers"
    MODEL_HUMAN = "a model with people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One published share of agreement; error is the reported uncertainty, None if there is none.

    task: what was compared, with what makes it easier or harder.
    """

    effort: str
    value: float
    error: float | None
    counted: Counted
    who: Who
    task: str
    source: str


def _band(
    effort: str,
    value: float,
    counted: Counted,
    who: Who,
    task: str,
    source: str,
    error: float | None = None,
) -> Band:
    return Band(
        effort=effort, value=value, error=error, counted=counted, who=who, task=task, source=source
    )


SUMMARIZE = "arXiv 2009.01325, appendix C.2"
MTBENCH = "arXiv 2306.05685, table 5"
BANDS = (
    _band(
        "InstructGPT", 0.726, Counted.NOT_SAID, Who.LABELERS,
        "instruction answers, training labelers", "arXiv 2203.02155, section 3.4", 0.015,
    ),
    _band(
        "InstructGPT", 0.773, Counted.NOT_SAID, Who.LABELERS,
        "instruction answers, held-out labelers", "arXiv 2203.02155, section 3.4", 0.013,
    ),
    _band(
        "Learning to summarize", 0.72, Counted.WITHOUT_TIES, Who.LABELERS,
        "summaries of the supervised 1.3B model", SUMMARIZE,
    ),
    _band(
        "Learning to summarize", 0.73, Counted.WITHOUT_TIES, Who.RESEARCHERS,
        "summaries of the supervised 1.3B model", SUMMARIZE, 0.04,
    ),
    _band(
        "Learning to summarize", 0.77, Counted.WITHOUT_TIES, Who.LABELER_RESEARCHER,
        "summaries of the supervised 1.3B model", SUMMARIZE, 0.02,
    ),
    _band(
        "HH-RLHF", 0.63, Counted.WITHOUT_TIES, Who.LABELER_RESEARCHER,
        "open-ended dialogue, crowd workers", "arXiv 2204.05862",
    ),
    _band(
        "WebGPT", 0.73, Counted.NOT_SAID, Who.LABELERS,
        "long answers with sources", "arXiv 2112.09332, repository note",
    ),
    _band(
        "MT-bench", 0.63, Counted.WITH_TIES, Who.LABELERS,
        "experts, first turn; chance is a third", MTBENCH,
    ),
    _band(
        "MT-bench", 0.67, Counted.WITH_TIES, Who.LABELERS,
        "experts, second turn; chance is a third", MTBENCH,
    ),
    _band("MT-bench", 0.81, Counted.WITHOUT_TIES, Who.LABELERS, "experts, first turn", MTBENCH),
    _band("MT-bench", 0.82, Counted.WITHOUT_TIES, Who.LABELERS, "experts, second turn", MTBENCH),
    _band(
        "MT-bench", 0.66, Counted.WITH_TIES, Who.MODEL_HUMAN, "GPT-4 and experts, first turn", MTBENCH
    ),
    _band(
        "MT-bench", 0.85, Counted.WITHOUT_TIES, Who.MODEL_HUMAN,
        "GPT-4 and experts, first turn", MTBENCH,
    ),
    _band(
        "Chatbot Arena", 0.87, Counted.WITHOUT_TIES, Who.MODEL_HUMAN,
        "GPT-4 and the crowd", "arXiv 2306.05685, table 6",
    ),
    _band(
        "AlpacaFarm", 0.66, Counted.WITHOUT_TIES, Who.LABELERS,
        "instruction answers, crowd workers", "arXiv 2305.14387",
    ),
    _band(
        "AlpacaEval", 0.657, Counted.WITHOUT_TIES, Who.LABELERS,
        "each of four against the others' majority", "alpaca_eval evaluators_leaderboard.csv",
    ),
    _band(
        "LLMFAO", 0.532, Counted.WITH_TIES, Who.LABELERS,
        "crowd workers, five votes a pair; alpha .291", "dustalov/llmfao, recomputed",
    ),
)  # fmt: skip


def comparable(counted: Counted, who: Who = Who.LABELERS) -> list[Band]:
    """Published figures that count the same, lowest first; those that do not say are left out."""
    return sorted(
        (b for b in BANDS if b.counted is counted and b.who is who), key=lambda b: b.value
    )


def for_statistic(name: str, who: Who = Who.LABELERS) -> list[Band]:
    """Published figures to show beside a statistic by its name in the report; [] where none compare.

    Chance-corrected coefficients get none: published ones are over other categories and shares.
    """
    match name:
        case "observed_agreement":
            return comparable(Counted.WITH_TIES, who)
        case "observed_agreement_without_ties":
            return comparable(Counted.WITHOUT_TIES, who)
        case _:
            return []
