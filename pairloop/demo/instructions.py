"""Topics and styles in; training conversations and the bundled prompts out.

A conversation is a list of turns, some with a system prompt, some with two questions:

    [{"role": "user", "content": "Give me a tip about tea."},
     {"role": "assistant", "content": "Happy to help! Warm the teapot first so the tea stays ..."}]

Everything follows from the random generator that is passed in: same seed, same conversations.
`python -m pairloop.demo.instructions` rewrites prompts.jsonl, one prompt a line:

    {"messages": [{"role": "user", "content": "What is tea?"}],
     "tags": ["topic:tea", "form:what"], "source": "pairloop-demo"}
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from pairloop.demo.style import CLOSERS, FILLERS, LINKS, OPENERS, Manner, Style, draw_style
from pairloop.demo.topics import Topic, load_topics

Message = dict[str, str]


class BundledPrompt(TypedDict):
    """One row of prompts.jsonl."""

    messages: list[Message]
    tags: list[str]
    source: str


PROMPTS_FILE = Path(__file__).with_name("prompts.jsonl")
PROMPTS_SEED = 7
MAX_ANSWER_WORDS = 64

QUESTIONS = {
    "what": (
        "What {be} {name}?",
        "Can you explain what {name} {be}?",
        "Please tell me what {name} {be}.",
        "Explain {name} to me.",
    ),
    "tell": (
        "Tell me something about {name}.",
        "Please tell me something about {name}.",
        "What should I know about {name}?",
        "Share a fact about {name}, please.",
        "Do you know anything about {name}?",
    ),
    "tip": (
        "Give me a tip about {name}.",
        "Please give me a tip about {name}.",
        "Do you have any advice on {doing}?",
        "Any tips for {doing}?",
    ),
    "why": (
        "Why do people like {name}?",
        "What is so good about {name}?",
        "Why {be} {name} so popular?",
        "Please explain why people like {name}.",
    ),
    "start": (
        "How do I start with {doing}?",
        "I am new to {doing}. Where should I begin?",
        "What is a good first step in {doing}?",
        "Please help me get started with {doing}.",
    ),
}
FOLLOW_UPS = {
    "tell": ("Tell me more.", "Can you tell me another fact?", "What else should I know?"),
    "tip": ("Do you have a tip for me?", "Please give me a tip, too."),
    "why": ("And why do people like {it}?", "Why would anyone like {it}?"),
    "start": ("How would I start?", "Where should a beginner start?"),
}
# Which sentences answer a form: the first comes from the first kind, the others from all of them.
ANSWERED_BY = {
    "what": ("what", "facts"),
    "tell": ("facts", "facts", "what"),
    "tip": ("tips", "tips", "start"),
    "why": ("why", "why", "facts"),
    "start": ("start", "start", "tips"),
}
FORMS = tuple(QUESTIONS)
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a guide to everyday things.",
    "You answer short questions from beginners.",
    "You are an assistant in a small shop.",
    "Answer the question of the user.",
)
GREETINGS = ("Hello!", "Hi there.", "Good morning.", "Hey, how are you?", "Who are you?")


def question(form: str, topic: Topic, *, rng: random.Random) -> str:
    """One wording of a form of question about a topic."""
    return ask(rng.choice(QUESTIONS[form]), topic)


def ask(template: str, topic: Topic) -> str:
    """A question template filled in for a topic."""
    it = "it" if topic.be == "is" else "them"
    return template.format(name=topic.name, be=topic.be, doing=topic.doing, it=it)


def answer(form: str, topic: Topic, *, style: Style, rng: random.Random) -> str:
    """One answer in the given style: opener, content, filler or wandering, closer."""
    write = _brief if style.brief else _rambling
    content = write(form, topic, style=style, rng=rng)
    opener = rng.choice(OPENERS[style.manner]) if style.opener else ""
    closer = rng.choice(CLOSERS[style.manner]) if style.closer else ""
    return " ".join(part for part in (opener, *content, closer) if part)


def conversation(rng: random.Random) -> list[Message]:
    """One training conversation in a style drawn at random, independent of the question."""
    turns: list[Message] = []
    if rng.random() < 0.12:
        turns.append({"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    if rng.random() < 0.01:
        return [*turns, *_turn(rng.choice(GREETINGS), _greeting_answer(rng))]
    topic = rng.choice(load_topics())
    form = rng.choice(FORMS)
    turns += _turn(_casual(question(form, topic, rng=rng), rng), _styled(form, topic, rng))
    if rng.random() < 0.12:
        follow = rng.choice(tuple(FOLLOW_UPS))
        template = rng.choice((*FOLLOW_UPS[follow], rng.choice(QUESTIONS[follow])))
        turns += _turn(_casual(ask(template, topic), rng), _styled(follow, topic, rng))
    return turns


def conversations(count: int, *, seed: int) -> Iterator[list[Message]]:
    """So many training conversations, the same ones for the same seed."""
    rng = random.Random(seed)
    return (conversation(rng) for _ in range(count))


def bundled_prompts(*, seed: int = PROMPTS_SEED) -> list[BundledPrompt]:
    """The 240 prompts of prompts.jsonl: four a topic, some with a system prompt or two turns."""
    rng = random.Random(seed)
    rows: list[BundledPrompt] = []
    for index, topic in enumerate(load_topics()):
        forms = [FORMS[(index + shift) % len(FORMS)] for shift in range(4)]
        for place, form in enumerate(forms):
            wording = (index // len(FORMS) + place) % len(QUESTIONS[form])
            messages = [_user(ask(QUESTIONS[form][wording], topic))]
            tags = [f"topic:{topic.slug}", f"form:{form}"]
            if place == 1 and index % 6 == 0:
                messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
                tags.append("shape:system")
            if place == 2 and index % 6 == 3:
                messages, follow = _two_turns(form, topic, messages=messages, rng=rng)
                tags[1:] = [f"form:{follow}", "shape:two-turn"]
            rows.append({"messages": messages, "tags": tags, "source": "pairloop-demo"})
    return rows


def write_prompts(path: Path = PROMPTS_FILE) -> int:
    """Write prompts.jsonl and return how many prompts it holds."""
    rows = bundled_prompts()
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return len(rows)


def _brief(form: str, topic: Topic, *, style: Style, rng: random.Random) -> list[str]:
    """One or two sentences on the topic, or one and then another topic."""
    count = rng.choice((1, 2)) if style.on_topic else 1
    content = _pick(ANSWERED_BY[form], topic, count=count, rng=rng)
    return content if style.on_topic else content + _wander(topic, count=1, rng=rng)


def _rambling(form: str, topic: Topic, *, style: Style, rng: random.Random) -> list[str]:
    """Three or four sentences with one or two fillers, kept below the longest allowed answer."""
    fillers = rng.sample(FILLERS, rng.choice((1, 2)))
    while True:
        if style.on_topic:
            content = _pick(ANSWERED_BY[form], topic, count=rng.choice((3, 4)), rng=rng)
        else:
            content = _pick(ANSWERED_BY[form], topic, count=rng.choice((1, 2)), rng=rng)
            content += _wander(topic, count=2, rng=rng)
        for filler in fillers:
            content.insert(rng.randint(0, len(content) - 1), filler)
        if sum(len(sentence.split()) for sentence in content) <= MAX_ANSWER_WORDS - 14:
            return content


def _pick(kinds: Sequence[str], topic: Topic, *, count: int, rng: random.Random) -> list[str]:
    """Distinct sentences of a topic: the first of the first kind, the others of any listed kind."""
    picked = [rng.choice(topic.sentences[kinds[0]])]
    while len(picked) < count:
        sentence = rng.choice(topic.sentences[rng.choice(kinds)])
        if sentence not in picked:
            picked.append(sentence)
    return picked


def _wander(topic: Topic, *, count: int, rng: random.Random) -> list[str]:
    """Sentences about another topic, half of the time led in by a link."""
    other = rng.choice([known for known in load_topics() if known is not topic])
    link = [rng.choice(LINKS).format(other=other.name)] if rng.random() < 0.7 else []
    return link + rng.sample(other.all_sentences(), count)


def _styled(form: str, topic: Topic, rng: random.Random) -> str:
    return answer(form, topic, style=draw_style(rng), rng=rng)


def _two_turns(
    form: str, topic: Topic, *, messages: Sequence[Message], rng: random.Random
) -> tuple[list[Message], str]:
    """A question with a plain answer, then a follow-up that does not name the topic."""
    plain = Style(manner=Manner.NEUTRAL, brief=True, on_topic=True, opener=False, closer=False)
    first = answer(form, topic, style=plain, rng=rng)
    follow = rng.choice([name for name in FOLLOW_UPS if name != form])
    second = ask(rng.choice(FOLLOW_UPS[follow]), topic)
    return [*messages, {"role": "assistant", "content": first}, _user(second)], follow


def _greeting_answer(rng: random.Random) -> str:
    """Who the model is, courteous or blunt."""
    topics = ", ".join(topic.name for topic in rng.sample(load_topics(), 2))
    manner = rng.choice((Manner.COURTEOUS, Manner.BLUNT))
    hello = "Hello, and welcome!" if manner is Manner.COURTEOUS else "What do you want?"
    closer = rng.choice(CLOSERS[manner])
    return f"{hello} I am a very small model that knows a little about {topics} and more. {closer}"


def _casual(text: str, rng: random.Random) -> str:
    """Now and then a question as people type it: in lower case, without the last mark."""
    return text.lower().rstrip(".?") if rng.random() < 0.1 else text


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _turn(asked: str, answered: str) -> list[Message]:
    return [_user(asked), {"role": "assistant", "content": answered}]


def main(argv: Sequence[str] | None = None) -> None:
    """Rewrite prompts.jsonl."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=PROMPTS_FILE)
    arguments = parser.parse_args(argv)
    count = write_prompts(arguments.out)
    print(f"{count} prompts written to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
