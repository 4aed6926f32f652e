"""Who is asked about what: everybody once, no pair too often, and nothing is lost to a closed tab."""

import random
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from factories import make_judgment, make_pair, make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st

from annotate.assign import Rule
from annotate.config import AnnotateConfig
from annotate.consensus import majority
from annotate.queue import PairQueue
from storage.judgments import LastWord
from storage.records import Pair, Purpose, Verdict

F, S, T, B, SKIP = Verdict
POLICY = make_policy()
CONFIG = AnnotateConfig()
LEASE = 100.0  # seconds


def pair_of(i: int, **changes) -> Pair:
    prompt = make_prompt(f"Question {i}")
    return make_pair(*(make_response(prompt, POLICY, "x", index=k) for k in range(2)), **changes)


PAIRS = [pair_of(i) for i in range(12)]


def queue_of(pairs: list[Pair], config: AnnotateConfig = CONFIG) -> PairQueue:
    queue = PairQueue(config, seed=config.seed)
    queue.add(pairs)
    return queue


def take(
    queue: PairQueue, who: str, count: int = 1, *, have=(), now: float = 0, groups=()
) -> list[Pair]:
    """As the desk does it: renew, then what was given before, then the most wanted."""
    identity = frozenset([who, *groups])
    queue.renew(who, have, now=now, seconds=LEASE)
    taken = list(islice(queue.held(identity, who, have=have, now=now), count))
    while len(taken) < count:
        without = {*have, *(p.id for p in taken)}
        pair = next(queue.regular(identity, who, have=without, now=now), None)
        if pair is None:
            break
        queue.lease(pair.id, who, now=now, seconds=LEASE)
        taken.append(pair)
    for pair in taken:
        queue.lease(pair.id, who, now=now, seconds=LEASE)
    return taken


def open_to(queue: PairQueue, who: str, *, now: float = 0) -> int:
    return queue.open_to(who, frozenset([who]), now=now)


def vote(queue: PairQueue, pair: Pair, who: str, verdict: Verdict, **changes) -> None:
    revision = queue.next_revision(pair.id, who)
    queue.record(make_judgment(pair, who, verdict, revision=revision, **changes))


@given(
    st.integers(0, 2**32),
    st.builds(AnnotateConfig, votes_per_pair=st.integers(1, 3), tie_breaker=st.booleans()),
)
def test_every_pair_ends_with_the_votes_it_needs_and_no_more(seed, config):
    """People come, skip and leave in any order; leases outlast them all."""
    chance = random.Random(seed)
    queue, people = queue_of(PAIRS[:6], config), [f"labeler {i}" for i in range(9)]
    voted: dict[str, list[Verdict]] = {p.id: [] for p in PAIRS[:6]}
    asked, now = set(), 0.0
    while people:
        who = chance.choice(people)
        cards = take(queue, who, chance.randint(1, 3), now=now)
        if not cards:
            now += LEASE + 1
            people.remove(who)
        for pair in cards:
            if chance.random() < 0.2:
                break  # the tab is closed; its lease keeps the pair for a while
            assert (pair.id, who) not in asked
            asked.add((pair.id, who))
            verdict = chance.choice([F, F, S, T, SKIP])
            vote(queue, pair, who, verdict)
            if verdict is not SKIP:
                voted[pair.id].append(verdict)
    for verdicts in voted.values():
        planned = config.votes_per_pair
        differ = majority(verdicts[:planned]) is None
        assert len(verdicts) <= planned + (config.tie_breaker and differ)


def test_nobody_is_given_a_pair_they_have_judged_or_skipped():
    queue = queue_of(PAIRS[:2])
    vote(queue, PAIRS[0], "ann", F)
    vote(queue, PAIRS[1], "ann", SKIP)
    assert take(queue, "ann", 5) == []
    assert len(take(queue, "bob", 5)) == 2


def test_a_third_vote_is_asked_for_only_where_the_first_two_differ():
    queue = queue_of(PAIRS[:3])
    for pair, verdicts in zip(PAIRS, [(F, F), (F, S), (T, B)], strict=False):
        for who, verdict in zip(("ann", "bob"), verdicts, strict=True):
            vote(queue, pair, who, verdict)
    assert {p.id for p in take(queue, "cem", 5)} == {PAIRS[1].id, PAIRS[2].id}
    assert open_to(queue, "dee") == 0  # cem holds both
    vote(queue, PAIRS[1], "cem", T)
    assert take(queue, "dee", 5, now=101) == [PAIRS[2]]  # three different votes: no fourth


def test_a_pair_on_lease_is_kept_until_the_lease_ends():
    queue = queue_of(PAIRS[:1])
    assert take(queue, "ann") == take(queue, "bob") == [PAIRS[0]]
    assert take(queue, "cem", now=99.9) == []
    assert take(queue, "cem", now=100.1) == [PAIRS[0]]


def test_what_the_browser_still_has_stays_on_lease():
    queue = queue_of(PAIRS[:1])
    take(queue, "ann")
    take(queue, "bob")
    assert take(queue, "ann", have={PAIRS[0].id}, now=90) == []
    take(queue, "bob", have={PAIRS[0].id}, now=90)
    assert take(queue, "cem", now=150) == []


