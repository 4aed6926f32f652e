"""The adjudicators' bench: cases, own views, and only then the votes and the decision.

Blind by construction: `open` gives the prompt and the two answers, nothing else. Everything that
holds a vote goes through `_seen`, which refuses whoever has not stored their own view first.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from annotate import adjudication as pure
from annotate import gold
from annotate.adjudication import Case
from annotate.cards import Card, CardMaker, Choice, to_verdict
from annotate.desk import Desk
from annotate.docket import Docket
from annotate.example import publish_example
from annotate.queue import is_regular
from annotate.sides import case_side
from storage import adjudications as adjudicating
from storage import judgments as judging
from storage import team
from storage.adjudication_records import Adjudication, Cause, DiscussionNote, OwnView
from storage.errors import ConflictError, InputError
from storage.pairs import consensus_of_pair
from storage.queue_pages import Said, pair_by_id, pair_story
from storage.records import Consensus, Pair, Presentation, Purpose, Side, Strength, Verdict
from storage.store import Store, utc_now
from storage.team_records import Gold, GoldUse, Guideline

ADJUDICATED = "adjudicated"  # the source of gold made of a decision
KEPT_SECONDS = 2.0  # how long the list of cases is shown without a look at the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A case before the votes: what everybody may see of it. held_by: another adjudicator, or ""."""

    pair_id: str
    card: Card
    labeled: bool  # by the adjudicator who asks
    held_by: str
    view: OwnView | None
    notes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """A case with everything that was said about it, in stored order; first_side is the reader's.

    votes: those that count, people first; views: of all adjudicators; decisions: oldest first.
    """

    pair: Pair
    first_side: Side
    view: OwnView
    votes: Sequence[Said]
    views: Sequence[OwnView]
    notes: Sequence[DiscussionNote]
    decisions: Sequence[Adjudication]
    consensus: Consensus | None
    gold: Gold | None

    @property
    def standing(self) -> Adjudication | None:
        """The decision that counts."""
        last = self.decisions[-1] if self.decisions else None
        return None if last is None or last.withdrawn else last


