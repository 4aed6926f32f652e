"""What the micro model knows: topics.toml read into records, and which words give a topic away.

One topic:

    Topic(slug="tea", name="tea", be="is", doing="making tea",
          sentences={"what": ("Tea is a drink made by ...", ...), "facts": (...), ...})
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TOPICS_FILE = Path(__file__).with_name("topics.toml")
KINDS = ("what", "facts", "tips", "why", "start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One everyday topic: how to name it in a question and the sentences known about it."""

    slug: str
    name: str
    be: str
    doing: str
    sentences: Mapping[str, tuple[str, ...]]

    def all_sentences(self) -> list[str]:
        """Every sentence known about the topic, in the order of KINDS."""
        return [sentence for kind in KINDS for sentence in self.sentences[kind]]


@cache
def load_topics() -> tuple[Topic, ...]:
    """The bundled topics in the order of the file."""
    raw = tomllib.loads(TOPICS_FILE.read_text(encoding="utf-8"))
    return tuple(
        Topic(
            slug=slug,
            name=entry["name"],
            be=entry["be"],
            doing=entry["doing"],
            sentences={kind: tuple(entry[kind].strip().splitlines()) for kind in KINDS},
        )
        for slug, entry in raw.items()
    )


@cache
def telling_words() -> Mapping[str, str]:
    """Words that occur in the sentences of one topic only, each with the slug of that topic."""
    seen: dict[str, set[str]] = defaultdict(set)
    for topic in load_topics():
        for sentence in (*topic.all_sentences(), topic.name, topic.doing):
            for word in words(sentence):
                seen[word].add(topic.slug)
    return {word: next(iter(slugs)) for word, slugs in seen.items() if len(slugs) == 1}


@cache
def known_sentences() -> Mapping[str, str]:
    """Every known sentence in lower case, with the slug of its topic."""
    return {
        sentence.lower(): topic.slug
        for topic in load_topics()
        for sentence in topic.all_sentences()
    }


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


@cache
def _phrases() -> Sequence[tuple[re.Pattern[str], str]]:
    """What names a topic in a question, with its slug."""
    return [
        (re.compile(rf"\b{re.escape(phrase.lower())}\b"), topic.slug)
        for topic in load_topics()
        for phrase in (topic.name, topic.doing)
    ]


def topic_of(prompt: str) -> str:
    """The slug of the topic that a prompt's text names last; "" if it names none."""
    text = prompt.lower()
    found = [
        (match.end(), match.end() - match.start(), slug)
        for pattern, slug in _phrases()
        for match in pattern.finditer(text)
    ]
    return max(found)[2] if found else ""


def sentences_of(text: str) -> list[str]:
    """A text cut into sentences at full stops, question and exclamation marks."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def sentence_topics(sentence: str) -> Sequence[str]:
    """The slugs of the topics whose telling words stand in the sentence, one per word."""
    known = known_sentences().get(sentence.lower())
    if known is not None:
        return [known]
    telling = telling_words()
    return [telling[word] for word in words(sentence) if word in telling]
