"""What a client of a labeling server does as an adjudicator; a part of pairloop.client."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import uuid4

from pairloop.calls import Calls, part

Choice = Literal["left", "right", "tie", "both_bad"]
Strength = Literal["slight", "clear", "strong"]
Show = Literal["open", "no_majority", "disagreement", "contested", "flagged", "done"]
CaseChoice = Literal["left", "right", "tie", "both_bad", "undecidable"]
Cause = Literal["underspecified_prompt", "style", "refusal", "error", "guideline_gap"]
GoldUse = Literal["hidden", "qualification", "sentinel"]


class CaseCalls(Calls):
    """Cases, own views, decisions: for adjudicators and admins."""

    def cases(self, *, show: Show = "open") -> Iterator[Mapping[str, Any]]:
        """Pairs people disagreed on, the most disputed first; no vote is in it."""
        return self.all_of("/api/adjudication/cases", show=show)

    def case(self, pair: str) -> Mapping[str, Any]:
        """Take a case: its prompt and answers. held_by: another adjudicator who is at it."""
        return self.call("GET", _case(pair))

    def give_view(
        self,
        pair: str,
        choice: Choice,
        *,
        strength: Strength | None = None,
        note: str = "",
        seconds: float = 0.0,
        key: str = "",
    ) -> Mapping[str, Any]:
        """One's own view of a case, once; gives what others said."""
        body = {"choice": choice, "strength": strength, "note": note, "seconds": seconds}
        return self.again(f"{_case(pair)}/view", {"key": key or uuid4().hex, **body})

    def case_votes(self, pair: str) -> Mapping[str, Any]:
        """Who said what, after one's own view."""
        return self.call("GET", f"{_case(pair)}/votes")

    def decide_case(
        self, pair: str, choice: CaseChoice, *, cause: Cause, note: str = "", key: str = ""
    ) -> Mapping[str, Any]:
        """Decide a case or change the decision; it goes before the votes."""
        body = {"key": key or uuid4().hex, "choice": choice, "cause": cause, "note": note}
        return self.again(f"{_case(pair)}/decision", body)

    def withdraw_decision(self, pair: str, *, key: str = "") -> Mapping[str, Any]:
        """Leave a case to its votes again."""
        return self.again(f"{_case(pair)}/undo", {"key": key or uuid4().hex})

    def discuss(self, pair: str, text: str, *, key: str = "") -> int:
        """Write a note beside a case; how many it has now."""
        body = {"key": key or uuid4().hex, "text": text}
        return int(self.again(f"{_case(pair)}/notes", body)["notes"])

    def make_case_gold(self, pair: str, *, use: GoldUse = "hidden") -> Mapping[str, Any]:
        """Make a gold pair of a decided case."""
        return self.call("POST", f"{_case(pair)}/gold", json={"use": use})

    def make_case_example(self, pair: str) -> Mapping[str, Any]:
        """Put a decided case into the guidelines as an example; their version and its number."""
        return self.call("POST", f"{_case(pair)}/example")


def _case(pair: str) -> str:
    return f"/api/adjudication/cases/{part(pair)}"
