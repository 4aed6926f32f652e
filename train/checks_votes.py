"""Whether the votes prefer something else than the better answer: length, a side, one taste."""

from collections import Counter

import numpy as np

from storage.intervals import wilson
from storage.words import many
from train.preflight import Check, Data, Light

LENGTH_RATIO = (0.8, 1.25)  # of mean tokens, chosen over rejected
DOMINATES = 0.5  # share of the votes of one labeler among three or more
_SIDED = ("first", "second")


def length_bias(data: Data) -> Check:
    """Whether people chose the longer answer, and by how much."""
    sizes = [(len(e.chosen_ids), len(e.rejected_ids)) for e in data.train]
    longer = sum(c > j for c, j in sizes)
    decided = sum(c != j for c, j in sizes)
    low, high = wilson(longer, decided) if decided else (0.0, 1.0)
    ratio = float(np.mean([c for c, _ in sizes]) / np.mean([j for _, j in sizes]))
    share = longer / decided if decided else 0.5
    found = (
        f"chosen answers have {ratio:.2f} times the tokens of rejected ones; the longer one is "
        f"chosen in {share:.0%} ({low:.0%} to {high:.0%})"
    )
    off = not LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1] or low > 0.65 or high < 0.35
    return Check(
        name="length bias",
        light=Light.AMBER if off else Light.GREEN,
        count=longer,
        finding=found,
        fix="The policy may learn the length alone. train.loss = sigmoid_norm divides by it."
        if off
        else "",
    )


def side_bias(data: Data) -> Check:
    """Whether the left answer wins more often than chance."""
    verdicts = data.votes["verdict"].to_pylist()
    sides = data.votes["first_side"].to_pylist()
    shown = [(v, s) for v, s in zip(verdicts, sides, strict=True) if v in _SIDED and s]
    left = sum((v == "first") == (s == "left") for v, s in shown)
    low, high = wilson(left, len(shown)) if shown else (0.0, 1.0)
    off = bool(shown) and not low <= 0.5 <= high
    share = f"{left / len(shown):.0%} of {len(shown)}" if shown else "no"
    return Check(
        name="side bias",
        light=Light.AMBER if off else Light.GREEN,
        count=left,
        finding=f"{share} votes prefer the left answer ({low:.0%} to {high:.0%})",
        fix="Sides are shuffled, so it averages out, but such votes tell less: see who in "
        "`pairloop agreement`."
        if off
        else "",
    )


def one_labeler(data: Data) -> Check:
    """Whether one person's taste is what is trained."""
    used = {t.pair_id for t in data.triplets}
    pairs, names = data.votes["pair_id"].to_pylist(), data.votes["labeler"].to_pylist()
    count = Counter(who for pair, who in zip(pairs, names, strict=True) if pair in used)
    if not count:
        return Check(name="one labeler", light=Light.GREEN, count=0, finding="no votes of people")
    (who, most), total = count.most_common(1)[0], count.total()
    off = len(count) >= 3 and most > DOMINATES * total
    return Check(
        name="one labeler",
        light=Light.AMBER if off else Light.GREEN,
        count=most,
        finding=f"{many(len(count), 'labeler')}; {who} gave {most / total:.0%} of {many(total, 'vote')}",
        fix="Their taste is what is learned. Ask others for more votes." if off else "",
    )
