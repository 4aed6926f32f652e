"""What is known of the cases: own views, decisions, notes, and who is at which one.

Where other labeling servers write to the same store, it is looked at whenever somebody is about to act
on a case, and who is at which case follows from rows: of two who reach for one, each at a server of
their own, the one whose row came first has it, on every server. A file's one server keeps that in memory.
"""

import time
from collections import defaultdict

from annotate.adjudication import Leases
from storage import adjudications as adjudicating
from storage import news
from storage.adjudication_records import Adjudication, CaseVisit, DiscussionNote, OwnView
from storage.store import Store, utc_now

_TOLD = ("own_view_rows", "adjudication_rows", "discussion_note_rows")
_VISITS = "case_visit_rows"


class Docket:
    """One per bench, which holds its lock around every call."""

    def __init__(self, store: Store, *, lease_seconds: float) -> None:
        self._store = store
        self._leases = Leases(lease_seconds)
        self._visit = -1  # the last row taken in
        self._sizes = store.sizes() if store.shared else {}
        self._read()
        self._follow()

    def _read(self) -> None:
        self.views: dict[tuple[str, str], OwnView] = adjudicating.own_views(self._store)
        self.decisions: defaultdict[str, list[Adjudication]] = defaultdict(list)
        for decision in adjudicating.events(self._store):
            self.decisions[decision.pair_id].append(decision)
        self.notes: defaultdict[str, list[DiscussionNote]] = defaultdict(list)
        for note in adjudicating.all_discussion(self._store):
            self.notes[note.pair_id].append(note)

    def look(self) -> None:
        """Take in what came to other servers."""
        if not self._store.shared:
            return
        sizes = self._store.sizes()
        if any(sizes[table] != self._sizes[table] for table in _TOLD):
            self._read()
        if sizes[_VISITS] != self._sizes[_VISITS]:
            self._follow()
        self._sizes = sizes

    def take(self, pair_id: str, who: str) -> bool:
        """Be at a case from now on, and let the one before go; False while somebody else is at it."""
        if not self._store.shared:
            return self._leases.take(pair_id, who, now=time.monotonic())
        self.look()
        if self.holder(pair_id) in ("", who):
            self._tell(pair_id, who, ended=False)
            self.look()
        return self.holder(pair_id) == who

    def release(self, who: str) -> None:
        """Let others have the case that somebody was at."""
        self.look()
        held = self._leases.held_by(who, now=time.monotonic())
        self._leases.release(who)
        if held and self._store.shared:
            self._tell(held, who, ended=True)

    def holder(self, pair_id: str) -> str:
        """Who is at the case; "" for nobody."""
        return self._leases.holder(pair_id, now=time.monotonic())

    def _tell(self, pair_id: str, who: str, *, ended: bool) -> None:
        visit = CaseVisit(pair_id=pair_id, adjudicator=who, ended=ended, created_at=utc_now())
        self._store.append([visit])

    def _follow(self) -> None:
        """Come and leave as the rows say, in their order: so all servers agree on who was first."""
        for row, visit in news.case_visits_after(self._store, self._visit):
            self._visit = max(row, self._visit)
            age = (utc_now() - visit.created_at).total_seconds()
            if visit.ended:
                self._leases.leave(visit.pair_id, visit.adjudicator)
            else:
                begun = time.monotonic() - max(0.0, age)
                self._leases.take(visit.pair_id, visit.adjudicator, now=begun)
