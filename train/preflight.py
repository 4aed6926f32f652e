"""What breaks preference training silently, looked for before the first step.

Each check is a pure function of the data: a light, how many pairs it is about, some of their ids,
what was found and what to do. A red one stops the run; amber ones are told and kept in run.json.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
from rapidfuzz.distance import Levenshtein

from storage.intervals import wilson
from storage.prompts import normalised
from storage.records import FinishReason, Prompt, Response, Triplet
from train.config import EXPERIMENTAL, WEIGHED, Method, TrainConfig
from train.examples import Example, Single, end_ids, prompt_ids_of
from train.rows import Texts
from train.triplets import counted_ties
from train.usual import steps_of, unusual

EXAMPLES = 5  # ids told with each check
NEAR = 0.05  # token edits per token below which two answers are nearly the same
LENGTH_RATIO = (0.8, 1.25)  # of mean tokens, chosen over rejected
DOMINATES = 0.5  # share of the votes of one labeler among three or more


class Light(StrEnum):
    """Green: nothing to do. Amber: read it. Red: training would not do what it says."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table. count: of pairs (or votes, prompts) the finding is about."""

    name: str
    light: Light
    count: int
    finding: str
    fix: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Everything the checks look at; train and heldout are in the order of their triplets."""

    triplets: Sequence[Triplet]
    held: Sequence[Triplet]
    train: Sequence[Example]
    heldout: Sequence[Example]
    texts: Texts
    votes: pa.Table  # storage.judgments.votes of people
    tokenizer: Any
    config: TrainConfig
    extra: Sequence[Example] = ()  # edited answers over the pair's own, and ties
    singles: Sequence[Single] = ()  # answers of ties and both-bad pairs

    def pairs(self) -> Iterator[tuple[Triplet, Example, Response, Response]]:
        """The training pairs with their responses."""
        for t, e in zip(self.triplets, self.train, strict=True):
            yield t, e, self.texts.responses[t.chosen], self.texts.responses[t.rejected]

    def prompt(self, triplet: Triplet) -> Prompt:
        return self.texts.prompts[triplet.prompt_id]


def data_checks(data: Data) -> list[Check]:
    """All of them, in the order in which they should be mended."""
    return [check(data) for check in CHECKS]


def rows(data: Data) -> Check:
    """Every triplet is there once."""
    twice = [i for i, n in Counter(t.pair_id for t in data.triplets).items() if n > 1]
    found = f"{len(data.train)} pairs to train on, {len(data.heldout)} held out"
    return _check("rows", twice, found, red=f"{len(twice)} pairs are there twice", fix="Report it.")


def split_leak(data: Data) -> Check:
    """No prompt is on both sides, also not in another spelling."""
    trained = {normalised(data.prompt(t).messages) for t in data.triplets}
    leaked = [t.pair_id for t in data.held if normalised(data.prompt(t).messages) in trained]
    return _check(
        "split leak",
        leaked,
        "no held-out prompt is trained on",
        red=f"{len(leaked)} held-out pairs have a prompt that is trained on",
        fix="Their prompts differ in spelling only: take one of them out of the prompts.",
    )


def template(data: Data) -> Check:
    """The prompt as the tokenizer's template renders it now is what the sampler read."""
    other = [
        t.pair_id
        for t, _, chosen, rejected in data.pairs()
        for r in (chosen, rejected)
        if r.prompt_token_ids
        and list(r.prompt_token_ids) != prompt_ids_of(data.prompt(t), data.tokenizer)
    ]
    return _check(
        "chat template",
        list(dict.fromkeys(other)),
        "prompts read the same now as when the answers were sampled",
        red=f"{len(set(other))} prompts are other tokens now than when they were answered",
        fix="The model's chat template or tokenizer changed. Go back to the one that sampled, or "
        "sample again.",
    )


def first_token(data: Data) -> Check:
    """One beginning-of-text token, or none where the template has none."""
    bos = data.tokenizer.bos_token_id
    twice = [e.pair_id for e in data.train if bos is not None and e.prompt_ids.count(bos) > 1]
    return _check(
        "beginning of text",
        twice,
        "at most one beginning-of-text token",
        red=f"{len(twice)} prompts begin twice",
        fix="A rendered prompt was tokenized again. Sample again with this version.",
    )


def end_token(data: Data) -> Check:
    """An answer that stopped by itself ends with one end token."""
    ends = end_ids(data.tokenizer)
    wrong = []
    for _, e, chosen, rejected in data.pairs():
        for ids, response in ((e.chosen_ids, chosen), (e.rejected_ids, rejected)):
            stopped = response.finish_reason is FinishReason.STOP
            count = sum(i in ends for i in ids)
            if stopped and (count != 1 or ids[-1] not in ends) and count != 0:
                wrong.append(e.pair_id)
    return _check(
        "end of answer",
        list(dict.fromkeys(wrong)),
        "answers that stopped end with one end token",
        red=f"{len(set(wrong))} pairs hold an end token twice or in the middle",
        fix="Such answers teach the model to go on after its end. Leave these pairs out.",
    )


def truncated(data: Data) -> Check:
    """Answers that a limit or a stop string cut are trained without an end token."""
    cut = [
        t.pair_id
        for t, _, chosen, rejected in data.pairs()
        if {chosen.finish_reason, rejected.finish_reason} & _UNENDED
    ]
    return _check(
        "cut answers",
        cut,
        "every answer ends with the policy's own end token",
        amber=f"{len(cut)} pairs hold an answer that the token limit or a stop string cut",
        fix="They are trained without an end token. Raise generate.max_tokens, or leave out generate.stop, for the next round.",
    )


