"""Swiss rounds: few comparisons, nobody meets twice, and a ranking comes out."""

import random
from itertools import combinations

import pytest
from factories import NOW, make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st

from generate.filters import Drop, Filters
from generate.pairs import Known, form_pairs
from generate.strategies import Strategy
from generate.swiss import Game, next_round, rounds_of, standings

POLICY, PROMPT = make_policy(), make_prompt()


def answers(n: int):
    return [make_response(PROMPT, POLICY, f"Answer {i} of many", index=i) for i in range(n)]


def play(n: int, *, seed: int, tie_within: int = 0) -> tuple[list, list[Game], int]:
    """A whole tournament in which the lower index is the better answer."""
    found, games, rounds = answers(n), [], 0
    place = {r.id: i for i, r in enumerate(found)}
    while True:
        matches = next_round(found, games, random.Random(seed))
        if isinstance(matches, Drop):
            assert matches is Drop.RANKED
            return found, games, rounds
        rounds += 1
        for a, b in matches:
            tied = abs(place[a.id] - place[b.id]) <= tie_within
            points = 0.5 if tied else float(place[a.id] < place[b.id])
            games.append(Game(first=a.id, second=b.id, points=points))


@given(st.integers(2, 12), st.integers(0, 5), st.integers(0, 2))
def test_a_tournament_ends_after_about_log2_rounds_and_nobody_meets_twice(n, seed, tie_within):
    found, games, rounds = play(n, seed=seed, tie_within=tie_within)
    met = [frozenset((g.first, g.second)) for g in games]
    assert len(met) == len(set(met))
    assert len(games) <= n * rounds_of(n) / 2
    assert rounds_of(n) <= rounds + 1 <= 2 * rounds_of(n) + 2
    assert {r.id for r in found} == {answer for pair in met for answer in pair}


@pytest.mark.parametrize(("n", "most"), [(2, 1), (4, 4), (6, 9), (8, 12), (16, 32)])
def test_it_takes_far_fewer_comparisons_than_all_pairs(n, most):
    _, games, _ = play(n, seed=0)
    assert len(games) <= most <= n * (n - 1) / 2


@pytest.mark.parametrize("n", [4, 6, 8, 16])
def test_the_best_comes_out_first_and_the_order_mostly_right(n):
    right = total = 0
    for seed in range(10):
        found, games, _ = play(n, seed=seed)
        order = [found.index(r) for r in standings(found, games, random.Random(seed))]
        assert order[0] == 0
        right += sum(a < b for a, b in combinations(order, 2))
        total += n * (n - 1) // 2
    assert right / total > 0.75


def test_the_next_round_waits_until_every_pair_is_judged():
    found = answers(4)
    first = next_round(found, [], random.Random(0))
    games = [Game(first=a.id, second=b.id, points=None) for a, b in first]
    assert next_round(found, games, random.Random(0)) is Drop.WAITING
    games = [Game(first=games[0].first, second=games[0].second, points=1.0), games[1]]
    assert next_round(found, games, random.Random(0)) is Drop.WAITING


def test_winners_meet_winners():
    found = answers(8)
    first = next_round(found, [], random.Random(3))
    games = [Game(first=a.id, second=b.id, points=1.0) for a, b in first]
    winners = {a.id for a, _ in first}
    for a, b in next_round(found, games, random.Random(3)):
        assert (a.id in winners) == (b.id in winners)


def test_the_stage_forms_a_round_at_a_time_from_the_judgments_there_are():
    found = [
        make_response(PROMPT, POLICY, text, index=i)
        for i, text in enumerate(["tea", "bread", "bees", "chess"])
    ]

    def form(pairs, points):
        return form_pairs(
            {PROMPT.id: found},
            strategy=Strategy.SWISS,
            pairs_per_prompt=1,
            filters=Filters(near_duplicate=0.9),
            seed=0,
            number=0,
            now=NOW,
            known=Known(pairs=pairs, points=points),
        )

    first = form([], {})
    assert len(first.pairs) == 2
    assert form(first.pairs, {}).drops == {Drop.WAITING: 1}
    points = {p.id: 1.0 for p in first.pairs}
    second = form(first.pairs, points)
    assert len(second.pairs) == 2
    assert not {p.id for p in first.pairs} & {p.id for p in second.pairs}
    both = [*first.pairs, *second.pairs]
    assert form(both, {p.id: 1.0 for p in both}).drops == {Drop.RANKED: 1}
