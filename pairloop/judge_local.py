"""The local engine as a judge: what samples the policies' answers also reads and compares them."""

from collections.abc import Generator, Iterable, Sequence
from itertools import islice

from annotate.judge import CUT_OFF, EMPTY, TOO_LONG, Conversation, Reply
from generate.chat import load_tokenizer, prompt_token_ids
from generate.config import GenerateConfig
from generate.sampler import Request, open_sampler
from storage.errors import ModelError
from storage.records import FinishReason, Message, Sampling
from storage.words import many

TOGETHER = 2048  # conversations handed to the engine at once


class LocalJudge:
    """Asks config.model, a base model without adapter, through vLLM or transformers."""

    def __init__(self, config: GenerateConfig, *, max_tokens: int) -> None:
        self._tokenizer = load_tokenizer(config.model)
        self._engine = open_sampler(config, adapters=[])
        self._sampling = Sampling(
            temperature=0.0, top_p=1.0, max_tokens=max_tokens, seed=0, index=0
        )
        context = self._engine.context_tokens
        if context is not None and max_tokens >= context:
            raise ModelError(
                f"annotate.judge.max_tokens = {max_tokens} leaves no room for a question in the "
                f"{many(context, 'token')} that {config.model} takes. Lower it."
            )
        self._room = context - max_tokens if context is not None else None
        self.name = f"{config.model} with {self._engine.name}"

    def ask(self, conversations: Iterable[Conversation]) -> Generator[Reply, None, None]:
        rest = iter(conversations)
        while part := list(islice(rest, TOGETHER)):
            requests = []
            for conversation in part:
                ids = self._token_ids(conversation.messages)
                if self._room is not None and len(ids) > self._room:
                    yield Reply(key=conversation.key, failure=TOO_LONG)
                    continue
                requests.append(
                    Request(
                        key=conversation.key,
                        messages=tuple(conversation.messages),
                        prompt_token_ids=ids,
                        sampling=self._sampling,
                    )
                )
            for sample in self._engine.sample(requests):
                if sample.finish_reason is FinishReason.LENGTH:
                    yield Reply(key=sample.key, failure=CUT_OFF)
                elif not sample.text.strip():
                    yield Reply(key=sample.key, failure=EMPTY)
                else:
                    yield Reply(key=sample.key, text=sample.text)

    def _token_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        from jinja2 import TemplateError

        try:
            return prompt_token_ids(self._tokenizer, messages)
        except TemplateError:
            # Some templates take no system turn; what it says then stands before the question.
            text = "\n\n".join(m.content for m in messages)
            return prompt_token_ids(self._tokenizer, [Message(role="user", content=text)])
