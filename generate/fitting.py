"""Which prompts an engine can read: each rendered once, before anything is sampled.

Those the chat template refuses and those that leave no room for an answer are named and counted.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generate.chat import prompt_token_ids
from generate.config import GenerateConfig
from generate.sampler import Sampler
from storage.errors import ModelError
from storage.records import Prompt

log = logging.getLogger(__name__)

NAMED = 5  # prompts named in a message

TOO_LONG = "too_long"
REFUSED_BY_TEMPLATE = "refused_by_template"

Rendered = dict[str, tuple[int, ...] | None]  # token ids by prompt id, None: the engine renders it


def fitting(
    asked: Mapping[str, Prompt], engine: Sampler, config: GenerateConfig, *, strict: bool
) -> tuple[Rendered, Counter[str]]:
    """The prompts that can be sampled with their token ids, and how many can't, by reason.

    asked: by id. strict: raises ModelError where one can't.
    """
    if engine.tokenizer is None:
        return dict.fromkeys(asked), Counter()
    ids_of, refused = _rendered(engine.tokenizer, asked.values())
    if refused:
        message = f"The chat template of {config.model} refuses {len(refused)} prompt(s):"
        lines = [f"  {why}: {_excerpt(asked[key])}" for key, why in refused.items()]
        _leave_out(message, lines, "Mend or remove these prompts", strict=strict)
    long: dict[str, int] = {}
    if engine.context_tokens is not None:
        room = engine.context_tokens - config.max_tokens
        long = {key: len(ids) for key, ids in ids_of.items() if len(ids) > room}
    if long:
        message = (
            f"{len(long)} prompt(s) are longer than the {room} tokens that the model's context of "
            f"{engine.context_tokens} leaves beside generate.max_tokens = {config.max_tokens}:"
        )
        lines = [f"  {length} tokens: {_excerpt(asked[key])}" for key, length in long.items()]
        advice = "Lower generate.max_tokens, or remove these prompts"
        _leave_out(message, lines, advice, strict=strict)
    left_out = Counter({REFUSED_BY_TEMPLATE: len(refused), TOO_LONG: len(long)})
    return {key: ids for key, ids in ids_of.items() if key not in long}, +left_out


def _rendered(
    tokenizer: Any, asked: Iterable[Prompt]
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Each prompt's token ids, and why the template refused those it did."""
    from jinja2 import TemplateError

    ids_of = {}
    refused = {}
    for prompt in asked:
        try:
            ids_of[prompt.id] = prompt_token_ids(tokenizer, prompt.messages)
        except TemplateError as error:
            refused[prompt.id] = str(error)
    return ids_of, refused


def _leave_out(message: str, lines: Sequence[str], advice: str, *, strict: bool) -> None:
    shown = "\n".join([message, *lines[:NAMED]])
    if len(lines) > NAMED:
        shown += f"\n  and {len(lines) - NAMED} more"
    if strict:
        raise ModelError(f"{shown}\n{advice}, or leave them out by not giving --strict.")
    log.warning("%s\nThey are left out. %s to have them answered.", shown, advice)


def _excerpt(prompt: Prompt) -> str:
    return f"{prompt.messages[-1].content[:60]!r} ({prompt.source}, {prompt.id})"
