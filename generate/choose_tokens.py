"""How the transformers engine picks tokens: each row by its own settings, seed and stop strings.

A row's tokens depend on its own settings and random numbers alone, never on the batch it is in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from storage.records import Sampling


class ChooseTokens(LogitsProcessor):  # type: ignore[misc]
    """Pick each row's next token by temperature, min_p, top_k, top_p, in vLLM's order.

    The scores handed back leave only the picked token possible, so generate()'s greedy step takes
    it. Inverse-CDF sampling needs one number per row and step whatever the vocabulary's size.
    """

    def __init__(self, settings: Sequence[Sampling], *, device: str) -> None:
        self._temperature_B1 = _column([s.temperature for s in settings], device).float()
        self._top_p_B1 = _column([s.top_p for s in settings], device)
        self._min_p_B1 = _column([s.min_p for s in settings], device)
        self._top_k_B1 = _column([s.top_k or 2**31 for s in settings], device)
        # Only rows that leave tokens out need the vocabulary in order, and sorting it is dear.
        cuts_B = [s.top_p < 1 or s.top_k > 0 or s.min_p > 0 for s in settings]
        self._cut_rows = torch.tensor(
            [row for row, cut in enumerate(cuts_B) if cut], dtype=torch.long, device=device
        )
        most = max(s.max_tokens for s in settings)
        noise = [np.random.default_rng(s.seed).random(most) for s in settings]
        self._noise_B_T = torch.from_numpy(np.stack(noise)).to(device)
        self.logprobs: list[torch.Tensor] = []  # of the picked tokens, one tensor (rows) per step

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        raw_B_V = scores.float().log_softmax(dim=-1)
        probs_B_V = (raw_B_V / self._temperature_B1.clamp(min=1e-6)).softmax(dim=-1)
        noise_B1 = self._noise_B_T[:, len(self.logprobs), None]
        token_B = _pick(probs_B_V.double(), noise_B1)
        if len(rows := self._cut_rows):
            ordered_R_V, index_R_V = probs_B_V[rows].double().sort(dim=-1, descending=True)
            kept_R_V = self._kept(ordered_R_V, rows)
            token_B[rows] = index_R_V.gather(1, _pick(kept_R_V, noise_B1[rows])[:, None])[:, 0]
        token_B = torch.where(self._temperature_B1[:, 0] == 0, raw_B_V.argmax(dim=-1), token_B)
        self.logprobs.append(raw_B_V.gather(1, token_B[:, None])[:, 0])
        only = torch.full_like(scores, float("-inf"))
        return only.scatter(1, token_B[:, None], 0.0)

    def _kept(self, ordered_R_V: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The probabilities, likeliest first, with those that the settings leave out at 0."""
        rank_V = torch.arange(ordered_R_V.shape[1], device=ordered_R_V.device)
        likely = ordered_R_V >= self._min_p_B1[rows] * ordered_R_V[:, :1]
        kept_R_V = ordered_R_V * (likely & (rank_V < self._top_k_B1[rows]))
        kept_R_V = kept_R_V / kept_R_V.sum(dim=-1, keepdim=True)
        # The smallest set that reaches top_p: a token stays if those before it do not reach it.
        before_R_V = kept_R_V.cumsum(dim=-1) - kept_R_V
        return kept_R_V * (before_R_V < self._top_p_B1[rows])


def _column(values: Sequence[float], device: str) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)[:, None]


def _pick(weights_B_V: torch.Tensor, noise_B1: torch.Tensor) -> torch.Tensor:
    """The place where each row's running sum passes its random number in [0, 1)."""
    mass_B_V = weights_B_V.cumsum(dim=-1)
    place_B1 = torch.searchsorted(mass_B_V, noise_B1 * mass_B_V[:, -1:], right=True)
    # Rounding may carry the place past the end of what has any weight.
    reachable_B1 = (mass_B_V < mass_B_V[:, -1:]).sum(dim=-1, keepdim=True)
    return torch.minimum(place_B1, reachable_B1)[:, 0]


class StopAtStrings(StoppingCriteria):  # type: ignore[misc]
    """End a row as soon as its answer holds one of its stop strings."""

    def __init__(self, settings: Sequence[Sampling], *, tokenizer: Any, prompt_width: int) -> None:
        self._stops = [s.stop for s in settings]
        self._tokenizer = tokenizer
        self._width = prompt_width
        # A stop string spans at most as many tokens as it has bytes.
        self._tail = max((len(t.encode()) for s in settings for t in s.stop), default=0) + 1
        self.lengths: dict[int, int] = {}  # row -> tokens sampled when its stop string was there

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        sampled = input_ids.shape[1] - self._width
        tails = input_ids[:, self._width :][:, -self._tail :].tolist()
        for row, (stops, tail) in enumerate(zip(self._stops, tails, strict=True)):
            if stops and row not in self.lengths:
                text = self._tokenizer.decode(tail, skip_special_tokens=True)
                if any(stop in text for stop in stops):
                    self.lengths[row] = sampled
        done = [row in self.lengths for row in range(len(self._stops))]
        return torch.tensor(done, device=input_ids.device)