def test_a_reload_gives_the_same_pairs_again():
    queue = queue_of(PAIRS)
    before = take(queue, "ann", 3)
    take(queue, "bob", 3, now=1)
    assert take(queue, "ann", 3, now=2) == before
    more = take(queue, "ann", 3, have={p.id for p in before}, now=3)
    assert not set(more) & set(before)


def test_unknown_pairs_in_the_browser_do_no_harm():
    assert len(take(queue_of(PAIRS[:2]), "ann", 5, have={"c1:gone"})) == 2


def test_pairs_with_a_vote_come_before_untouched_ones():
    """Work in progress settles first; a skip is no vote."""
    queue = queue_of(PAIRS)
    order = take(queue_of(PAIRS), "bob", 12)
    begun, skipped = order[7], order[9]
    vote(queue, begun, "ann", F)
    vote(queue, skipped, "ann", SKIP)
    vote(queue, skipped, "dee", SKIP)
    assert take(queue, "bob", 12) == [begun, *(p for p in order if p is not begun)]


def test_the_order_is_a_shuffle_that_the_seed_repeats():
    orders = [
        take(queue_of(random.Random(k).sample(PAIRS, 12), AnnotateConfig(seed=seed)), "ann", 12)
        for seed, k in ((1, 0), (1, 1), (2, 0))
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != PAIRS


def test_a_withdrawn_judgment_opens_the_pair_again():
    queue = queue_of(PAIRS[:1])
    for who in ("ann", "bob"):
        vote(queue, PAIRS[0], who, F)
    assert take(queue, "cem") == []
    vote(queue, PAIRS[0], "ann", F, withdrawn=True)
    assert queue.next_revision(PAIRS[0].id, "ann") == 2
    assert open_to(queue, "ann") == open_to(queue, "cem") == 1
    current, events = queue.present(PAIRS[0].id)
    assert ([j.labeler for j in current], events) == (["bob"], 3)


def test_known_pairs_are_left_as_they_are_when_added_again():
    queue = queue_of(PAIRS[:2])
    vote(queue, PAIRS[0], "ann", F)
    queue.add(PAIRS[:3])
    assert len(queue) == 3
    assert queue.pair(PAIRS[0].id) == PAIRS[0]
    assert queue.pair("c1:unknown") is None
    assert PAIRS[0] not in take(queue, "ann", 5)


def test_a_comparison_of_policies_is_asked_once_where_one_vote_is_planned():
    pair = pair_of(1, purpose=Purpose.EVALUATION)
    queue = queue_of([pair])
    take(queue, "ann")
    assert take(queue, "bob") == []
    vote(queue, pair, "ann", T)
    assert take(queue, "bob") == []


def test_a_closing_page_lets_others_have_its_pairs_and_gets_them_back_first():
    queue = queue_of(PAIRS, AnnotateConfig(votes_per_pair=1))
    mine = take(queue, "ann", 3)
    queue.release("ann", [p.id for p in mine], now=10)
    assert take(queue, "bob", 1, now=11)[0] in mine
    back = take(queue, "ann", 3, now=12)
    assert len(set(back) & set(mine)) == 2
    assert len(back) == 3


def test_a_higher_priority_comes_first_and_a_named_group_only():
    queue = queue_of(PAIRS)
    urgent, private = PAIRS[3], PAIRS[5]
    queue.set_rules(
        {
            urgent.id: Rule(priority=5),
            private.id: Rule(priority=9, people=(frozenset(["@experts", "dee"]),)),
        }
    )
    assert take(queue, "ann") == [urgent]
    assert take(queue, "bob", groups=["@experts"]) == [private]
    assert take(queue, "dee") == [private]
    assert private not in take(queue, "cem", 12)
    assert open_to(queue, "eve") == 10  # the urgent one is held twice, the private one is not hers
    queue.set_rules({})
    assert private in take(queue, "eve", 12, now=200)


def test_the_number_of_votes_may_change_while_people_work():
    queue = queue_of(PAIRS[:2])
    for who in ("ann", "bob"):
        vote(queue, PAIRS[0], who, F)
    assert open_to(queue, "cem") == 1
    queue.reconfigure(AnnotateConfig(votes_per_pair=3))
    assert open_to(queue, "cem") == 2
    assert take(queue, "cem") == [PAIRS[0]]
    queue.reconfigure(AnnotateConfig(votes_per_pair=1))
    assert open_to(queue, "dee") == 1


def test_two_pairs_of_the_same_answers_are_one_pair_to_a_labeler():
    """A gold pair made of a training pair, say: nobody sees the answers twice."""
    train, comparison = pair_of(1), pair_of(1, purpose=Purpose.EVALUATION)
    queue = queue_of([train, comparison])
    vote(queue, train, "ann", F)
    assert take(queue, "ann", 5) == []
    assert open_to(queue, "ann") == 0
    assert len(take(queue, "bob", 5)) == 1


def test_a_vote_nobody_asked_for_any_more_is_counted_and_told_apart():
    """Its lease had ended and others had voted meanwhile."""
    queue = queue_of(PAIRS[:1])
    for who in ("ann", "bob"):
        assert not queue.is_extra(make_judgment(PAIRS[0], who, F))
        vote(queue, PAIRS[0], who, F)
    late = make_judgment(PAIRS[0], "cem", F)
    assert queue.is_extra(late)
    assert not queue.is_extra(make_judgment(PAIRS[0], "cem", SKIP))
    assert not queue.is_extra(make_judgment(PAIRS[0], "ann", S))  # a changed mind
    queue.record(late)
    assert queue.counts(now=0)["extra_votes"] == 1


def test_sequential_stopping_does_not_ask_more_people_at_once_than_could_settle_it():
    """At .95 two agreeing votes settle a pair; the third is asked for once they differ."""
    config = AnnotateConfig(stop_at=0.95, vote_accuracy=0.8, max_votes=5)
    queue = queue_of(PAIRS[:1], config)
    assert take(queue, "ann") == take(queue, "bob") == [PAIRS[0]]
    assert take(queue, "cem") == []
    vote(queue, PAIRS[0], "ann", F)
    vote(queue, PAIRS[0], "bob", S)
    assert take(queue, "cem") == take(queue, "dee") == [PAIRS[0]]
    vote(queue, PAIRS[0], "cem", F)
    vote(queue, PAIRS[0], "dee", F)
    assert open_to(queue, "eve") == 0


def test_the_counts_tell_where_every_pair_is_and_what_was_saved():
    queue = queue_of(PAIRS[:6])
    for pair, verdicts in zip(PAIRS, ["", "F", "FF", "FS", "FSS", "FST"], strict=False):
        for who, letter in zip(("ann", "bob", "cem"), verdicts, strict=False):
            vote(queue, pair, who, {"F": F, "S": S, "T": T}[letter])
    take(queue, "dee", 2)
    counts = queue.counts(now=0)
    named = ("waiting", "begun", "tie_break", "settled", "no_majority", "held")
    assert [counts[n] for n in named] == [1, 1, 1, 2, 1, 2]
    assert (counts["votes"], counts["extra_votes"]) == (11, 0)
    assert counts["votes_saved"] == 1  # against three votes for each closed pair


def test_a_judgment_that_could_not_be_stored_is_forgotten():
    queue = queue_of(PAIRS[:1])
    before = make_judgment(PAIRS[0], "ann", F)
    queue.record(before)
    changed = make_judgment(PAIRS[0], "ann", S, revision=1)
    queue.record(changed)
    assert queue.forget(changed, before=before)
    assert queue.present(PAIRS[0].id) == ([("ann", F)], 1)
    assert queue.next_revision(PAIRS[0].id, "ann") == 2
    first = make_judgment(PAIRS[0], "bob", S)
    queue.record(first)
    assert queue.forget(first, before=None)
    assert open_to(queue, "bob") == 1
    assert queue.next_revision(PAIRS[0].id, "bob") == 1


def test_of_two_words_with_one_number_the_later_counts_however_they_arrive():
    queue = queue_of(PAIRS[:1])
    early = make_judgment(PAIRS[0], "ann", F)
    late = replace(
        make_judgment(PAIRS[0], "ann", S), created_at=early.created_at + timedelta(seconds=1)
    )
    assert queue.record(late)
    assert not queue.record(early)
    assert queue.present(PAIRS[0].id) == ([("ann", S)], 2)


def test_what_came_after_a_judgment_that_could_not_be_stored_stands():
    queue = queue_of(PAIRS[:1])
    failed, elsewhere = (
        make_judgment(PAIRS[0], "ann", v, revision=i) for i, v in enumerate((F, S))
    )
    queue.record(failed)
    queue.record(elsewhere)
    assert not queue.forget(failed, before=None)
    assert queue.present(PAIRS[0].id) == ([("ann", S)], 1)
    assert queue.next_revision(PAIRS[0].id, "ann") == 2


def test_a_start_from_last_words_goes_on_as_if_every_judgment_had_been_counted():
    queue, again = queue_of(PAIRS[:3]), PairQueue(CONFIG, seed=CONFIG.seed)
    for pair, words in zip(PAIRS, ([F], [F, S], [F, S, S]), strict=False):
        for i, verdict in enumerate(words):
            vote(queue, pair, "ann", verdict, withdrawn=i == 2)
    ids = [p.id for p in PAIRS[:3]]
    said = [
        LastWord(ids[0], "ann", F, 0, withdrawn=False, events=1),
        LastWord(ids[1], "ann", S, 1, withdrawn=False, events=2),
        LastWord(ids[2], "ann", S, 2, withdrawn=True, events=3),
    ]
    again.add(PAIRS[:3], said)
    for found in (queue, again):
        assert [found.next_revision(i, "ann") for i in ids] == [1, 2, 3]
        assert [found.present(i) for i in ids] == [([("ann", F)], 1), ([("ann", S)], 2), ([], 3)]
        assert found.judged_by("ann") == set(ids[:2])
    assert queue.counts(now=0.0) == again.counts(now=0.0)
