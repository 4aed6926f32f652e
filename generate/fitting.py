"""Which prompts an engine can't read: each is rendered before anything is sampled.

Those the chat template refuses and those that leave no room for an answer are named and counted.
"""

import logging
from collections.abc import Iterable, Sequence

from generate.chat import prompt_token_ids
from generate.config import GenerateConfig
from generate.sampler import Sampler
from storage.errors import ModelError
from storage.records import Prompt
from storage.words import many

log = logging.getLogger(__name__)

NAMED = 5  # prompts named in a message

TOO_LONG = "too_long"
REFUSED_BY_TEMPLATE = "refused_by_template"


def fitting(
    asked: Iterable[Prompt], engine: Sampler, config: GenerateConfig, *, strict: bool
) -> dict[str, str]:
    """Why each prompt that can't be sampled can't, by prompt id.

    strict: raises ModelError where one can't.
    """
    if engine.tokenizer is None:
        return {}
    from jinja2 import TemplateError

    room = None
    if engine.context_tokens is not None:
        room = engine.context_tokens - config.max_tokens
    refused: dict[str, str] = {}  # what to say of each, by prompt id
    long: dict[str, str] = {}
    for prompt in asked:
        try:
            length = len(prompt_token_ids(engine.tokenizer, prompt.messages))
        except TemplateError as error:
            refused[prompt.id] = f"  {error}: {_excerpt(prompt)}"
            continue
        if room is not None and length > room:
            long[prompt.id] = f"  {many(length, 'token')}: {_excerpt(prompt)}"
    if refused:
        message = f"The chat template of {config.model} refuses {many(len(refused), 'prompt')}:"
        _leave_out(message, [*refused.values()], "Mend or remove these prompts", strict=strict)
    if long:
        message = (
            f"{many(len(long), 'prompt is', 'prompts are')} longer than the {room} tokens "
            f"that the model's context of {engine.context_tokens} leaves beside "
            f"generate.max_tokens = {config.max_tokens}:"
        )
        advice = "Lower generate.max_tokens, or remove these prompts"
        _leave_out(message, [*long.values()], advice, strict=strict)
    return dict.fromkeys(refused, REFUSED_BY_TEMPLATE) | dict.fromkeys(long, TOO_LONG)


def _leave_out(message: str, lines: Sequence[str], advice: str, *, strict: bool) -> None:
    shown = "\n".join([message, *lines[:NAMED]])
    if len(lines) > NAMED:
        shown += f"\n  and {len(lines) - NAMED} more"
    if strict:
        raise ModelError(f"{shown}\n{advice}, or leave them out by not giving --strict.")
    log.warning("%s\nThey are left out. %s to have them answered.", shown, advice)


def _excerpt(prompt: Prompt) -> str:
    return f"{prompt.messages[-1].content[:60]!r} ({prompt.source}, {prompt.id})"
