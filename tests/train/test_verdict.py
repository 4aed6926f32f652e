"""Promote or not, from held-out rewards."""

from train.rewards import Reward, accuracy_of, doubtful
from train.verdict import MIN_HELDOUT, slice_of, verdict_of


def rewards(right: int, wrong: int) -> list[Reward]:
    return [
        Reward(pair_id=f"c1:{i}", chosen=1.0 if i < right else -1.0 - i, rejected=0.0)
        for i in range(right + wrong)
    ]


def test_a_policy_that_agrees_with_people_is_promoted_with_its_numbers():
    found = verdict_of(rewards(80, 20), {})

    assert found.promote is True
    assert "80.0% of 100 held-out pairs (71.1% to 86.7%)" in found.reason


def test_one_that_might_be_chance_is_left_open():
    found = verdict_of(rewards(55, 45), {})

    assert found.promote is None
    assert "does not exclude chance" in found.reason


def test_one_that_contradicts_people_is_not():
    found = verdict_of(rewards(35, 65), {})

    assert found.promote is False
    assert "worse than chance" in found.reason


def test_one_that_makes_chosen_answers_less_likely_is_not():
    found = verdict_of(rewards(80, 20), {"displacement": "chosen answers are becoming less likely"})

    assert found.promote is False
    assert "less likely" in found.reason


def test_too_few_pairs_tell_nothing():
    for n in (0, MIN_HELDOUT - 1):
        found = verdict_of(rewards(n, 0), {})
        assert found.promote is None
        assert f"{n} held-out pairs are too few" in found.reason


def test_the_most_contradicted_labels_come_first():
    found = doubtful(rewards(3, 4), most=2)

    assert [r.pair_id for r in found] == ["c1:6", "c1:5"]
    assert accuracy_of(rewards(3, 1)) == 0.75
    assert slice_of("none", []) is None
