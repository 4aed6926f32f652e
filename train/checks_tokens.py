"""Whether the tokens trained on are those the policy read and wrote."""

from typing import Any

import numpy as np

from storage.records import FinishReason, Response
from storage.words import many
from train.examples import Example, Single, end_ids, prompt_ids_of
from train.preflight import EXAMPLES, Check, Data, Light, check_of

_UNENDED = {FinishReason.LENGTH, FinishReason.STOP_STRING}


def first_token(data: Data) -> Check:
    """One beginning-of-text token, or none where the template has none."""
    bos = data.tokenizer.bos_token_id
    twice = [e.pair_id for e in data.train if bos is not None and e.prompt_ids.count(bos) > 1]
    return check_of(
        "beginning of text",
        twice,
        "at most one beginning-of-text token",
        red=f"{many(len(twice), 'prompt begins', 'prompts begin')} twice",
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
    return check_of(
        "end of answer",
        list(dict.fromkeys(wrong)),
        "answers that stopped end with one end token",
        red=f"{many(len(set(wrong)), 'pair holds', 'pairs hold')} an end token twice or in the middle",
        fix="Such answers teach the model to go on after its end. Leave these pairs out.",
    )


def truncated(data: Data) -> Check:
    """Answers that a limit or a stop string cut are trained without an end token."""
    cut = [
        t.pair_id
        for t, _, chosen, rejected in data.pairs()
        if {chosen.finish_reason, rejected.finish_reason} & _UNENDED
    ]
    return check_of(
        "cut answers",
        cut,
        "every answer ends with the policy's own end token",
        amber=f"{many(len(cut), 'pair holds', 'pairs hold')} an answer that the token limit or a stop string cut",
        fix="They are trained without an end token. Raise generate.max_tokens, or leave out generate.stop, for the next round.",
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
    return check_of(
        "chat template",
        list(dict.fromkeys(other)),
        "prompts read the same now as when the answers were sampled",
        red=f"{many(len(set(other)), 'prompt reads', 'prompts read')} as other tokens now than when answered",
        fix="The model's chat template or tokenizer changed. Go back to the one that sampled, or "
        "sample again.",
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
        finding=f"{many(len(drifted), 'pair')} would be other tokens if the texts were read again; the "
        "sampler's own are trained on",
        examples=tuple(drifted[:EXAMPLES]),
    )


def too_long(data: Data) -> Check:
    """Nothing is longer than what fits."""
    limit = data.config.max_length
    every: list[Example | Single] = [*data.train, *data.extra, *data.singles, *data.heldout]
    lengths = [e.length for e in every]
    long = list(dict.fromkeys(e.pair_id for e in every if e.length > limit))
    half, most = (int(np.quantile(lengths, q)) for q in (0.5, 1.0))
    return check_of(
        "length",
        long,
        f"half are up to {many(half, 'token')}, all up to {most}; train.max_length is {limit}",
        red=f"{many(len(long), 'pair is', 'pairs are')} longer than train.max_length = {many(limit, 'token')}",
        fix=f"Set train.max_length to {most} or more.",
    )


def _drifts(response: Response, tokenizer: Any) -> bool:
    ids = [i for i in response.token_ids or () if i not in end_ids(tokenizer)]
    return bool(ids) and tokenizer.encode(response.text, add_special_tokens=False) != ids
