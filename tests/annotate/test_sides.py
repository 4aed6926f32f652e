"""Sides and stocks: balanced for everybody, drawn from the seed, the same at every restart."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.config import AnnotateConfig
from annotate.sides import BLOCK, Kind, kind_of, side_of
from storage.records import Side


@given(st.text(), st.integers(0, 200), st.integers())
def test_every_block_of_showings_has_both_sides_equally_often(labeler, block, seed):
    sides = [side_of(labeler, block * BLOCK + i, seed=seed) for i in range(BLOCK)]
    assert sides.count(Side.LEFT) == sides.count(Side.RIGHT) == BLOCK // 2


@pytest.mark.parametrize("seed", [0, 1])
def test_two_people_and_two_neighbours_see_independent_sides(seed):
    """Within four standard deviations over 4000 showings."""
    ann, bob = (
        [side_of(who, n, seed=seed) is Side.LEFT for n in range(4000)] for who in ("ann", "bob")
    )
    assert abs(sum(a is b for a, b in zip(ann, bob, strict=True)) - 2000) < 4 * 1000**0.5
    alike = sum(a is b for a, b in pairwise(ann))
    expected = 3999 * (7 * 3 / 7 / 8 + 0.5 / 8)  # 3 of 7 within a block, a half across
    assert abs(alike - expected) < 4 * 1000**0.5


def test_a_side_is_the_same_at_every_start():
    sides = "".join(side_of("ann", n, seed=0).value[0] for n in range(16))
    assert sides == SIDES_OF_ANN


SIDES_OF_ANN = "llrrrrllrllrllrr"


def test_stocks_come_in_their_shares():
    config = AnnotateConfig(gold_share=0.1, sentinel_share=0.05, repeat_share=0.02)
    drawn = [kind_of("ann", n, seed=3, config=config) for n in range(8000)]
    for kind, share in ((Kind.GOLD, 0.1), (Kind.SENTINEL, 0.05), (Kind.REPEAT, 0.02)):
        spread = (8000 * share * (1 - share)) ** 0.5
        assert abs(drawn.count(kind) - 8000 * share) < 4 * spread


def test_without_shares_everything_is_regular():
    config = AnnotateConfig(gold_share=0, sentinel_share=0, repeat_share=0)
    assert {kind_of("ann", n, seed=0, config=config) for n in range(500)} == {Kind.REGULAR}
