"""The cards of exported data sets: what is in them, how sure it is, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from storage.records import Split, Tier
from storage.words import many
from train.export_formats import Format
from train.rows import Row
from train.triplets import JUDGE_PROBABILITY, Drop

TIERS = {
    Tier.ADJUDICATED: "an adjudicator decided, having seen the votes and their reasons",
    Tier.HUMAN_AGREED: "two or more people said so",
    Tier.HUMAN_SINGLE: "one person said so",
    Tier.JUDGE: "only language models judged it",
    Tier.IMPORTED: "it came from elsewhere with its votes",
}

CARD = """---
license: {licence}
configs:
{configs}
task_categories: [text-generation]
tags: [preference, {format}, pairloop]
---
# {title}

{intro}

{splits}
{tiers}
## Agreement

{agreement}

## Left out

{drops}

## Lineage

| round | policy | method | base model |
| --- | --- | --- | --- |
{lineage}

## Columns

{columns}
"""

TIER_TABLE = """
## How a preference was come by

| tier | what it is | rows |
| --- | --- | --- |
{rows}
"""

TITLES = {
    Format.DPO: "Human preferences on a policy's own answers",
    Format.KTO: "Answers that people want and answers they do not",
    Format.REWARD: "Human preferences with their strength",
    Format.RANKING: "Answers ranked by human preferences",
    Format.VOTES: "Every single human judgment",
}
INTROS = {
    Format.DPO: """{rows} preference pairs (`prompt`, `chosen`, `rejected` as conversations), made with pairloop:
{origins}.

