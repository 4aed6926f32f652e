"""What a stored response costs on disk, part by part: python benchmarks/response_size.py

Made answers of 300 tokens to prompts of 120, six answers a prompt, from a vocabulary of 128,000:
token ids by a power law, log-probabilities exponential, words by a power law.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from storage.records import FinishReason, Response, Sampling
from storage.store import Store, utc_now

VOCABULARY = 128_000
PROMPT, ANSWER, WORDS = 120, 300, 230


def responses(count: int) -> list[Response]:
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(20_000)]
    made = []
    for number in range(count):
        prompt = np.random.default_rng(number // 6).integers(0, VOCABULARY, PROMPT)
        ids = np.minimum(rng.zipf(1.3, ANSWER), VOCABULARY - 1) * 7919 % VOCABULARY
        logprobs = (-rng.exponential(0.8, ANSWER)).astype(np.float32)
        text = " ".join(words[int(20_000 * x**2)] for x in rng.random(WORDS))
        sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=512, seed=number, index=number)
        made.append(
            Response(
                id=Response.id_of(prompt_id="p1:a", policy_id="m1:a", sampling=sampling),
                prompt_id=f"p1:{number // 6:032d}",
                policy_id="m1:" + "0" * 32,
                text=text,
                prompt_token_ids=tuple(prompt.tolist()),
                token_ids=tuple(ids.tolist()),
                logprobs=tuple(logprobs.tolist()),
                logprob_sum=float(logprobs.sum()),
                finish_reason=FinishReason.STOP,
                temperature=1.0,
                top_p=1.0,
                max_tokens=512,
                seed=number,
                sample_index=number % 6,
                engine="vllm 0.32.0",
                template_hash="a" * 64,
                policy_hash="w1:" + "0" * 32,
                run_id="b" * 32,
                created_at=utc_now(),
            )
        )
    return made


def bytes_each(rows: list[Response]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairloop.duckdb"
        with Store(path) as store, store.connected():
            for start in range(0, len(rows), 500):
                store.append(rows[start : start + 500])
        return path.stat().st_size / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=6000)
    rows = responses(parser.parse_args().responses)
    whole = bytes_each(rows)
    bare = bytes_each([replace(r, logprobs=None) for r in rows])
    text = bytes_each(
        [replace(r, logprobs=None, token_ids=None, prompt_token_ids=None) for r in rows]
    )
    print(
        f"{len(rows)} responses of {PROMPT} + {ANSWER} tokens: {whole:.0f} bytes each, of them "
        f"log-probabilities {whole - bare:.0f}, token ids {bare - text:.0f}, the rest {text:.0f}"
    )


if __name__ == "__main__":
    main()
