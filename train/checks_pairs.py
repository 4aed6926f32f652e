"""Whether the pairs can teach what people meant: rows, splits, and what is trained of them."""

from collections import Counter

from rapidfuzz.distance import Levenshtein

from storage.prompts import normalised
from storage.words import many
from train.config import EXPERIMENTAL, WEIGHED, Method, TrainConfig
from train.preflight import Check, Data, Light, check_of
from train.triplets import counted_ties
from train.usual import steps_of, unusual

NEAR = 0.05  # token edits per token below which two answers are nearly the same


def method(data: Data) -> Check:
    """What is made of the pairs, and what is new about it."""
    chosen, singles = data.config.method, len(data.singles)
    edited, ties = sum(e.edited for e in data.extra), sum(e.even for e in data.extra)
    found = f"{chosen.value} of {many(len(data.train), 'pair')}"
    found += f", {edited} more with an edited answer" if edited else ""
    found += f", {counted_ties(ties)} with probability 0.5" if ties else ""
    found += f", {many(singles, 'answer')} of ties and both-bad pairs" if singles else ""
    weighed = chosen in WEIGHED and data.config.pair_weights
    found += ", weighed by how sure the votes are" if weighed else "; every pair counts alike"
    new = chosen in EXPERIMENTAL
    return Check(
        name="method",
        light=Light.AMBER if new else Light.GREEN,
        count=len(data.train),
        finding=found + ("; it is in trl.experimental" if new else ""),
        fix="It may change or go with any version of trl, and results hang much on rate and batch "
        "size. dpo, kto, sft and reward are stable."
        if new
        else "",
    )


def rows(data: Data) -> Check:
    """Every triplet is there once."""
    twice = [i for i, n in Counter(t.pair_id for t in data.triplets).items() if n > 1]
    found = f"{many(len(data.train), 'pair')} to train on, {len(data.heldout)} held out"
    return check_of(
        "rows",
        twice,
        found,
        red=f"{many(len(twice), 'pair is', 'pairs are')} there twice",
        fix="Report it.",
    )


def split_leak(data: Data) -> Check:
    """No prompt is on both sides, also not in another spelling."""
    trained = {normalised(data.prompt(t).messages) for t in data.triplets}
    leaked = [t.pair_id for t in data.held if normalised(data.prompt(t).messages) in trained]
    return check_of(
        "split leak",
        leaked,
        "no held-out prompt is trained on",
        red=f"{many(len(leaked), 'held-out pair has', 'held-out pairs have')} a prompt that is trained on",
        fix="Their prompts differ in spelling only: take one of them out of the prompts.",
    )


def identical(data: Data) -> Check:
    """Two answers of the same tokens teach nothing."""
    same = [e.pair_id for e in data.train if e.chosen_ids == e.rejected_ids]
    return check_of(
        "identical answers",
        same,
        "chosen and rejected always differ",
        red=f"{many(len(same), 'pair has', 'pairs have')} the same tokens on both sides",
        fix="Leave them out: their loss never moves and they count as wrong.",
    )


def nearly_identical(data: Data) -> Check:
    """Answers that hardly differ push down the very words they push up."""
    near = [
        e.pair_id
        for e in data.train
        if e.chosen_ids != e.rejected_ids
        and Levenshtein.normalized_distance(e.chosen_ids, e.rejected_ids, score_cutoff=NEAR) < NEAR
    ]
    return check_of(
        "nearly identical answers",
        near,
        f"answers differ in {NEAR:.0%} of their tokens or more",
        amber=f"{many(len(near), 'pair differs', 'pairs differ')} in less than {NEAR:.0%} of their tokens",
        fix="They can make chosen answers less likely too (Razin et al. 2024). train.sft_weight = "
        "0.1 or train.loss = apo_zero holds against it.",
    )


def on_policy(data: Data) -> Check:
    """Whether the answers are those of the policy that is trained."""
    policies = {r.policy_id for _, _, c, j in data.pairs() for r in (c, j)}
    mixed = len(policies) > 1
    return Check(
        name="on policy",
        light=Light.AMBER if mixed else Light.GREEN,
        count=len(policies),
        finding=f"answers of {many(len(policies), 'policy', 'policies')}"
        if mixed
        else "all answers are of the policy that is trained",
        fix="Answers of other policies teach less (off-policy); reference log-probabilities are "
        "worked out instead of taken from the sampler."
        if mixed
        else "",
    )


def processes(data: Data) -> Check:
    """How the rows are divided; processes take equal shares, so the last step may be filled up."""
    config = data.config
    twice = -_rows(data) % (config.processes * config.at_once)
    finding = f"{many(config.processes, 'process', 'processes')}, each {config.at_once} at once"
    return Check(
        name="processes",
        light=Light.GREEN,
        count=twice if config.launch else 0,
        finding=f"{finding}; {many(twice, 'row is', 'rows are')} taken a second time to fill an epoch's last step"
        if config.launch
        else "one process",
    )


def _rows(data: Data) -> int:
    pairs, singles = len(data.train) + len(data.extra), len(data.singles)
    return 2 * pairs + singles if data.config.method is Method.KTO else pairs


def settings(data: Data) -> Check:
    """Learning rate, beta and steps against what such training usually needs."""
    return usual_settings(data.config, rows=_rows(data))


def usual_settings(config: TrainConfig, *, rows: int) -> Check:
    """The same, for so many rows an epoch."""
    steps = steps_of(config, rows)
    wrong = unusual(config, steps=steps)
    return Check(
        name="settings",
        light=Light.AMBER if wrong else Light.GREEN,
        count=len(wrong),
        finding="; ".join(wrong) or f"rate, beta and {steps:g} steps are in the usual range",
        fix="A model much smaller or larger than a few billion weights may want it so."
        if wrong
        else "",
    )
