"""The engine that is somebody else's server: `vllm serve`, or any other OpenAI-compatible one.

What it can do is tried when it is opened, with a handful of one-token requests:

- token ids in, token ids and log-probabilities out (/completions with return_token_ids, vLLM):
  the policy reads and writes the very ids that are stored, as with the engines in this process.
- messages in, text out (/chat/completions, everyone): token ids and log-probabilities are then
  not known, and the engine's name, stored with each answer, says "text only".

The key comes from PAIRLOOP_GENERATE_KEY and goes to the configured address alone.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from generate.chat import adapter_rank, load_tokenizer
from generate.config import GenerateConfig
from generate.sampler import Request, Sample, blocks
from storage.errors import ConfigurationError, ModelError
from storage.model_server import NO_CONNECTION, WAITS, Address, Answer, ModelServer, Question
from storage.records import FinishReason
from storage.words import many

log = logging.getLogger(__name__)

KEY = "PAIRLOOP_GENERATE_KEY"
MAX_BYTES = 64_000_000  # of one reply: a long answer brings a number per token
GIVE_UP_AFTER = 24  # requests that failed in a row: the server is gone, not one request unlucky
NAMED = 5  # failed prompts that the message names
NO_ANSWER = "reply holds no answer"
_SAME_NATS = 0.02  # a server's own noise between two readings of one log-probability


class OpenAISampler:
    """Samples from config.server, config.server.concurrency requests at a time."""

    def __init__(self, config: GenerateConfig, *, key: str, waits: Sequence[float] = WAITS) -> None:
        settings = config.server
        if settings.url is None:
            raise ConfigurationError(
                "generate.engine is 'openai' but generate.server.url is not set. Put the server's "
                'address into pairloop.toml, for example url = "http://127.0.0.1:8000/v1" under '
                "[generate.server]."
            )
        address = Address(
            url=settings.url,
            setting="generate.server",
            key_name=KEY,
            called="The model's server",
            concurrency=settings.concurrency,
            timeout_seconds=settings.timeout_seconds,
            requests_per_minute=settings.requests_per_minute,
            max_bytes=MAX_BYTES,
        )
        self._server = ModelServer(address, key=key, waits=waits)
        self._cards = self._served()
        self._model = self._served_name(settings.model, config.model)
        self._adapters: dict[Path, str] = {}
        card = self._cards.get(self._model, {})
        length = card.get("max_model_len")
        self.context_tokens = length if isinstance(length, int) else None
        self._exact = self._takes_token_ids()
        self._raw_logprobs = self._exact and self._gives_raw_logprobs()
        self.tokenizer: Any | None = load_tokenizer(config.model) if self._exact else None
        maker = self._version() if card.get("owned_by") == "vllm" else "openai"
        self.name = f"{maker} at {self._server.host}{'' if self._exact else ', text only'}"
        if not self._exact:
            log.warning(
                "The server at %s takes no token ids: it renders prompts itself, and answers are "
                "stored without token ids and log-probabilities.",
                self._server.host,
            )

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        failed: list[tuple[Request, str]] = []  # and why
        asked = 0
        for block in blocks(requests):
            asked += len(block)
            groups: dict[Path | None, list[Request]] = {}
            for request in block:
                groups.setdefault(request.adapter, []).append(request)
            names = {adapter: self._served_adapter(adapter) for adapter in groups}
            # One adapter after the other: beside a request with an adapter, vLLM's CPU build (0.32)
            # may answer one without through it.
            for adapter, group in groups.items():
                yield from self._group(group, names[adapter], failed)
        if failed:
            raise ModelError(_failures(failed, asked, self._server.host))

    def _group(
        self, requests: Sequence[Request], model: str, failed: list[tuple[Request, str]]
    ) -> Iterator[Sample]:
        """The answers of one served model; notes in `failed` which request has none, and why."""
        in_a_row = 0
        by_key = {r.key: r for r in requests}
        answers = self._server.ask(self._question(r, model) for r in requests)
        try:
            for answer in answers:
                sample, failure = None, answer.failure
                if not failure:
                    sample, failure = self._sample(answer)
                if sample is not None:
                    in_a_row = 0
                    yield sample
                    continue
                why = f"{failure}: {answer.detail}" if answer.detail else failure
                failed.append((by_key[answer.key], why))
                refused = answer.status is not None and 400 <= answer.status < 500
                in_a_row = in_a_row if refused else in_a_row + 1
                if in_a_row >= GIVE_UP_AFTER:
                    raise ModelError(
                        f"The model's server at {self._server.host} failed {many(in_a_row, 'time')} in a "
                        f"row ({failure}), so nothing more was asked. Finished answers are stored; "
                        "see to the server, then run this again to go on."
                    )
        finally:
            answers.close()

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _served(self) -> dict[str, dict[str, Any]]:
        """The server's models by name; none where it doesn't list them."""
        answer = self._server.ask_one(
            Question(key="models", url=self._server.at("/models"), body=None, must_exist=False)
        )
        if answer.failure == NO_CONNECTION:
            raise ModelError(
                f"No server answers at generate.server.url ({self._server.at('')}). Start it, for "
                "example with `vllm serve MODEL`, or correct the address."
            )
        try:
            return {card["id"]: card for card in answer.data["data"]}
        except (LookupError, TypeError):
            return {}

    def _served_name(self, wanted: str, model: str) -> str:
        """What the server calls the model: generate.server.model, else the name or path it has."""
        name = wanted or model
        if not self._cards or name in self._cards:
            return name
        if not wanted:
            for served, card in self._cards.items():
                if card.get("root") == model:
                    return served
        raise ModelError(
            f"The model's server at {self._server.host} serves {', '.join(self._cards)}, not "
            f"{name!r}. Serve the model of generate.model there, and put the name it has on that "
            "server into generate.server.model."
        )

    def _served_adapter(self, adapter: Path | None) -> str:
        """The name under which the server answers through this adapter, loaded there if need be."""
        if adapter is None:
            return self._model
        if adapter in self._adapters:
            return self._adapters[adapter]
        adapter_rank(adapter)
        path = adapter.resolve()
        for served, card in self._cards.items():
            root = card.get("root")
            mine = Path(root).resolve() == path if root and card.get("parent") else False
            if mine or (served == adapter.name and not root):
                self._adapters[adapter] = served
                return served
        # The weights' hash in the name: a folder trained anew is another adapter to the server.
        with (adapter / "adapter_model.safetensors").open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        name = f"{adapter.name}-{digest[:12]}"
        if name not in self._cards:
            self._load_adapter(name, path)
        self._adapters[adapter] = name
        return name

    def _load_adapter(self, name: str, path: Path) -> None:
        answer = self._server.ask_one(
            Question(
                key=name,
                url=self._server.at("/load_lora_adapter"),
                body={"lora_name": name, "lora_path": str(path)},
                must_exist=False,
            )
        )
        if answer.status == 200:  # what it says is no JSON
            return
        said = f" ({answer.failure}{': ' if answer.detail else ''}{answer.detail})"
        raise ModelError(
            f"The model's server at {self._server.host} does not answer through the adapter "
            f"{path}{said}. Start it with `--enable-lora --lora-modules {path.name}={path}`, or "
            "with `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 in its environment and a "
            "--max-lora-rank of at least the adapter's; the folder must be readable there."
        )

    def _takes_token_ids(self) -> bool:
        """Whether token ids go in and come out, tried with one token."""
        body = {"model": self._model, "prompt": [1], "max_tokens": 1, "return_token_ids": True}
        answer = self._server.ask_one(
            Question(key="", url=self._server.at("/completions"), body=body, must_exist=False)
        )
        choice = _choice(answer)
        return choice.get("prompt_token_ids") == [1] and _ints(choice.get("token_ids")) is not None

    def _gives_raw_logprobs(self) -> bool:
        """Whether log-probabilities come, and from before the temperature.

        The likeliest next token's is read at two temperatures: only an untempered one stays.
        """
        seen = []
        for temperature in (1.0, 2.0):
            body = {
                "model": self._model,
                "prompt": "The",
                "max_tokens": 1,
                "temperature": temperature,
                "logprobs": 1,
            }
            answer = self._server.ask_one(
                Question(key="", url=self._server.at("/completions"), body=body)
            )
            try:
                seen.append(max(_choice(answer)["logprobs"]["top_logprobs"][0].values()))
            except (LookupError, TypeError, ValueError, AttributeError):
                log.warning(
                    "The server at %s gives no log-probabilities; none are stored.",
                    self._server.host,
                )
                return False
        if abs(seen[0] - seen[1]) > _SAME_NATS:
            log.warning(
                "The log-probabilities of the server at %s change with the temperature, so they "
                "are not the policy's own and are not stored. Start it with "
                "`--logprobs-mode raw_logprobs`.",
                self._server.host,
            )
            return False
        return True

    def _version(self) -> str:
        answer = self._server.ask_one(
            Question(key="", url=self._server.at_root("/version"), body=None, must_exist=False)
        )
        version = answer.data.get("version") if isinstance(answer.data, dict) else None
        return f"vllm {version}" if version else "vllm"

    def _question(self, request: Request, model: str) -> Question:
        s = request.sampling
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": s.max_tokens,
            "temperature": s.temperature,
            "top_p": s.top_p,
            "seed": s.seed,
        }
        if s.stop:
            body["stop"] = list(s.stop)
        if not self._exact:
            body["messages"] = [m.as_dict() for m in request.messages]
            # Others than vLLM may refuse these two, so they are sent only where they are wanted.
            body |= {"top_k": s.top_k} if s.top_k else {}
            body |= {"min_p": s.min_p} if s.min_p else {}
            return Question(key=request.key, url=self._server.at("/chat/completions"), body=body)
        body |= {
            "prompt": list(request.prompt_ids),
            # Said outright: the server's own defaults come from the model's generation config.
            "top_k": s.top_k,
            "min_p": s.min_p,
            "repetition_penalty": 1.0,
            "return_token_ids": True,
        }
        if self._raw_logprobs:
            body["logprobs"] = 0  # the sampled token's own
        return Question(key=request.key, url=self._server.at("/completions"), body=body)

    def _sample(self, answer: Answer) -> tuple[Sample | None, str]:
        """What was answered, or None and why that is no answer."""
        choice = _choice(answer)
        reason = _finish_reason(choice)
        if reason is None:
            stopped = choice.get("finish_reason")
            return None, f"it ended with {str(stopped)[:40]!r}" if stopped else NO_ANSWER
        ids = prompt = logprobs = None
        if self._exact:
            text = choice.get("text")
            ids, prompt = _ints(choice.get("token_ids")), _ints(choice.get("prompt_token_ids"))
            if ids is None or prompt is None:
                return None, NO_ANSWER
        else:
            message = choice.get("message")
            text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str):
            return None, NO_ANSWER
        if ids is not None and self._raw_logprobs:
            logprobs = _floats(choice, len(ids))
            if logprobs is None:
                return None, "reply holds not one log-probability per token"
        return Sample(
            key=answer.key,
            text=text,
            finish_reason=reason,
            prompt_token_ids=prompt,
            token_ids=ids,
            logprobs=logprobs,
        ), ""


def _choice(answer: Answer) -> dict[str, Any]:
    try:
        choice = answer.data["choices"][0]
    except (LookupError, TypeError):
        return {}
    return choice if isinstance(choice, dict) else {}


def _finish_reason(choice: dict[str, Any]) -> FinishReason | None:
    match choice.get("finish_reason"), choice.get("stop_reason"):
        case "stop", str():
            return FinishReason.STOP_STRING
        case "stop", _:
            return FinishReason.STOP
        case "length", _:
            return FinishReason.LENGTH
        case _:
            return None


def _ints(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or any(type(v) is not int for v in value):
        return None
    return tuple(value)


def _floats(choice: dict[str, Any], count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(v) for v in choice["logprobs"]["token_logprobs"])
    except (LookupError, TypeError, ValueError):
        return None
    return values if len(values) == count else None


def _failures(failed: Sequence[tuple[Request, str]], asked: int, host: str) -> str:
    """One message for all that failed, naming the prompts."""
    reasons = Counter(why.split(":")[0] for _, why in failed)
    counted = ", ".join(f"{n} {why}" for why, n in reasons.most_common())
    prompts = {request.messages[-1].content: why for request, why in failed}
    shown = "\n".join(f"  {text[:60]!r}: {why}" for text, why in list(prompts.items())[:NAMED])
    more = f"\n  and {len(prompts) - NAMED} more" if len(prompts) > NAMED else ""
    return (
        f"The model's server at {host} gave no answer to {len(failed)} of {many(asked, 'request')} "
        f"({counted}), on {many(len(prompts), 'prompt')}:\n{shown}{more}\n"
        "All other answers are stored. Run this again to ask for these once more; a prompt the "
        "server always refuses (HTTP 400) has to be removed or shortened."
    )