`load_dataset(FOLDER)` has the preferences; `load_dataset(FOLDER, "judged")` has every judged pair with
both answers and its votes, also ties, "both bad" and pairs without a verdict.""",
    Format.KTO: """{rows} answers (`prompt`, `completion`, `label`), made with pairloop:
{origins}.""",
    Format.REWARD: """{rows} preference pairs (`prompt`, `chosen`, `rejected`, `margin`), made with pairloop:
{origins}.""",
    Format.RANKING: """{rows} prompts with their answers, best first, made with pairloop.""",
    Format.VOTES: """{rows} judgments, made with pairloop. `load_dataset(FOLDER, "judged")` has the pairs with their texts.""",
}

SHARED = """`agreement` is the share of a pair's votes that gave its verdict.
`origin` is `sampled` where the answers were sampled from the policy `policy_id`, and `imported`
(round -1) where they came from elsewhere; then `policy_id` is where the answer came from.
A prompt is in the same split in every round, by hash of its text."""
TOKENS = """`*_ids` are the very token ids that the policy read and wrote and `*logprob_sum` the summed
log-probability (nats, untempered) of the answer under the policy it was sampled from; empty and
missing where nobody reported them, as of imported answers."""
PREFERENCE = """`probability` is how likely it
is that the chosen answer is the better one, every vote being right as often as these people are
(from how often two of them agree; 0.95 where an adjudicator decided, {judge} where only models judged).
`weight` is 2p - 1, p being `probability`: how much a label counts that is right with probability p.
An uncertain preference counts less; none is deleted for it."""
JUDGED = """In `judged`, `first` and `second` are the two answers in an order that means nothing. `verdict` is
`first`, `second`, `tie`, `both_bad`, or empty where there is none, and `reason` says why. People's votes are
counted in `first_votes` to `both_bad_votes`, models' apart from them in `judge_first_votes` and so on.
`adjudication_cause` says why people differed, where an adjudicator decided. `edits` are answers that
people made better, `flags` what they flagged. Pairs of `purpose` evaluation compare policies on
prompts of the split `test`: never train on them."""
KTO = """`label` is whether people want the answer; `said` is why: it was `chosen`, it was `rejected`,
or both answers of its pair were bad (`both_bad`). An answer of several pairs has a row for each."""
REWARD = """`margin` is how much better the chosen answer is, for `RewardTrainer`: the mean of slight 1/3,
clear 2/3 and strong 1 over the `strength_votes` votes for it that told (Llama 2's small margins), 0
where none did."""
RANKING = """`answers`, `scores`, `response_ids`, `policy_ids`, `answer_ids` and `logprob_sums` are in the same
order, the best answer first. `scores` are Bradley-Terry log-odds fitted to the settled pairs of the
prompt (a tie counts half for each), with a standard normal prior and mean 0: comparable within a
prompt, not between prompts. `pairs` is how many pairs they rest on; where `connected` is false no
chain of pairs joins all answers, and only the prior relates some of them. "Both bad" says nothing of
an order and is left out."""
VOTES = """One row per judgment that counts now: the last of each person on each pair, skips included.
`verdict` and `criteria` are in the pair's stored order; `first_side` is where the first answer stood.
{people} `revision` counts changes of mind, `seconds` is from the pair being readable to the decision.
`votes/*.csv` holds the same rows for spreadsheets: cells that would run as a formula begin with '.
Rows of `purpose` evaluation and gold, and of the split test, are never for training."""
COLUMNS = {
    Format.DPO: (SHARED, PREFERENCE, TOKENS, JUDGED),
    Format.KTO: (KTO, SHARED, TOKENS),
    Format.REWARD: (REWARD, SHARED, PREFERENCE, TOKENS),
    Format.RANKING: (RANKING, TOKENS),
    Format.VOTES: (VOTES, JUDGED),
}
NUMBERED = """People are numbered, 1 gave the most votes; what they wrote as reasons is left out."""
NAMED = (
    """People are named and what they wrote as reasons is in `rationale`: this data is personal."""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a card says of the rows. By split how many there are; the rest is counted as they pass."""

    rows: Mapping[str, int]
    judged: Mapping[str, int]  # empty where the export has no such part
    tiers: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    policies: set[str] = field(default_factory=set)  # that the answers are of

    def counting(self, portions: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """The same rows, each counted when it is asked for."""
        for rows in portions:
            self.tiers.update(str(row["tier"]) for row in rows if "tier" in row)
            self.origins.update(str(row["origin"]) for row in rows if "origin" in row)
            for row in rows:
                of = row.get("policy_ids") or [row.get("policy_id"), row.get("rejected_policy_id")]
                assert isinstance(of, list), "these are ids"
                self.policies.update(filter(None, of))
            yield rows


def data_card(
    shape: Format,
    content: Content,
    *,
    drops: Counter[Drop],
    agreement: str,
    lineage: Sequence[str],
    licence: str,
    names: bool,
) -> str:
    """README.md of an export."""
    rows, judged, tiers = content.rows, content.judged, content.tiers
    tier_rows = [
        f"| `{tier.value}` | {meaning} | {tiers[tier.value]} |"
        for tier, meaning in TIERS.items()
        if tiers[tier.value]
    ]
    columns = "\n\n".join(COLUMNS[shape])
    people = NAMED if names else NUMBERED
    return CARD.format(
        licence=licence,
        format=shape.value,
        configs="\n".join(
            f"- config_name: {name}\n  data_files:\n{_files(part, found)}"
            for name, part, found in (("default", "data", rows), ("judged", "judged", judged))
            if found
        ),
        title=TITLES[shape],
        intro=INTROS[shape].format(rows=sum(rows.values()), origins=_origins(content.origins)),
        splits=_splits(rows, judged),
        tiers=TIER_TABLE.format(rows="\n".join(tier_rows)) if tier_rows else "",
        agreement=agreement,
        drops="\n".join(
            f"- {many(n, 'pair')}: {reason.replace('_', ' ')}" for reason, n in drops.items()
        )
        or "Nothing.",
        lineage="\n".join(lineage),
        columns=columns.format(judge=JUDGE_PROBABILITY, people=people),
    )


def _splits(rows: Mapping[str, int], judged: Mapping[str, int]) -> str:
    heads = ["split", "rows", *(["judged pairs"] if judged else [])]
    lines = [
        [s.value, str(rows.get(s, 0)), *([str(judged.get(s, 0))] if judged else [])]
        for s in Split
        if s in rows or s in judged
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines))


def _origins(counts: Counter[str]) -> str:
    """Where the answers come from, for the card's first sentence."""
    ours = "answers sampled from the policy itself, compared blind and side by side by people"
    if not counts["imported"]:
        return ours
    theirs = "answers and judgments imported from elsewhere"
    return f"{counts['sampled']} with {ours}, {counts['imported']} with {theirs}"


def _files(part: str, splits: Iterable[str]) -> str:
    return "\n".join(f"  - split: {s}\n    path: {part}/{s}.parquet" for s in splits)
