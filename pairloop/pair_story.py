"""One pair's story for the terminal: its prompt, its two answers, and who said what of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from annotate.config import Distribution
from annotate.consensus import settle
from annotate.queue_html import SAYS, chosen_side, remarks, verdict_words
from annotate.render import plain_messages, visible
from pairloop.report import table
from storage.errors import InputError
from storage.pairs import consensus_of_pair
from storage.prompts import prompts_by_id
from storage.queue_pages import Said, pair_by_id, pair_story
from storage.records import Consensus, LabelerKind, Pair, Prompt, Response
from storage.responses import responses_by_id
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStory:
    """A pair and all that was said of it, changes and withdrawals included, oldest first.

    consensus: None where nobody judged it, and for gold pairs and repeats, which votes don't decide.
    """

    pair: Pair
    prompt: Prompt
    first: Response
    second: Response
    said: Sequence[Said]
    consensus: Consensus | None


def read_story(store: Store, config: Distribution, pair_id: str) -> PairStory:
    """Read it, with the consensus as the votes have it now; raises InputError for an unknown pair."""
    with store.connected():
        pair = pair_by_id(store, pair_id)
        if pair is None:
            raise InputError(
                f"There is no pair {pair_id!r}. The Queue tab of the admin pages lists them; press a prompt there "
                "to see the id of its pair."
            )
        settle(store, config)
        texts = responses_by_id(store, [pair.first, pair.second])
        return PairStory(
            pair=pair,
            prompt=prompts_by_id(store, [pair.prompt_id])[pair.prompt_id],
            first=texts[pair.first],
            second=texts[pair.second],
            said=pair_story(store, pair.id),
            consensus=consensus_of_pair(store, pair.id),
        )


def story_json(story: PairStory) -> dict[str, Any]:
    """The story as plain values; times are UTC."""
    answers = {
        name: {"id": r.id, "policy": r.policy_id, "temperature": r.temperature, "text": r.text}
        for name, r in (("first", story.first), ("second", story.second))
    }
    return {
        "pair": _plain(asdict(story.pair)),
        "prompt": {
            "id": story.prompt.id,
            "tags": list(story.prompt.tags),
            "messages": [asdict(m) for m in story.prompt.messages],
        },
        **answers,
        "said": [_plain(asdict(one)) | {"chosen_side": chosen_side(one)} for one in story.said],
        "consensus": _plain(asdict(story.consensus)) if story.consensus else None,
    }


def story_text(story: PairStory) -> None:
    """Print the story."""
    pair, first, second = story.pair, story.first, story.second
    tags = ", ".join(map(visible, story.prompt.tags)) or "no tags"
    print(f"Pair {pair.id}: round {pair.round}, {pair.purpose.value}, {pair.strategy}, {tags}.")
    for title, text in (
        ("Prompt", plain_messages(story.prompt.messages)),
        (f"First answer, temperature {first.temperature:g}", visible(first.text)),
        (f"Second answer, temperature {second.temperature:g}", visible(second.text)),
    ):
        print(f"\n--- {title} ---\n{text}")
    print()
    columns = ["who", "said", "chose", "seconds", "guidelines", "remarks", "when (UTC)"]
    rows = [
        [
            visible(one.labeler) + (" (model)" if one.kind is LabelerKind.MODEL else ""),
            "took it back" if one.withdrawn else verdict_words(one),
            chosen_side(one),
            f"{one.seconds:.1f}",
            f"version {one.guideline}" if one.guideline else "-",
            visible(remarks(one)),
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
        ]
        for one in story.said
    ]
    if rows:
        table("What was said", columns, rows)
    else:
        print("Nobody judged it yet.")
    print(f"{_standing(story.consensus)} Next: pairloop agreement")


def _standing(consensus: Consensus | None) -> str:
    if consensus is None:
        return "It has no consensus."
    found = "unsettled" if consensus.verdict is None else SAYS[consensus.verdict]
    return (
        f"Consensus: {found} ({consensus.reason}). "
        f"Probability that the first is preferred: {consensus.probability_first:.2f}."
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}
