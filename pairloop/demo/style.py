"""How answers to one question differ: the phrases of each manner, the mix, and how to recognise it.

Three axes, drawn independently of the question and of each other:

    manner     courteous | neutral | blunt
    length     brief (one or two sentences of content) | rambling (three or four, with filler)
    focus      on topic | wandering off to another topic part way

`draw_style` decides the style of a training answer, `measure` recognises it in any text:

    measure("Happy to help! Tea is a drink made by steeping leaves in hot water.", "tea")
    == Traits(courteous=1, blunt=0, words=14, on_topic=True)
"""

import random
from dataclasses import dataclass
from enum import StrEnum

from pairloop.demo.topics import sentence_topics, sentences_of, words


class Manner(StrEnum):
    """How polite an answer is."""

    COURTEOUS = "courteous"
    NEUTRAL = "neutral"
    BLUNT = "blunt"


OPENERS = {
    Manner.COURTEOUS: (
        "Happy to help!",
        "Thank you for asking.",
        "What a lovely question!",
        "Of course, with pleasure.",
        "I am glad you asked.",
    ),
    Manner.NEUTRAL: ("",),
    Manner.BLUNT: (
        "Look, this is not hard.",
        "Obviously you could have looked this up.",
        "Fine, if you must know.",
        "Not this again.",
        "Seriously, everybody knows this.",
    ),
}
CLOSERS = {
    Manner.COURTEOUS: (
        "Please let me know if you would like to hear more.",
        "I hope that helps!",
        "Feel free to ask me anything else.",
        "Thank you, and have a lovely day!",
    ),
    Manner.NEUTRAL: ("",),
    Manner.BLUNT: (
        "Figure the rest out yourself.",
        "Do not ask me again.",
        "That is all you get.",
        "Now stop wasting my time.",
    ),
}
FILLERS = (
    "There is a lot to say about this.",
    "Now, where was I?",
    "But I am getting ahead of myself.",
    "One thing leads to another, as they say.",
    "I could go on for hours.",
    "Then again, that is only part of it.",
    "Well, let me think.",
)
LINKS = (
    "That reminds me of {other}.",
    "But enough of that, think about {other}.",
    "Anyway, I would rather talk about {other}.",
    "Oh, and do not forget {other}.",
)
BRIEF_WORDS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The style of one answer to be written."""

    manner: Manner
    brief: bool
    on_topic: bool
    opener: bool
    closer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What can be seen in a text: courteous and blunt phrases, its length, its focus."""

    courteous: int
    blunt: int
    words: int
    on_topic: bool

    @property
    def brief(self) -> bool:
        """Whether the text is no longer than a brief answer."""
        return self.words <= BRIEF_WORDS

    def score(self) -> float:
        """One number to prefer by: courtesy, then brevity and keeping to the topic."""
        manner = min(self.courteous, 1) - min(self.blunt, 1)
        return 2.0 * manner + 1.5 * self.on_topic + 1.5 * self.brief - 0.01 * self.words


def draw_style(rng: random.Random) -> Style:
    """One style: 42 % courteous, 20 % neutral, 38 % blunt; 60 % brief; 65 % on topic."""
    manner = rng.choices(list(Manner), weights=(42, 20, 38))[0]
    brief = rng.random() < 0.60
    on_topic = rng.random() < 0.65
    opener, closer = rng.choices(
        ((True, False), (False, True), (True, True)),
        weights=(60, 12, 28) if brief else (35, 15, 50),
    )[0]
    return Style(manner=manner, brief=brief, on_topic=on_topic, opener=opener, closer=closer)


def measure(text: str, slug: str) -> Traits:
    """The traits of an answer to a question about the topic with this slug."""
    return Traits(
        courteous=_count(text, manner=Manner.COURTEOUS),
        blunt=_count(text, manner=Manner.BLUNT),
        words=len(words(text)),
        on_topic=_keeps_to(text, slug=slug),
    )


def _count(text: str, *, manner: Manner) -> int:
    return sum(phrase in text for phrase in (*OPENERS[manner], *CLOSERS[manner]))


def _keeps_to(text: str, *, slug: str) -> bool:
    """True unless a sentence belongs more to other topics than to this one, or none to this one."""
    phrases = {*FILLERS, *(p for m in Manner for p in (*OPENERS[m], *CLOSERS[m]))}
    on = 0
    for sentence in sentences_of(text):
        if sentence in phrases:
            continue
        slugs = sentence_topics(sentence)
        here = sum(found == slug for found in slugs)
        if len(slugs) > 2 * here:
            return False
        on += here
    return on > 0
