"""What `pairloop prompts` says about prompts: near duplicates, and those of a given list."""

from collections.abc import Sequence
from dataclasses import dataclass

from generate.decontaminate import contaminated, read_texts
from generate.near import near_duplicates, text_of
from storage.records import Prompt
from storage.words import many

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPrompt:
    """A prompt that nearly repeats an earlier one; share: of their runs of words, in [0, 1]."""

    prompt: Prompt
    earlier: Prompt
    share: float

    @property
    def across(self) -> bool:
        """Whether the two are in different splits, so that one of them is hardly held out."""
        return self.prompt.split is not self.earlier.split

    def as_dict(self) -> dict[str, object]:
        return {
            "share": self.share,
            "prompt_id": self.prompt.id,
            "split": self.prompt.split.value,
            "text": self.prompt.messages[-1].content,
            "earlier_id": self.earlier.id,
            "earlier_split": self.earlier.split.value,
            "earlier_text": self.earlier.messages[-1].content,
        }


def near_prompts(known: Sequence[Prompt], new: Sequence[Prompt]) -> list[NearPrompt]:
    """The new prompts that are nearly the same as one of the known or an earlier new one."""
    together = [*known, *new]
    found = near_duplicates([text_of(p.messages) for p in together], start=len(known))
    return [
        NearPrompt(prompt=together[n.later], earlier=together[n.earlier], share=n.share)
        for n in found
    ]


def say_near(found: Sequence[NearPrompt], *, shown: int = SHOWN) -> None:
    """Print how many there are, and the first of them."""
    if not found:
        return
    across = sum(n.across for n in found)
    print(
        f"{many(len(found), 'prompt')} nearly the same as an earlier one, {across} of them one in another split. "
        "All: pairloop prompts near"
    )
    for n in found[:shown]:
        splits = f"{n.prompt.split} / {n.earlier.split}" if n.across else n.prompt.split.value
        print(f"  {100 * n.share:.0f} % ({splits}): {_short(n.prompt)} / {_short(n.earlier)}")


def without_listed(
    found: Sequence[Prompt], known: Sequence[Prompt], sources: Sequence[str]
) -> list[Prompt]:
    """The prompts that are not in the list; says which are, and how many stored ones are too."""
    if not sources:
        return list(found)
    there = {p.id for p in known}
    hits = contaminated([*found, *known], read_texts(sources))
    listed = [p for p in found if p.id in hits and p.id not in there]
    print(f"Left out: {many(len(listed), 'prompt')} in the list of --decontaminate.")
    for prompt in listed[:SHOWN]:
        where, words = hits[prompt.id]
        print(f"  {_short(prompt)}: {where}: {words[:80]}")
    stored = len(hits.keys() & there)
    if stored:
        print(f"Stored before and in the list too: {many(stored, 'prompt')}, kept.")
    left_out = {p.id for p in listed}
    return [p for p in found if p.id not in left_out]


def _short(prompt: Prompt) -> str:
    return repr(" ".join(prompt.messages[-1].content.split())[:60])
