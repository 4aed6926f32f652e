"""What training left in policies/round-N/: the verdict, the report, the labels it contradicts.

run.json          {"round": 1, "verdict": {"promote": true, "reason": "..."}, ...}
rewards.parquet   pair_id, chosen, rejected, split: implicit rewards under the new policy
report.html       one page that loads nothing
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from annotate.queue import is_regular
from storage import adjudications as adjudicating
from storage import team
from storage.adjudication_records import CaseRequest
from storage.errors import InputError
from storage.policies import policies
from storage.queue_pages import pair_by_id
from storage.store import Store, utc_now
from storage.summaries import evaluation_outcomes
from storage.win_rate import WinRate, win_rate
from storage.words import many

SHOWN = 20
MIN_COMPARED = 20  # prompts from which people's comparisons decide


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundVerdict:
    """promote: None where nothing seen so far can tell."""

    promote: bool | None
    reason: str

    @property
    def word(self) -> str:
        """As the report says it."""
        return {True: "Promote", False: "Do not promote", None: "Cannot tell yet"}[self.promote]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A pair whose label the policy contradicts.

    margin: the implicit reward of the answer people chose minus the other one's, below 0.
    """

    pair_id: str
    margin: float
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of pairs sent to the adjudicators; others: sent before, decided, or no case."""

    new: int
    known: int
    decided: int
    not_cases: int


def round_folder(workspace: Path, number: int) -> Path:
    """Where the policy of a round lies, whether it does or not."""
    return workspace / "policies" / f"round-{number}"


def round_verdict(workspace: Path, number: int) -> RoundVerdict | None:
    """From run.json; None where there is none, or it is of no use."""
    try:
        found = json.loads((round_folder(workspace, number) / "run.json").read_text("utf-8"))
        verdict = found["verdict"]
        return RoundVerdict(promote=verdict["promote"], reason=str(verdict["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def standing_verdict(workspace: Path, number: int, rate: WinRate) -> RoundVerdict | None:
    """What is known by now: people's blind comparisons with SFT where they tell, else the report.

    rate: of the round's policy against SFT.
    """
    if rate.prompts >= MIN_COMPARED and (rate.low > 0.5 or rate.high < 0.5):
        better = rate.low > 0.5
        reason = (
            f"people prefer {'it' if better else 'SFT'} in blind comparisons on "
            f"{many(rate.prompts, 'held-out prompt')}"
        )
        return RoundVerdict(promote=better, reason=reason)
    return round_verdict(workspace, number)


def verdict_now(store: Store, workspace: Path, number: int) -> RoundVerdict | None:
    """The standing verdict on a round's policy; None where there is none."""
    with store.connected():
        known = {policy.round: policy.id for policy in policies(store)}
        outcomes = evaluation_outcomes(store)
    if number < 1 or number not in known:
        return None
    rate = win_rate(outcomes, policy=known[number], against=known[0])
    return standing_verdict(workspace, number, rate)


def round_report(workspace: Path, number: int) -> str:
    """The report's HTML; raises InputError where there is none."""
    file = round_folder(workspace, number) / "report.html"
    # A link in the folder must not lead elsewhere: the page is shown to whoever may see the round.
    inside = file.resolve().is_relative_to((workspace / "policies").resolve())
    if number < 1 or not inside or not file.is_file():
        raise InputError(
            f"Round {number} has no report. `pairloop train` writes policies/round-N/report.html "
            "when a policy is trained."
        )
    return file.read_text(encoding="utf-8")


def doubts(workspace: Path, number: int, *, most: int = SHOWN) -> list[Doubt]:
    """The pairs whose label the policy contradicts most, the worst first; empty without a file."""
    try:
        table = pq.read_table(round_folder(workspace, number) / "rewards.parquet")
    except (FileNotFoundError, pa.ArrowInvalid):
        return []
    if not table.num_rows:
        return []
    table = table.append_column("margin", pc.subtract(table["chosen"], table["rejected"]))
    table = table.filter(pc.less(table["margin"], 0))
    table = table.sort_by([("margin", "ascending"), ("pair_id", "ascending")]).slice(0, most)
    return [
        Doubt(pair_id=row["pair_id"], margin=row["margin"], split=row["split"])
        for row in table.select(["pair_id", "margin", "split"]).to_pylist()
    ]


def send_to_adjudication(
    store: Store, pair_ids: Sequence[str], *, number: int, author: str
) -> Sent:
    """Make cases of pairs, once each; those decided already are left as they are."""
    with store.connected():
        decided, known = adjudicating.standing(store), adjudicating.case_requests(store)
        new, before, done, none = [], 0, 0, 0
        for pair_id in dict.fromkeys(pair_ids):
            pair = pair_by_id(store, pair_id)
            if pair is None or not is_regular(pair):
                none += 1
            elif pair_id in decided:
                done += 1
            elif pair_id in known:
                before += 1
            else:
                new.append(
                    CaseRequest(
                        pair_id=pair_id,
                        reason=f"round {number}",
                        author=author,
                        created_at=utc_now(),
                    )
                )
        store.append(new)
        if new:
            team.note(
                store,
                actor=author,
                action="pairs sent to adjudication",
                subject=f"round {number}",
                detail=many(len(new), "pair"),
            )
    return Sent(new=len(new), known=before, decided=done, not_cases=none)


def sent_words(sent: Sent) -> str:
    """One sentence on it."""
    others = [
        (sent.known, "sent before"),
        (sent.decided, "decided already"),
        (sent.not_cases, "no pair for adjudicators"),
    ]
    left = ", ".join(f"{n} {why}" for n, why in others if n)
    rest = f" Left out: {left}." if left else ""
    if not sent.new:
        return f"Nothing new to send.{rest}"
    word = "pair is a case" if sent.new == 1 else "pairs are cases"
    return f"{sent.new} {word} for the adjudicators now, under Doubted.{rest}"
