"""The engine that runs where vLLM is not installed: transformers' generate, batched.

generate() does the batching, caching and stopping; the choice of each token is made by our own
logits processor, so that every row has its own temperature and seed and its raw log-probability
is kept. A row's random numbers depend on its seed alone, never on the batch it is in.
The only file that calls transformers' generate.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    __version__,
)

from generate.chat import adapter_rank, load_tokenizer
from generate.config import GenerateConfig
from generate.sampler import Request, Sample
from storage.errors import ModelError
from storage.records import FinishReason

BATCH = 128


class TransformersSampler:
    """One base model on the GPU if there is one, else on the CPU; adapters through PEFT."""

    def __init__(self, config: GenerateConfig) -> None:
        self._tokenizer = load_tokenizer(config.model)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                config.model, dtype=config.dtype
            )
        except (OSError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ModelError(f"{config.model!r} can't be loaded: {reason}") from error
        self._model.to(self._device).eval()
        self._adapters: dict[Path, Any] = {}
        self.name = f"transformers {__version__}"
        self.context_tokens = int(self._model.config.max_position_embeddings)

    def sample(self, requests: Sequence[Request], *, adapter: Path | None) -> Iterator[Sample]:
        model = self._with_adapter(adapter)
        # Prompts of like length share a batch, so little of it is padding.
        ordered = sorted(requests, key=lambda r: len(r.prompt_token_ids))
        for start in range(0, len(ordered), BATCH):
            yield from self._batch(model, ordered[start : start + BATCH])

    def _with_adapter(self, adapter: Path | None) -> Any:
        """The model that answers: the base itself, or the base seen through one adapter."""
        if adapter is None:
            if not self._adapters:
                return self._model
            next(iter(self._adapters.values())).base_model.disable_adapter_layers()
            return next(iter(self._adapters.values()))
        adapter_rank(adapter)
        from peft import PeftModel

        path = adapter.resolve()
        name = f"adapter_{len(self._adapters)}"
        if not self._adapters:
            self._adapters[path] = PeftModel.from_pretrained(self._model, path, adapter_name=name)
        elif path not in self._adapters:
            wrapped = next(iter(self._adapters.values()))
            wrapped.load_adapter(path, adapter_name=name)
            self._adapters[path] = wrapped
        model = self._adapters[path]
        model.base_model.enable_adapter_layers()
        model.set_adapter(f"adapter_{list(self._adapters).index(path)}")
        return model.eval()

    @torch.inference_mode()
    def _batch(self, model: Any, requests: Sequence[Request]) -> Iterator[Sample]:
        pad = self._tokenizer.pad_token_id
        if pad is None:
            pad = self._tokenizer.eos_token_id
        width = max(len(r.prompt_token_ids) for r in requests)
        ids_B_T = torch.full((len(requests), width), pad, dtype=torch.long)
        mask_B_T = torch.zeros_like(ids_B_T)
        for row, request in enumerate(requests):
            length = len(request.prompt_token_ids)
            ids_B_T[row, width - length :] = torch.tensor(request.prompt_token_ids)
            mask_B_T[row, width - length :] = 1
        most = max(r.sampling.max_tokens for r in requests)
        ends = _end_ids(self._model, self._tokenizer)
        chooser = _ChooseTokens(requests, tokens=most)
        output = model.generate(
            input_ids=ids_B_T.to(self._device),
            attention_mask=mask_B_T.to(self._device),
            generation_config=GenerationConfig(
                max_new_tokens=most, do_sample=False, eos_token_id=ends, pad_token_id=pad
            ),
            logits_processor=LogitsProcessorList([chooser]),
        )
        sampled_B_T = output[:, width:].cpu().tolist()
        logprobs_B_T = torch.stack(chooser.logprobs, dim=1).cpu().double().numpy()
        for row, request in enumerate(requests):
            yield self._finish(request, sampled_B_T[row], logprobs_B_T[row], ends)

    def _finish(
        self, request: Request, sampled: list[int], logprobs: Any, ends: Sequence[int]
    ) -> Sample:
        limit = request.sampling.max_tokens
        stop = next((i for i, token in enumerate(sampled[:limit]) if token in ends), None)
        count = limit if stop is None else stop + 1
        ids = sampled[:count]
        words = ids if stop is None else ids[:-1]
        return Sample(
            key=request.key,
            text=self._tokenizer.decode(words, skip_special_tokens=True),
            token_ids=tuple(ids),
            logprob_sum=float(logprobs[: len(ids)].sum()),
            finish_reason=FinishReason.LENGTH if stop is None else FinishReason.STOP,
        )


class _ChooseTokens(LogitsProcessor):  # type: ignore[misc]
    """Pick each row's next token by its own temperature, top_p and random numbers.

    The scores handed back leave only the picked token possible, so generate()'s greedy step takes
    it. Inverse-CDF sampling needs one number per row and step whatever the vocabulary's size.
    """

    def __init__(self, requests: Sequence[Request], *, tokens: int) -> None:
        settings = [r.sampling for r in requests]
        self._temperature_B = torch.tensor([s.temperature for s in settings])
        self._top_p_B = torch.tensor([s.top_p for s in settings])
        noise = [np.random.default_rng(s.seed).random(tokens) for s in settings]
        self._noise_B_T = torch.from_numpy(np.stack(noise))
        self.logprobs: list[torch.Tensor] = []

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        device = scores.device
        step = len(self.logprobs)
        raw_B_V = scores.float().log_softmax(dim=-1)
        temperature_B1 = self._temperature_B.to(device)[:, None]
        greedy_B = temperature_B1[:, 0] == 0
        tempered_B_V = raw_B_V / temperature_B1.clamp(min=1e-6)
        probs_B_V = tempered_B_V.softmax(dim=-1).double()
        ordered_B_V, index_B_V = probs_B_V.sort(dim=-1, descending=True)
        upto_B_V = ordered_B_V.cumsum(dim=-1)
        # The smallest set that reaches top_p: a token stays if those before it do not.
        kept_B_V = ordered_B_V * (upto_B_V - ordered_B_V < self._top_p_B.to(device)[:, None])
        mass_B_V = kept_B_V.cumsum(dim=-1)
        point_B1 = self._noise_B_T[:, step].to(device)[:, None] * mass_B_V[:, -1:]
        place_B1 = torch.searchsorted(mass_B_V, point_B1, right=True)
        last_B1 = (kept_B_V > 0).sum(dim=-1, keepdim=True) - 1
        token_B = index_B_V.gather(1, torch.minimum(place_B1, last_B1))[:, 0]
        token_B = torch.where(greedy_B, raw_B_V.argmax(dim=-1), token_B)
        self.logprobs.append(raw_B_V.gather(1, token_B[:, None])[:, 0])
        only = torch.full_like(scores, float("-inf"))
        return only.scatter(1, token_B[:, None], 0.0)


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer, as the model's own generation config says."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends)
