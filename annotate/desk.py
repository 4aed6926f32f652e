"""The labeling desk: hands pairs to people and takes their judgments.

What goes out is blind: a card holds the conversation and the two answers as this person sees
them, and nothing of policies, temperatures, scores or other people's votes.
What comes in is durable before it is acknowledged.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from annotate.cards import (
    Card,
    CardMaker,
    Feedback,
    Hand,
    Progress,
    Receipt,
    Standing,
    Submission,
    check,
    judgment_of,
    to_choice,
)
from annotate.config import AnnotateConfig
from annotate.consensus import SETTLED
from annotate.floor import Floor
from annotate.others import Others
from annotate.person import Person, own_presentation, pairs_of, showing
from annotate.underway import Underway
from annotate.writer import JudgmentWriter
from storage import judgments as judging
from storage import team
from storage.adjudication_records import Adjudication
from storage.errors import ConflictError, PairloopError
from storage.records import Consensus, Judgment, Presentation
from storage.store import Store, utc_now
from storage.team_records import GoldUse

log = logging.getLogger(__name__)

AHEAD = 32  # pairs whose texts are fetched together


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """A judgment counted in memory and on its way to the store."""

    judgment: Judgment
    before: Judgment | None  # what its labeler said of the pair until now
    consensus: Consensus | None
    extra: bool


class Desk:
    """Thread-safe; one per labeling server, which alone writes people's judgments.

    on_settled is told of every pair that settles, after its judgment is durable.
    """

    def __init__(
        self,
        store: Store,
        config: AnnotateConfig,
        *,
        on_settled: Callable[[Consensus], None] | None = None,
    ) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        sizes = store.sizes() if store.shared else {}
        self._floor = Floor(store, config, below=sizes.get("judgment_rows", judging.ALL_ROWS))
        self._others = Others(store, self._floor, sizes) if store.shared else None
        self.writer = JudgmentWriter(store)
        self._maker = CardMaker(store)
        self._underway = Underway(self._lock)
        self._on_settled = on_settled

    @property
    def config(self) -> AnnotateConfig:
        """The settings in force, with what a lead changed."""
        return self._floor.config

    @property
    def guideline(self) -> str:
        """The guideline version in force."""
        return self._floor.guideline

    def refresh(self) -> None:
        """Take in at once what a lead changed."""
        with self._lock:
            self._floor.look()

    def hand(self, labeler: str, *, count: int, have: Collection[str]) -> Hand:
        """Up to `count` cards beyond those the browser already has (their presentations)."""
        self._welcome(labeler, showing=have)
        hand = self._hand(labeler, count=count, have=have)
        if hand.standing is Standing.EMPTY and count:
            # Nobody is told that nothing is left while new pairs are on their way into memory.
            self._look(at_once=True)
            hand = self._hand(labeler, count=count, have=have)
        return hand

    def _hand(self, labeler: str, *, count: int, have: Collection[str]) -> Hand:
        with self._lock:
            floor, now = self._floor, time.monotonic()
            person = floor.person(labeler)
            held = pairs_of(person, have)
            floor.renew(person, held, now=now)
            gone = [shown for shown, pair_id in held.items() if pair_id in person.mine]
            standing = floor.standing(person)
            pairs = floor.take(person, standing, count=count, have=set(held.values()), now=now)
            new_pairs = floor.stock.new_repeats(pairs)
            first_new = len(person.shown)
            shown = [
                showing(person, p, seed=floor.config.seed, guideline=floor.guideline) for p in pairs
            ]
            new = list(person.shown.values())[first_new:]
            qualifying = floor.gold_ids(GoldUse.QUALIFICATION)
            ahead = floor.peek(AHEAD) if pairs else []
        try:
            self._store.append(new_pairs)
            # Elsewhere a showing is a lease, so there even one that is known begins anew.
            self._store.append(self._others.renewed(shown) if self._others else new)
        except BaseException:
            with self._lock:
                self._floor.stock.keep_unstored(new_pairs)
                for presentation in new:
                    person.unshow(presentation)
            raise
        if self._others is not None and pairs:
            self._look(at_once=True)
            with self._lock:
                lost = self._others.outrun(person, pairs)
            self._store.append(self._others.ended([s for s in shown if s.pair_id in lost]))
            pairs = [p for p in pairs if p.id not in lost]
            shown = [s for s in shown if s.pair_id not in lost]
        if standing is Standing.OPEN and not pairs and not held:
            standing = Standing.EMPTY
        cards = self._maker.cards(pairs, shown, qualifying=qualifying, ahead=ahead)
        return Hand(cards=cards, gone=gone, standing=standing)

    def cards(self, labeler: str, *, count: int, have: Collection[str]) -> list[Card]:
        """The cards of `hand` alone."""
        return self.hand(labeler, count=count, have=have).cards

    def heartbeat(self, labeler: str, *, have: Collection[str]) -> Hand:
        """Renew what the browser has; no new cards."""
        return self.hand(labeler, count=0, have=have)

    def release(self, labeler: str, *, have: Collection[str]) -> None:
        """Let others have what a closing page held; its person gets it back first."""
        self._welcome(labeler)
        with self._lock:
            person = self._floor.person(labeler)
            held = pairs_of(person, have)
            self._floor.queue.release(labeler, held.values(), now=time.monotonic())

    def submit(self, labeler: str, submission: Submission) -> Receipt:
        """Store a judgment; the same key again changes nothing.

        Raises InputError for what is not a judgment and ConflictError for a presentation that is
        unknown, or another person's, and for a key that another judgment has.
        """
        check(submission, self.config)
        self._welcome(labeler, showing=[submission.presentation])
        recorded: _Recorded | None = None
        with self._underway.settled(submission.key):
            person = self._floor.person(labeler)
            shown = own_presentation(person, submission.presentation)
            known = self._floor.known(submission.key, labeler)
            if known not in (None, shown.pair_id):
                raise ConflictError(
                    "This judgment came with the key of another one, so it was not stored. "
                    "Reload the page and judge the pair again."
                )
            if known is None:
                self._refuse_told(person, shown.pair_id)
                recorded = self._record(judgment_of(submission, shown, labeler), person)
        if recorded is not None:
            self._commit(recorded, person)
        with self._lock:
            return Receipt(
                progress=self._floor.progress(person), feedback=self._feedback(submission, shown)
            )

    def undo(self, labeler: str, *, key: str) -> Card | None:
        """Withdraw this person's latest judgment and give its card back; None if there is none.

        The same key again changes nothing and gives the same card.
        """
        self._welcome(labeler, at_once=True)
        recorded: _Recorded | None = None
        with self._underway.settled(key):
            person = self._floor.person(labeler)
            pair_id = self._floor.known(key, labeler)
            if pair_id is None:
                if not person.mine:
                    return None
                last = next(reversed(person.mine.values()))
                pair_id = last.pair_id
                self._refuse_told(person, pair_id)
                withdrawn = replace(last, id=key, withdrawn=True, created_at=utc_now())
                recorded = self._record(withdrawn, person)
            pair, shown = self._floor.pair(pair_id), person.shown[pair_id]
        if recorded is not None:
            self._commit(recorded, person)
            with self._lock:
                self._floor.lease(person, [pair], now=time.monotonic())
        return self._maker.cards([pair], [shown])[0]

    def progress(self, labeler: str) -> Progress:
        """How far this person and the project are."""
        self._welcome(labeler)
        with self._lock:
            return self._floor.progress(self._floor.person(labeler))

    def history(
        self, labeler: str, *, count: int, before: str | None = None
    ) -> list[tuple[Judgment, Presentation, str]]:
        """Own judgments that count, newest first, from after the judgment `before`.

        With each how it was shown and the last turn of its conversation.
        """
        self._welcome(labeler, at_once=True)
        with self._lock:
            person = self._floor.person(labeler)
            mine = list(reversed(person.mine.values()))
            ids = [j.id for j in mine]
            start = ids.index(before) + 1 if before in ids else 0
            page = mine[start : start + count]
            prompts = {j.pair_id: self._floor.pair(j.pair_id).prompt_id for j in page}
            shown = {j.pair_id: person.shown[j.pair_id] for j in page if j.pair_id in person.shown}
        messages = self._maker.messages(prompts.values())
        return [
            (j, shown[j.pair_id], messages[prompts[j.pair_id]][-1].content)
            for j in page
            if j.pair_id in shown
        ]

    def reopen(self, labeler: str, presentation: str) -> tuple[Card, Judgment, Presentation]:
        """An own earlier pair as it was shown, and what was said of it.

        Raises ConflictError where this person has no judgment on it.
        """
        self._welcome(labeler, at_once=True)
        with self._lock:
            person = self._floor.person(labeler)
            shown = own_presentation(person, presentation)
            judgment = person.mine.get(shown.pair_id)
            if judgment is None:
                raise ConflictError("You have no decision on this pair. Reload the page.")
            pair = self._floor.pair(shown.pair_id)
        return self._maker.cards([pair], [shown])[0], judgment, shown

    def queue_states(self) -> dict[str, int]:
        """How many pairs are where: waiting, begun, tie_break, held, settled, no_majority; and
        votes, extra_votes, votes_saved, gold, repeats.
        """
        self._look()
        with self._lock:
            return self._floor.counts(now=time.monotonic())

    def glance(self) -> dict[str, int]:
        """Pairs, open, leased, settled, and labelers at work: quick, however many there are."""
        self._look()
        with self._lock:
            return self._floor.glance(now=time.monotonic())

    def judged_by(self, labeler: str) -> set[str]:
        """The pairs a labeler has judged, skips too."""
        with self._lock:
            return set(self._floor.queue.judged_by(labeler))

    def show_votes(self, labeler: str, pair_id: str) -> None:
        """Somebody is about to see the votes on a pair: their own word on it is final from now on."""
        with self._lock:
            self._floor.queue.show_votes(pair_id, labeler)

    def adjudicate(self, adjudication: Adjudication) -> None:
        """Store a decision, or that it is withdrawn, and what the pair comes to with it."""
        self._store.append([adjudication])
        with self._lock:
            self._floor.adjudicate(adjudication)
            consensus = self._floor.consensus(self._floor.pair(adjudication.pair_id))
        try:
            self._store.append([consensus])
        except PairloopError as error:
            # The decision is safe, and `settle` makes the consensus of it again.
            log.warning("consensus of %s was not stored: %s", consensus.pair_id, error)
        self._tell(consensus)

    # ---- the store is asked without the lock, so that nobody waits for it ------------------------

    def _look(self, *, at_once: bool = False) -> None:
        """Take in news from the store, if there are some.

        at_once: after whoever is looking, and however short ago that was.
        """
        asked = time.monotonic()
        if self._looking.acquire(blocking=at_once):
            try:
                if self._others is not None:
                    self._others.look(self._lock, asked=asked, at_once=at_once)
                elif self._floor.has_news(at_once=at_once):
                    with self._lock:
                        self._floor.look()
            finally:
                self._looking.release()

    def _welcome(
        self, labeler: str, *, showing: Collection[str] = (), at_once: bool = False
    ) -> None:
        """Look for news, and read what this labeler was shown if they are new here.

        Where other servers write too it is looked at once for those who may come from one of them:
        who is new here, or has been shown what this server does not know of.
        """
        new = not self._floor.knows(labeler)
        if self._others is not None and not new:
            known = self._floor.person(labeler).pair_of
            at_once = at_once or any(shown not in known for shown in showing)
        self._look(at_once=self._others is not None and (at_once or new))
        if new and self._others is not None:
            with self._looking:  # no news may come between reading a person and knowing them
                self._introduce(labeler, below=self._others.below)
        elif new:
            self._introduce(labeler, below=judging.ALL_ROWS)

    def _introduce(self, labeler: str, *, below: int) -> None:
        shown = judging.presentations_of(self._store, labeler)
        said = judging.events_of(self._store, labeler, below=below)
        with self._lock:
            self._floor.introduce(labeler, shown, said)

    # ---- from here on the lock is held --------------------------------------------------------

    def _record(self, judgment: Judgment, person: Person) -> _Recorded:
        """Count a judgment in memory, so that nobody else is asked for that vote meanwhile."""
        floor = self._floor
        revision = floor.queue.next_revision(judgment.pair_id, person.name)
        judgment = replace(judgment, revision=revision)
        before = person.mine.get(judgment.pair_id)
        extra = floor.queue.is_extra(judgment)
        floor.count(judgment)
        if self._others is not None:
            self._others.mine(judgment, noted=extra)
        self._underway.begin(judgment.id)
        pair = floor.pair(judgment.pair_id)
        consensus = floor.consensus(pair) if pair.purpose in SETTLED else None
        return _Recorded(judgment=judgment, before=before, consensus=consensus, extra=extra)

    def _refuse_told(self, person: Person, pair_id: str) -> None:
        """Whoever has seen a pair's answer, or others' votes on it, votes on it no more."""
        if pair_id in person.mine and self._floor.teaches(pair_id):
            raise ConflictError(
                "This was a qualification pair, whose answer you have seen; it is judged once."
            )
        if self._floor.queue.has_seen_votes(pair_id, person.name):
            raise ConflictError(
                "You have seen others' votes on this pair, so your own word on it stays as it is."
            )

    def _feedback(self, submission: Submission, shown: Presentation) -> Feedback | None:
        if not self._floor.teaches(shown.pair_id):
            return None
        gold = self._floor.gold[shown.pair_id]
        expected = to_choice(gold.verdict, shown.first_side)
        return Feedback(
            right=submission.choice is expected, expected=expected, explanation=gold.explanation
        )

    # ---- and from here on it is not -----------------------------------------------------------

    def _commit(self, recorded: _Recorded, person: Person) -> None:
        """Make it durable; what could not be stored is forgotten again."""
        judgment, consensus = recorded.judgment, recorded.consensus
        try:
            self.writer.append(judgment, [consensus] if consensus else [])
        except BaseException:
            with self._lock:
                self._floor.uncount(judgment, before=recorded.before)
            raise
        finally:
            with self._lock:
                self._underway.end(judgment.id)
        if recorded.extra:
            # Its lease had ended and others voted meanwhile: the vote counts, and is on the record.
            team.note(self._store, actor=person.name, action="extra vote", subject=judgment.pair_id)
        if consensus is not None:
            self._tell(consensus)

    def _tell(self, consensus: Consensus) -> None:
        """Keep the number of settled pairs, and tell of one that has just settled."""
        with self._lock:
            newly = self._floor.mark_settled(consensus)
        if newly and self._on_settled is not None:
            self._on_settled(consensus)
