"""A desk without planned repeats or gold pairs, and people who judge at it."""

from uuid import uuid4

from annotate.cards import Choice, Submission
from annotate.config import AnnotateConfig
from annotate.desk import Desk

PLAIN = {"gold_share": 0, "repeat_share": 0, "sentinel_share": 0}


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