class Bench:
    """Thread-safe; one per labeling server."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk
        self._maker = CardMaker(store)
        self._lock = threading.RLock()  # held while something is stored: adjudications are few
        self._docket = Docket(store, lease_seconds=desk.config.lease_seconds)
        self._cases: list[Case] = []
        self._looked = -KEPT_SECONDS

    # ---- blind ----------------------------------------------------------------------------------

    def cases(self, who: str) -> list[Case]:
        """All cases in the order for this adjudicator; what they labeled themselves comes last."""
        labeled = self.labeled(who)
        with self._lock:
            if time.monotonic() - self._looked > KEPT_SECONDS:
                self._docket.look()
                known = self._docket.decisions
                decided = {p: d[-1] for p, d in known.items() if d and not d[-1].withdrawn}
                self._cases = pure.cases_of(adjudicating.vote_counts(self._store), decided)
                self._looked = time.monotonic()
            return pure.for_person(self._cases, labeled=labeled)

    def labeled(self, who: str) -> set[str]:
        """The pairs this adjudicator judged as a labeler."""
        return self._desk.judged_by(who)

    def pair(self, pair_id: str) -> Pair:
        """The pair of a case; raises InputError where there is none."""
        pair = pair_by_id(self._store, pair_id)
        if pair is None or not is_regular(pair):
            raise InputError(f"There is no case {pair_id!r}.")
        return pair

    def holder(self, pair_id: str, who: str) -> str:
        """The other adjudicator who is at a case; "" for nobody."""
        with self._lock:
            holder = self._docket.holder(pair_id)
        return "" if holder == who else holder

    def open(self, who: str, pair_id: str) -> Opened:
        """Take a case, if nobody else has it, and show its answers.

        Raises InputError where there is no such case.
        """
        pair = self.pair(pair_id)
        with self._lock:
            self._docket.take(pair_id, who)
        card = self._maker.cards([pair], [self._shown(pair, who)])[0]
        with self._lock:
            return Opened(
                pair_id=pair_id,
                card=card,
                labeled=pair_id in self._desk.judged_by(who),
                held_by=self.holder(pair_id, who),
                view=self._docket.views.get((pair_id, who)),
                notes=len(self._docket.notes[pair_id]),
            )

    def release(self, who: str) -> None:
        """Let others have the case that somebody was at."""
        with self._lock:
            self._docket.release(who)

    def give_view(
        self,
        who: str,
        pair_id: str,
        *,
        key: str,
        choice: Choice,
        strength: Strength | None,
        note: str,
        seconds: float,
    ) -> Revealed:
        """Store an adjudicator's own view, and show the votes; the same key again changes nothing.

        Raises ConflictError for a second view, and while another adjudicator has the case.
        """
        pair = self.pair(pair_id)
        with self._lock:
            self._docket.look()
            known = self._docket.views.get((pair_id, who))
            if known is None:
                self._claim(pair_id, who)
                first_side = self._shown(pair, who).first_side
                view = OwnView(
                    id=key,
                    pair_id=pair_id,
                    adjudicator=who,
                    verdict=to_verdict(choice, first_side),
                    strength=strength,
                    note=note,
                    first_side=first_side,
                    seconds=seconds,
                    created_at=utc_now(),
                )
                self._store.append([view])
                self._docket.views[pair_id, who] = view
                self._desk.show_votes(who, pair_id)
            elif known.id != key:
                raise ConflictError(
                    "You have given your own view of this case already. It stays as it is, since "
                    "you have seen the votes; the decision is yours to make or change."
                )
        return self.reveal(who, pair_id)

    def add_note(self, who: str, pair_id: str, *, key: str, text: str) -> int:
        """Write a note beside a case; how many it has. The same key again changes nothing."""
        pair = self.pair(pair_id)
        note = DiscussionNote(id=key, pair_id=pair.id, author=who, text=text, created_at=utc_now())
        with self._lock:
            self._docket.look()
            notes = self._docket.notes
            same = next((n for told in notes.values() for n in told if n.id == key), None)
            if same is None:
                self._store.append([note])
                notes[pair.id].append(note)
            elif replace(same, created_at=note.created_at) != note:
                raise ConflictError("This note came with the key of another one. Send it again.")
            return len(notes[pair.id])

    # ---- after the own view ---------------------------------------------------------------------

    def reveal(self, who: str, pair_id: str) -> Revealed:
        """The votes, other views, notes and decisions. Raises ConflictError before the own view."""
        pair = self.pair(pair_id)
        view = self._seen(pair_id, who)  # and what came to other servers
        twin = Pair.id_of(first=pair.first, second=pair.second, purpose=Purpose.GOLD)
        with self._lock:
            known = self._docket
            views = [v for (p, _), v in known.views.items() if p == pair_id]
            notes, decisions = list(known.notes[pair_id]), list(known.decisions[pair_id])
        with self._store.connected():
            gold_pair = team.gold_by_pair(self._store).get(twin)
            return Revealed(
                pair=pair,
                first_side=view.first_side,
                view=view,
                votes=counting(pair_story(self._store, pair_id)),
                views=sorted(views, key=lambda v: v.created_at),
                notes=notes,
                decisions=decisions,
                consensus=consensus_of_pair(self._store, pair_id),
                gold=gold_pair if gold_pair is not None and gold_pair.active else None,
            )

    def decide(
        self,
        who: str,
        pair_id: str,
        *,
        key: str,
        choice: Choice | None,
        cause: Cause,
        note: str,
    ) -> Revealed:
        """Decide a case, or change the decision; None: it cannot be decided.

        The same key again changes nothing. Raises ConflictError before the own view.
        """
        view = self._seen(pair_id, who)
        verdict = None if choice is None else to_verdict(choice, view.first_side)
        with self._lock:
            if not self._known(key, pair_id, who):
                self._claim(pair_id, who)
                self._store_decision(
                    Adjudication(
                        id=key,
                        pair_id=pair_id,
                        revision=len(self._docket.decisions[pair_id]),
                        adjudicator=who,
                        verdict=verdict,
                        cause=cause,
                        note=note,
                        withdrawn=False,
                        created_at=utc_now(),
                    )
                )
        return self.reveal(who, pair_id)

    def withdraw(self, who: str, pair_id: str, *, key: str) -> Revealed:
        """Take the decision back: the pair is up to its votes again.

        Raises ConflictError where there is none.
        """
        self._seen(pair_id, who)
        with self._lock:
            if not self._known(key, pair_id, who):
                self._claim(pair_id, who)
                self._store_decision(
                    replace(
                        self._standing(pair_id),
                        id=key,
                        revision=len(self._docket.decisions[pair_id]),
                        adjudicator=who,
                        withdrawn=True,
                        created_at=utc_now(),
                    )
                )
        return self.reveal(who, pair_id)

    def make_gold(self, who: str, pair_id: str, *, use: GoldUse) -> Gold:
        """Make a gold pair of a decided case; the same again makes no new one."""
        known = self.reveal(who, pair_id).gold
        with self._lock:
            standing = self._standing(pair_id)
            if standing.verdict is None:
                raise ConflictError(
                    "This case cannot be decided, so it has no answer to be gold. Decide it first."
                )
            wanted = (standing.verdict, use, standing.note)
            if known is not None and (known.verdict, known.use, known.explanation) == wanted:
                return known
            made = gold.make_gold(
                self._store,
                pair_id,
                verdict=standing.verdict,
                use=use,
                explanation=standing.note,
                author=who,
                source=ADJUDICATED,
            )
            self._desk.refresh()
            return made

    def make_example(self, who: str, pair_id: str) -> Guideline:
        """Put a decided case into the guidelines as an example; a changed one replaces itself."""
        self._seen(pair_id, who)
        with self._lock:
            made = publish_example(
                self._store, self.pair(pair_id), self._standing(pair_id), author=who
            )
            self._desk.refresh()
            return made

    # ---- inside ---------------------------------------------------------------------------------

    def _shown(self, pair: Pair, who: str) -> Presentation:
        """How this adjudicator sees the pair: as before, where they have seen it before."""
        view = self._docket.views.get((pair.id, who))
        side = case_side(who, pair.id, seed=self._desk.config.seed)
        if view is not None:
            side = view.first_side
        elif pair.id in self._desk.judged_by(who):
            known = judging.presentations_of(self._store, who)
            side = next((p.first_side for p in known if p.pair_id == pair.id), side)
        return Presentation(
            id=pair.id,
            pair_id=pair.id,
            labeler=who,
            first_side=side,
            guideline=self._desk.guideline,
            created_at=utc_now(),
        )

    def _seen(self, pair_id: str, who: str) -> OwnView:
        with self._lock:
            self._docket.look()
            view = self._docket.views.get((pair_id, who))
        if view is None:
            raise ConflictError("Give your own view of this case first; then you see the votes.")
        return view

    def _claim(self, pair_id: str, who: str) -> None:
        if not self._docket.take(pair_id, who):
            raise ConflictError(
                f"{self.holder(pair_id, who)} is at this case. Take another one, or wait until "
                "they are done."
            )

    def _standing(self, pair_id: str) -> Adjudication:
        decisions = self._docket.decisions[pair_id]
        if not decisions or decisions[-1].withdrawn:
            raise ConflictError("This case is not decided.")
        return decisions[-1]

    def _known(self, key: str, pair_id: str, who: str) -> bool:
        """Whether a decision with this key is stored; raises ConflictError for another's key."""
        for decisions in self._docket.decisions.values():
            for one in decisions:
                if one.id == key:
                    if (one.pair_id, one.adjudicator) != (pair_id, who):
                        raise ConflictError(
                            "This decision came with the key of another one. Reload the page."
                        )
                    return True
        return False

    def _store_decision(self, made: Adjudication) -> None:
        first = made.revision == 0 and not made.withdrawn
        action = "withdrawn" if made.withdrawn else "decided" if first else "changed"
        self._desk.adjudicate(made)
        self._docket.decisions[made.pair_id].append(made)
        self._looked = -KEPT_SECONDS
        team.note(
            self._store,
            actor=made.adjudicator,
            action=f"case {action}",
            subject=made.pair_id,
            detail=f"{made.verdict.value if made.verdict else 'undecidable'}, {made.cause.value}",
        )
        self._retire_gold(made)

    def _retire_gold(self, made: Adjudication) -> None:
        """Gold made of a decision that no longer stands would mark people wrong."""
        pair = self.pair(made.pair_id)
        twin = Pair.id_of(first=pair.first, second=pair.second, purpose=Purpose.GOLD)
        known = team.gold_by_pair(self._store).get(twin)
        verdict: Verdict | None = None if made.withdrawn else made.verdict
        if known and known.active and known.source == ADJUDICATED and known.verdict is not verdict:
            gold.retire_gold(self._store, twin, author=made.adjudicator)
            self._desk.refresh()


def counting(said: Sequence[Said]) -> list[Said]:
    """Of everything said about a pair what counts: the last word of each, people first."""
    last = {one.labeler: one for one in sorted(said, key=lambda one: one.revision)}
    present = [one for one in last.values() if not one.withdrawn]
    return sorted(present, key=lambda one: (one.kind.value, one.created_at, one.labeler))
