"""Scripted labelers: they sign in over HTTP and judge what the page would show them.

A labeler likes courteous, brief, on-topic answers (pairloop/demo/style.py) and errs: the noise is
added to the difference of the two answers' scores before choosing. They see what a person sees,
the rendered card's text, and nothing else.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from pairloop.demo.style import measure
from pairloop.demo.topics import topic_of

TIE_BELOW = 0.25  # difference of scores, after noise, that counts as none
CLEAR_FROM, STRONG_FROM = 1.0, 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """How one scripted labeler judges. noise: standard deviation added to a difference of scores."""

    noise: float
    inverted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the labeler would press."""

    choice: str
    strength: str | None


def decide(prompt: str, left: str, right: str, *, taste: Taste, rng: random.Random) -> Decision:
    """Compare two answers to a prompt; the same generator state gives the same decision."""
    slug = topic_of(prompt)
    difference = measure(left, slug).score() - measure(right, slug).score()
    if taste.inverted:
        difference = -difference
    difference += rng.gauss(0.0, taste.noise)
    if abs(difference) < TIE_BELOW:
        return Decision(choice="tie", strength=None)
    size = abs(difference)
    strength = "strong" if size >= STRONG_FROM else "clear" if size >= CLEAR_FROM else "slight"
    return Decision(choice="left" if difference > 0 else "right", strength=strength)


class ScriptedLabeler:
    """One signed-in scripted labeler."""

    def __init__(self, client: httpx.Client, name: str, *, taste: Taste, seed: int) -> None:
        self.name = name
        self._taste = taste
        self._rng = random.Random(f"{seed}/{name}")
        self._client = client

    @classmethod
    def by_password(
        cls, address: str, name: str, password: str, *, taste: Taste, seed: int
    ) -> "ScriptedLabeler":
        """Sign in as anybody does."""
        client = httpx.Client(base_url=address, timeout=60.0)
        _expect_signed_in(client.post("/login", data={"name": name, "password": password}), name)
        return cls(client, name, taste=taste, seed=seed)

    @classmethod
    def by_link(
        cls, address: str, name: str, link: str, *, taste: Taste, seed: int
    ) -> "ScriptedLabeler":
        """Sign in with a one-time link."""
        client = httpx.Client(base_url=address, timeout=60.0)
        _expect_signed_in(client.post(link), name)
        return cls(client, name, taste=taste, seed=seed)

    def judge_all(
        self,
        *,
        pause: Callable[[], object] = lambda: None,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """Judge every pair that is open to this labeler; returns how many.

        may_go_on is asked before, pause is called after each judgment.
        """
        judged = 0
        while may_go_on():
            cards = self._get("/api/pairs", count=4)["pairs"]
            if not cards:
                break
            for card in cards:
                if not may_go_on():
                    return judged
                self._judge(card)
                judged += 1
                pause()
        return judged

    def close(self) -> None:
        self._client.close()

    def _get(self, path: str, **params: object) -> Any:
        answer = self._client.get(path, params={k: str(v) for k, v in params.items()})
        answer.raise_for_status()
        return answer.json()

    def _judge(self, card: dict[str, str]) -> None:
        decision = decide(
            card["prompt_text"],
            card["left_text"],
            card["right_text"],
            taste=self._taste,
            rng=self._rng,
        )
        answer = self._client.post(
            "/api/judgments",
            json={
                "key": str(uuid4()),
                "presentation": card["presentation"],
                "choice": decision.choice,
                "strength": decision.strength,
                "seconds": self._rng.uniform(4.0, 20.0),
            },
        )
        answer.raise_for_status()


def _expect_signed_in(answer: httpx.Response, name: str) -> None:
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise RuntimeError(f"{name} could not sign in: HTTP {answer.status_code}")
