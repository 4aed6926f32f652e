"""A small client of a labeling server: judge pairs, read the numbers, steer the work.

    from pairloop.client import Client

    with Client("http://127.0.0.1:7860", token) as client:
        while pairs := client.pairs():
            for pair in pairs:
                client.judge(pair, "left", strength="clear", seconds=4.0)

It acts as the labeler whose API token it has, with that labeler's role. Every call raises
ApiError with the server's own sentence, or UnreachableError where there is no answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from pairloop.answers import (
    Decision,
    Feedback,
    Judged,
    Me,
    Pair,
    Person,
    Progress,
    made,
    pair_of,
    person_of,
)
from pairloop.calls import ApiError, UnreachableError, part
from pairloop.case_calls import CaseCalls, CaseChoice, Cause, GoldUse, Show, Strength

__all__ = [
    "ApiError",
    "CaseChoice",
    "Cause",
    "Choice",
    "Client",
    "Decision",
    "Feedback",
    "GoldUse",
    "Judged",
    "Me",
    "Pair",
    "Person",
    "Progress",
    "Role",
    "Show",
    "Strength",
    "UnreachableError",
    "Verb",
]

Choice = Literal["left", "right", "tie", "both_bad", "skip"]
Verb = Literal["generate", "reward", "train", "evaluate", "check"]
Role = Literal["labeler", "adjudicator", "admin"]


class Client(CaseCalls):
    """One server, one token."""

    # ---- labeling ---------------------------------------------------------------------------

    def me(self) -> Me:
        """Whose token this is."""
        return made(Me, self.call("GET", "/api/me"))

    def pairs(self, *, count: int = 4) -> list[Pair]:
        """The next pairs to judge; none when nothing is left, or while paused."""
        found = self.call("GET", "/api/pairs", params={"count": count})
        return [pair_of(card) for card in found["pairs"]]

    def judge(
        self,
        pair: Pair | str,
        choice: Choice,
        *,
        strength: Strength | None = None,
        seconds: float = 0.0,
        rationale: str = "",
        flags: Sequence[str] = (),
        key: str = "",
        **more: Any,
    ) -> Judged:
        """Say which answer is better; judging a pair again changes the decision.

        pair: one of pairs(), or its presentation. more: criteria, acceptable, edited_text,
        skip_reason, guideline. Tried again where no answer comes, with the same key, so that a
        judgment is never stored twice.
        """
        body = {
            "key": key or uuid4().hex,
            "presentation": pair if isinstance(pair, str) else pair.presentation,
            "choice": choice,
            "strength": strength,
            "seconds": seconds,
            "rationale": rationale,
            "flags": list(flags),
            **more,
        }
        found = self.again("/api/judgments", body)
        told = found.get("feedback")
        return Judged(
            progress=made(Progress, found["progress"]),
            feedback=made(Feedback, told) if told else None,
        )

    def undo(self, *, key: str = "") -> Pair | None:
        """Take the last decision back; its pair, None if there is none."""
        found = self.again("/api/undo", {"key": key or uuid4().hex})
        return pair_of(found["pair"]) if found["pair"] else None

    def history(self, *, count: int | None = None) -> Iterator[Decision]:
        """Own decisions that count, newest first; count: at most so many."""
        cursor, told = "", 0
        while count is None or told < count:
            wanted = 100 if count is None else min(100, count - told)
            params: dict[str, Any] = {"count": wanted} | ({"before": cursor} if cursor else {})
            found = self.call("GET", "/api/history", params=params)
            for item in found["items"]:
                yield made(Decision, item)
                told += 1
            cursor = found["cursor"] or ""
            if not cursor:
                return

    def progress(self) -> Progress:
        """How far this labeler and the project are."""
        return made(Progress, self.call("GET", "/api/progress"))

    def guidelines(self) -> Mapping[str, Any]:
        """html, version and changed_at of the guidelines in force."""
        return self.call("GET", "/api/guidelines")

    # ---- the team: for admins ---------------------------------------------------------------

    def people(self) -> list[Person]:
        """Everybody with an account."""
        return [person_of(item) for item in self.all_of("/api/people")]

    def change_person(self, name: str, **changes: Any) -> Person:
        """Change paused, groups, daily_limit, total_limit (None: none) or qualified."""
        return person_of(self.call("PATCH", f"/api/people/{part(name)}", json=changes))

    def pause(self, name: str) -> Person:
        """Give somebody no more pairs."""
        return person_of(self.call("POST", f"/api/people/{part(name)}/pause"))

    def resume(self, name: str) -> Person:
        """Give somebody pairs again."""
        return person_of(self.call("POST", f"/api/people/{part(name)}/resume"))

    def disable(self, name: str) -> Person:
        """Lock an account at once."""
        return person_of(self.call("POST", f"/api/people/{part(name)}/disable"))

    def enable(self, name: str) -> Person:
        """Open a locked account again."""
        return person_of(self.call("POST", f"/api/people/{part(name)}/enable"))

    def change_role(self, name: str, role: Role) -> Person:
        """Give somebody another role; they sign in again."""
        path = f"/api/people/{part(name)}/role"
        return person_of(self.call("POST", path, json={"role": role}))

    def reset_password(self, name: str) -> str:
        """The link where somebody chooses a new password, once; it is told this once."""
        return self._address + str(self.call("POST", f"/api/people/{part(name)}/reset")["path"])

    def invite(
        self,
        name: str = "",
        *,
        role: Role = "labeler",
        groups: Sequence[str] = (),
        days: float = 7,
    ) -> str:
        """The link to send to somebody; it makes one account and is told this once."""
        body = {"name": name, "role": role, "groups": list(groups), "days": days}
        return self._address + str(self.call("POST", "/api/invitations", json=body)["path"])

    def invitations(self) -> list[Mapping[str, Any]]:
        """Every invitation and its state, newest first."""
        return list(self.all_of("/api/invitations"))

    def revoke_invitation(self, invitation: str) -> None:
        """Take an invitation back, by its id."""
        self.call("DELETE", f"/api/invitations/{part(invitation)}")

    def tokens(self) -> list[Mapping[str, Any]]:
        """One's own API tokens, newest first."""
        return list(self.all_of("/api/tokens"))

    def revoke_token(self, token: str) -> None:
        """End an API token, by its id."""
        self.call("DELETE", f"/api/tokens/{part(token)}")

    # ---- the work: for admins ---------------------------------------------------------------

    def settings(self) -> Mapping[str, Any]:
        """The values in force, those of the file, and who changed what."""
        return self.call("GET", "/api/settings")

    def change_settings(self, **changes: Any) -> Mapping[str, Any]:
        """Change distribution settings: all or none.

        None goes back to pairloop.toml; "off" ends stop_at or daily_limit, whatever the file says.
        """
        return self.call("PUT", "/api/settings", json=changes)

    def set_guidelines(self, text: str) -> str:
        """Put guidelines (Markdown) in force; their version."""
        return str(self.call("POST", "/api/guidelines", json={"text": text})["version"])

    def assign(
        self,
        *,
        people: Sequence[str] = (),
        tag: str = "",
        pair_ids: Sequence[str] = (),
        priority: int = 0,
    ) -> str:
        """Give pairs to people ("@group" for a group), or a priority, or both; its id."""
        body = {
            "people": list(people),
            "tag": tag,
            "pair_ids": list(pair_ids),
            "priority": priority,
        }
        return str(self.call("POST", "/api/assignments", json=body)["id"])

    def unassign(self, assignment: str) -> None:
        """End an assignment."""
        self.call("DELETE", f"/api/assignments/{part(assignment)}")

    def queue(self) -> Mapping[str, int]:
        """How many pairs are where; for adjudicators too."""
        return self.call("GET", "/api/queue")

    def activity(self) -> Iterator[Mapping[str, Any]]:
        """Who did what, newest first, page by page."""
        return self.all_of("/api/activity")

    def agreement(self) -> Mapping[str, Any]:
        """How much people agree."""
        return self.call("GET", "/api/agreement")

    def status(self) -> Mapping[str, Any]:
        """Where the loop stands, and what to do next."""
        return self.call("GET", "/api/status")

    def rounds(self) -> Mapping[str, Any]:
        """Runs with their events, and the one now running."""
        return self.call("GET", "/api/rounds")

    def start(self, verb: Verb) -> Mapping[str, Any]:
        """Start a run on the server's machine; check looks over what train would train on."""
        return self.call("POST", f"/api/rounds/{verb}")

    def stop(self) -> Mapping[str, Any]:
        """Stop what is running; training keeps a checkpoint."""
        return self.call("POST", "/api/rounds/stop")

    def checked(self) -> Mapping[str, Any]:
        """What the last check before training found."""
        return self.call("GET", "/api/rounds/check")

    def verdict(self, number: int) -> Mapping[str, Any]:
        """Whether a round's policy is worth going on with, and the labels it contradicts most."""
        return self.call("GET", f"/api/rounds/{number}/verdict")

    def adjudicate_doubted(self, number: int) -> Mapping[str, Any]:
        """Make cases of the labels that a round's policy contradicts most."""
        return self.call("POST", f"/api/rounds/{number}/adjudicate")
