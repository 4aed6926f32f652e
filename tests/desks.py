"""A desk without planned repeats or gold pairs, and people who judge at it."""

from datetime import datetime, timedelta
from uuid import uuid4

from annotate.cards import Choice, Submission
from annotate.config import AnnotateConfig
from annotate.desk import Desk

PLAIN = {"gold_share": 0, "repeat_share": 0, "sentinel_share": 0}


class Clock:
    """The time in some modules of annotate/, both of a server's own clock and as it is stored."""

    START = datetime(2026, 1, 1)

    def __init__(self, monkeypatch, *modules) -> None:
        self.seconds = 0.0
        for module in modules:
            for name, mine in (("time", self), ("utc_now", self.utc_now)):
                monkeypatch.setattr(f"annotate.{module}.{name}", mine, raising=False)

    def monotonic(self) -> float:
        return 10_000.0 + self.seconds

    def utc_now(self) -> datetime:
        return self.START + timedelta(seconds=self.seconds)


def desk_of(store, **config) -> Desk:
    return Desk(store, AnnotateConfig(**PLAIN | config))


def submit(desk, who, card, choice=Choice.LEFT, **changes):
    values = {"key": uuid4().hex, "strength": None, "seconds": 2.0} | changes
    return desk.submit(who, Submission(presentation=card.presentation, choice=choice, **values))


def work(desk, who, count, choice=Choice.LEFT, **changes):
    """Judge so many cards, one at a time; gives them back."""
    done = []
    for _ in range(count):
        (card,) = desk.cards(who, count=1, have=())
        submit(desk, who, card, choice, **changes)
        done.append(card)
    return done
