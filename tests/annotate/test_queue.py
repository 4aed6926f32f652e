"""Who is asked about what: everybody once, no pair too often, and nothing is lost to a closed tab."""

import random

import pytest
from factories import make_judgment, make_pair, make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st

from annotate.config import AnnotateConfig
from annotate.consensus import majority
from annotate.queue import PairQueue, shown_side
from storage.records import Pair, Purpose, Side, Verdict

F, S, T, B, SKIP = Verdict
POLICY = make_policy()
CONFIG = AnnotateConfig(lease_seconds=100)


def pair_of(i: int, **changes) -> Pair:
    prompt = make_prompt(f"Question {i}")
    return make_pair(*(make_response(prompt, POLICY, "x", index=k) for k in range(2)), **changes)


PAIRS = [pair_of(i) for i in range(12)]


def queue_of(pairs: list[Pair], config: AnnotateConfig = CONFIG) -> PairQueue:
    queue = PairQueue(config)
    queue.add(pairs)
    return queue


def take(queue: PairQueue, who: str, count: int = 1, *, have=(), now: float = 0) -> list[Pair]:
    return queue.take(who, count=count, have=have, now=now)


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
            now += config.lease_seconds + 1
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
    assert queue.open_to("dee", now=0) == 0  # cem holds both
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
    assert queue.open_to("ann", now=0) == queue.open_to("cem", now=0) == 1
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


@pytest.mark.parametrize("seed", [0, 1])
def test_sides_are_a_fair_coin_for_every_labeler_and_between_them(seed):
    """Within four standard deviations over 4000 pairs; two people's coins are independent."""
    ann, bob = (
        [shown_side(f"c1:{i}", who, seed=seed) is Side.LEFT for i in range(4000)]
        for who in ("ann", "bob")
    )
    for share in (sum(ann), sum(bob), sum(a is b for a, b in zip(ann, bob, strict=True))):
        assert abs(share - 2000) < 4 * 4000**0.5 / 2


def test_a_side_is_the_same_at_every_start():
    sides = ["left", "right", "left", "left", "right", "left"]
    assert [shown_side(f"c1:{i}", "ann", seed=0).value for i in range(6)] == sides
