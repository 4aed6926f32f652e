"""Warnings on runs with a known trouble, and none on a sound one."""

import pytest

from train.watch import warnings_of


def run(steps=50, **curves):
    """Rows of metrics: a pair (start, end) goes straight from one to the other."""
    sound = {
        "rewards/margins": (0.0, 1.0),
        "rewards/accuracies": (0.5, 0.8),
        "logps/chosen_per_token": (-1.0, -1.02),
        "entropy": (1.5, 1.4),
        "grad_norm": (2.0, 1.0),
    }
    named = sound | {name.replace("__", "/"): ends for name, ends in curves.items()}
    return [
        {name: a + (b - a) * i / (steps - 1) for name, (a, b) in named.items()}
        for i in range(steps)
    ]


def test_a_sound_run_warns_of_nothing_at_any_step():
    history = run()

    assert [warnings_of(history[:n], steps=50) for n in range(51)] == [{}] * 51


@pytest.mark.parametrize(
    ("curves", "name"),
    [
        ({"logps__chosen_per_token": (-1.0, -1.6)}, "displacement"),
        ({"rewards__margins": (0.0, 14.0)}, "overfitting"),
        ({"rewards__margins": (0.0, 0.001)}, "not learning"),
        ({"entropy": (1.5, 0.1)}, "entropy"),
        ({"grad_norm": (0.0, 0.0)}, "gradient"),
        ({"grad_norm": (1.0, 500.0)}, "gradient"),
        ({"reward": (0.0, 3.0), "kl": (0.0, 1.2)}, "far from the reference"),
        ({"reward": (0.0, 0.0), "frac_reward_zero_std": (0.2, 0.9)}, "no contrast"),
        ({"reward": (0.0, 1.0), "completions__clipped_ratio": (0.1, 1.0)}, "cut answers"),
    ],
    ids=[
        "displacement",
        "margin",
        "flat",
        "entropy",
        "no gradient",
        "steep",
        "far",
        "alike",
        "cut",
    ],
)
def test_each_trouble_is_told_by_its_name_and_nothing_else(curves, name):
    assert list(warnings_of(run(**curves), steps=50)) == [name]


def test_the_kl_of_a_batch_without_a_reward_is_another_matter():
    """KTO's divergence is in nats of whole answers."""
    assert warnings_of(run(kl=(0.0, 9.0)), steps=50) == {}


def test_perfect_accuracy_is_overfitting_only_early_in_the_run():
    perfect = run(steps=12, rewards__accuracies=(1.0, 1.0))

    assert list(warnings_of(perfect, steps=100)) == ["overfitting"]
    assert warnings_of(perfect, steps=20) == {}