def too_long(data: Data) -> Check:
    """Nothing is longer than what fits."""
    limit = data.config.max_length
    every: list[Example | Single] = [*data.train, *data.extra, *data.singles, *data.heldout]
    lengths = [e.length for e in every]
    long = list(dict.fromkeys(e.pair_id for e in every if e.length > limit))
    half, most = (int(np.quantile(lengths, q)) for q in (0.5, 1.0))
    return _check(
        "length",
        long,
        f"half are up to {half} tokens, all up to {most}; train.max_length is {limit}",
        red=f"{len(long)} pairs are longer than train.max_length = {limit} tokens",
        fix=f"Set train.max_length to {most} or more.",
    )


def identical(data: Data) -> Check:
    """Two answers of the same tokens teach nothing."""
    same = [e.pair_id for e in data.train if e.chosen_ids == e.rejected_ids]
    return _check(
        "identical answers",
        same,
        "chosen and rejected always differ",
        red=f"{len(same)} pairs have the same tokens on both sides",
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
    return _check(
        "nearly identical answers",
        near,
        f"answers differ in {NEAR:.0%} of their tokens or more",
        amber=f"{len(near)} pairs differ in less than {NEAR:.0%} of their tokens",
        fix="They can make chosen answers less likely too (Razin et al. 2024). train.sft_weight = "
        "0.1 or train.loss = apo_zero holds against it.",
    )


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


_UNENDED = {FinishReason.LENGTH, FinishReason.STOP_STRING}
_SIDED = ("first", "second")


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
        finding=f"{len(count)} labelers; {who} gave {most / total:.0%} of {total} votes",
        fix="Their taste is what is learned. Ask others for more votes." if off else "",
    )


def on_policy(data: Data) -> Check:
    """Whether the answers are those of the policy that is trained."""
    policies = {r.policy_id for _, _, c, j in data.pairs() for r in (c, j)}
    mixed = len(policies) > 1
    return Check(
        name="on policy",
        light=Light.AMBER if mixed else Light.GREEN,
        count=len(policies),
        finding=f"answers of {len(policies)} policies"
        if mixed
        else "all answers are of the policy that is trained",
        fix="Answers of other policies teach less (off-policy); reference log-probabilities are "
        "worked out instead of taken from the sampler."
        if mixed
        else "",
    )


def settings(data: Data) -> Check:
    """Learning rate, beta and steps against what such training usually needs."""
    pairs, singles = len(data.train) + len(data.extra), len(data.singles)
    rows = 2 * pairs + singles if data.config.method is Method.KTO else pairs
    steps = steps_of(data.config, rows)
    wrong = unusual(data.config, steps=steps)
    return Check(
        name="settings",
        light=Light.AMBER if wrong else Light.GREEN,
        count=len(wrong),
        finding="; ".join(wrong) or f"rate, beta and {steps:g} steps are in the usual range",
        fix="A model much smaller or larger than a few billion weights may want it so."
        if wrong
        else "",
    )


def method(data: Data) -> Check:
    """What is made of the pairs, and what is new about it."""
    chosen, singles = data.config.method, len(data.singles)
    edited, ties = sum(e.edited for e in data.extra), sum(e.even for e in data.extra)
    found = f"{chosen.value} of {len(data.train)} pairs"
    found += f", {edited} more with an edited answer" if edited else ""
    found += f", {counted_ties(ties)} with probability 0.5" if ties else ""
    found += f", {singles} answers of ties and both-bad pairs" if singles else ""
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


def retokenized(data: Data) -> Check:
    """How many answers would be other tokens if their text were read again."""
    drifted = [
        e.pair_id
        for t, e, chosen, rejected in data.pairs()
        if any(_drifts(r, data.tokenizer) for r in (chosen, rejected))
    ]
    return Check(
        name="tokens of texts",
        light=Light.GREEN,
        count=len(drifted),
        finding=f"{len(drifted)} pairs would be other tokens if their texts were read again; the "
        "sampler's own are trained on",
        examples=tuple(drifted[:EXAMPLES]),
    )


CHECKS: tuple[Callable[[Data], Check], ...] = (
    method,
    rows,
    split_leak,
    identical,
    nearly_identical,
    first_token,
    end_token,
    truncated,
    template,
    retokenized,
    too_long,
    length_bias,
    side_bias,
    one_labeler,
    on_policy,
    settings,
)


def _drifts(response: Response, tokenizer: Any) -> bool:
    ids = [i for i in response.token_ids or () if i not in end_ids(tokenizer)]
    return bool(ids) and tokenizer.encode(response.text, add_special_tokens=False) != ids


def _check(
    name: str,
    ids: Sequence[str],
    finding: str,
    *,
    fix: str,
    red: str = "",
    amber: str = "",
) -> Check:
    """Green unless there are ids."""
    if not ids:
        return Check(name=name, light=Light.GREEN, count=0, finding=finding)
    return Check(
        name=name,
        light=Light.RED if red else Light.AMBER,
        count=len(ids),
        finding=red or amber,
        fix=fix,
        examples=tuple(ids[:EXAMPLES]),
    )
