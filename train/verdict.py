"""Whether a trained policy is worth going on with, and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.intervals import wilson
from storage.records import Triplet
from storage.words import many
from train.config import RLHF, Method
from train.rewards import Reward
from train.rows import Texts

MIN_HELDOUT = 20
MIN_SLICE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """promote: None where the held-out pairs are too few to tell."""

    promote: bool | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """How often the policy agrees with people on some of the held-out pairs; shares."""

    name: str
    pairs: int
    accuracy: float
    low: float
    high: float


def verdict_of(
    rewards: Sequence[Reward], warnings: Mapping[str, str], *, method: Method = Method.DPO
) -> Verdict:
    """From the held-out pairs alone; a win rate against SFT is the proof, and comes later."""
    if method is Method.SFT:
        return Verdict(
            promote=None,
            reason="SFT learns from chosen answers alone, so held-out pairs say little of it; "
            "compare it: pairloop evaluate",
        )
    if method in RLHF:
        return Verdict(
            promote=None,
            reason=f"{method.value.upper()} learns to please a reward model, and whether people "
            "are pleased too no score can tell; compare it: pairloop evaluate",
        )
    found = slice_of("all", rewards)
    if found is None or found.pairs < MIN_HELDOUT:
        return Verdict(
            promote=None,
            reason=f"{len(rewards)} held-out pairs are too few to tell ({MIN_HELDOUT} are needed); "
            "compare it with SFT: pairloop evaluate",
        )
    numbers = (
        f"it agrees with people on {found.accuracy:.1%} of {many(found.pairs, 'held-out pair')} "
        f"({found.low:.1%} to {found.high:.1%})"
    )
    if found.high < 0.5:
        return Verdict(promote=False, reason=f"{numbers}, which is worse than chance")
    if "displacement" in warnings:
        return Verdict(promote=False, reason=f"{numbers}, but {warnings['displacement']}")
    if found.low <= 0.5:
        return Verdict(
            promote=None,
            reason=f"{numbers}, which does not exclude chance; compare it with SFT: "
            "pairloop evaluate",
        )
    return Verdict(promote=True, reason=f"{numbers}; compare it with SFT: pairloop evaluate")


def slices_of(
    rewards: Sequence[Reward], triplets: Mapping[str, Triplet], texts: Texts
) -> list[Slice]:
    """All held-out pairs, then by tier, tag, temperature and which answer is longer."""
    groups: dict[str, list[Reward]] = {"all": list(rewards)}
    for reward in rewards:
        for name in _names(triplets[reward.pair_id], texts):
            groups.setdefault(name, []).append(reward)
    found = [slice_of(name, group) for name, group in groups.items()]
    kept = [s for s in found if s is not None and (s.pairs >= MIN_SLICE or s.name == "all")]
    return [*kept[:1], *sorted(kept[1:], key=lambda s: (s.accuracy, s.name))]


def slice_of(name: str, rewards: Sequence[Reward]) -> Slice | None:
    """None without pairs."""
    if not rewards:
        return None
    right = sum(r.margin > 0 for r in rewards)
    low, high = wilson(right, len(rewards))
    return Slice(name=name, pairs=len(rewards), accuracy=right / len(rewards), low=low, high=high)


def _names(triplet: Triplet, texts: Texts) -> list[str]:
    chosen, rejected = texts.responses[triplet.chosen], texts.responses[triplet.rejected]
    longer = len(chosen.text) > len(rejected.text)
    names = [f"tier {triplet.tier.value}".replace("_", " ")]
    names += [f"tag {tag}" for tag in texts.prompts[triplet.prompt_id].tags]
    names.append("people chose the longer" if longer else "people chose the shorter")
    if chosen.temperature == rejected.temperature:
        names.append(f"temperature {chosen.temperature:g}")
    else:
        names.append("two temperatures")
    return names


def as_json(verdict: Verdict) -> dict[str, Any]:
    """For run.json."""
    return {"promote": verdict.promote, "reason": verdict.reason}
