"""The engine that runs where vLLM is not installed: transformers' generate, batched.

generate() does the batching, caching and stopping; the choice of each token is ours
(generate/choose_tokens.py), so that every row has its own settings and seed and its raw
log-probability is kept. The only file that calls transformers' generate.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
    __version__,
)

from generate.chat import adapter_rank, load_tokenizer, loading_failed
from generate.choose_tokens import ChooseTokens, StopAtStrings
from generate.config import GenerateConfig
from generate.sampler import Request, Sample, blocks
from storage.errors import ModelError
from storage.records import FinishReason

log = logging.getLogger(__name__)

BATCH = 128  # a micro model's rows per second grow up to here
MEMORY_SHARE = 0.5  # of what is free when the model is loaded
CUT_AT = 0x7FFFFFFF


class TransformersSampler:
    """One base model on the GPU if there is one, else on the CPU; adapters through PEFT."""

    def __init__(self, config: GenerateConfig) -> None:
        self.tokenizer: Any = load_tokenizer(config.model)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                config.model, dtype=config.dtype
            )
            self._model.to(self._device).eval()
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{config.model!r} does not fit into the {self._device}'s memory. "
                'Set generate.dtype = "bfloat16", or sample with vLLM over several GPUs '
                "(generate.tensor_parallel_size)."
            ) from error
        except Exception as error:
            raise loading_failed(config.model, error) from error
        self._adapters: dict[Path, Any] = {}
        self._free_bytes = MEMORY_SHARE * _free_bytes(self._device)
        self._most_rows = BATCH
        self.name = f"transformers {__version__}"
        self.context_tokens: int | None = int(
            self._model.config.get_text_config().max_position_embeddings
        )

    def sample(self, requests: Iterable[Request]) -> Iterator[Sample]:
        for block in blocks(requests):
            yield from self._block(block)

    def _block(self, requests: Sequence[Request]) -> Iterator[Sample]:
        for adapter in dict.fromkeys(r.adapter for r in requests):
            model = self._with_adapter(adapter)
            # Prompts of like length share a batch, so little of it is padding.
            ordered = sorted(
                (r for r in requests if r.adapter == adapter), key=lambda r: len(r.prompt_ids)
            )
            while ordered:
                rows = ordered[: self._rows_that_fit(ordered[:BATCH])]
                try:
                    done = self._batch(model, rows)
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    self._shrink(len(rows), error)
                    continue
                yield from done
                del ordered[: len(rows)]

    def close(self) -> None:
        self._adapters.clear()
        self._model = None

    def _rows_that_fit(self, requests: Sequence[Request]) -> int:
        """How many of these rows the free memory holds: each its keys, values and scores."""
        config = self._model.config.get_text_config().to_dict()
        heads = config["num_attention_heads"]
        head_size = config.get("head_dim") or config["hidden_size"] // heads
        kept = (
            2 * config["num_hidden_layers"] * head_size * config.get("num_key_value_heads", heads)
        )
        tokens = max(len(r.prompt_ids) + r.sampling.max_tokens for r in requests)
        # Scores are there as float32, its softmax, and in double precision.
        row_bytes = tokens * kept * self._model.dtype.itemsize + 32 * config["vocab_size"]
        return max(1, min(self._most_rows, int(self._free_bytes / row_bytes)))

    def _shrink(self, rows: int, error: BaseException) -> None:
        """Go on with half as many rows after memory ran out; anything else is raised."""
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise error
        if rows == 1:
            raise ModelError(
                f"Memory ran out on the {self._device} while sampling a single answer. Lower "
                'generate.max_tokens, or set generate.dtype = "bfloat16". Finished answers are '
                "stored; run this again to go on."
            ) from error
        self._most_rows = rows // 2
        log.warning(
            "memory ran out with %d answers at a time; going on with %d", rows, self._most_rows
        )
        if self._device == "cuda":
            torch.cuda.empty_cache()

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
    def _batch(self, model: Any, requests: Sequence[Request]) -> list[Sample]:
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.tokenizer.eos_token_id
        width = max(len(r.prompt_ids) for r in requests)
        ids_B_T = torch.full((len(requests), width), pad, dtype=torch.long)
        mask_B_T = torch.zeros_like(ids_B_T)
        for row, request in enumerate(requests):
            length = len(request.prompt_ids)
            ids_B_T[row, width - length :] = torch.tensor(request.prompt_ids)
            mask_B_T[row, width - length :] = 1
        settings = [r.sampling for r in requests]
        ends = _end_ids(self._model, self.tokenizer)
        chooser = ChooseTokens(settings, device=self._device)
        stopper = StopAtStrings(settings, tokenizer=self.tokenizer, prompt_width=width)
        output = model.generate(
            input_ids=ids_B_T.to(self._device),
            attention_mask=mask_B_T.to(self._device),
            generation_config=GenerationConfig(
                max_new_tokens=max(s.max_tokens for s in settings),
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=pad,
            ),
            logits_processor=LogitsProcessorList([chooser]),
            stopping_criteria=StoppingCriteriaList(
                [stopper] if any(s.stop for s in settings) else []
            ),
        )
        sampled_B_T = output[:, width:].cpu().tolist()
        logprobs_B_T = torch.stack(chooser.logprobs, dim=1).cpu().tolist()
        return [
            self._finish(
                request, sampled_B_T[row], logprobs_B_T[row], ends, stopper.lengths.get(row, CUT_AT)
            )
            for row, request in enumerate(requests)
        ]

    def _finish(
        self,
        request: Request,
        sampled: list[int],
        logprobs: list[float],
        ends: Sequence[int],
        stopped_at: int,
    ) -> Sample:
        """One row's answer; stopped_at: how many tokens it had when its stop string was there."""
        limit = min(request.sampling.max_tokens, stopped_at)
        end = next((i for i, token in enumerate(sampled[:limit]) if token in ends), None)
        ids = sampled[:limit] if end is None else sampled[: end + 1]
        words = ids if end is None else ids[:-1]
        text = self.tokenizer.decode(words, skip_special_tokens=True)
        reason = FinishReason.STOP if end is not None else FinishReason.LENGTH
        if end is None and stopped_at <= request.sampling.max_tokens:
            reason = FinishReason.STOP_STRING
            text = text[: min(text.find(s) for s in request.sampling.stop if s in text)]
        return Sample(
            key=request.key,
            text=text,
            finish_reason=reason,
            prompt_token_ids=request.prompt_ids,
            token_ids=tuple(ids),
            logprobs=tuple(logprobs[: len(ids)]),
        )


def _free_bytes(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer, as the model's own generation config says."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends)
