"""Reading pairs and what people concluded about them."""

from collections.abc import Callable, Collection

import pyarrow as pa

from storage.codec import decode
from storage.records import Consensus, Pair, Purpose
from storage.store import Store


def pairs(store: Store) -> list[Pair]:
    """Every pair, oldest first."""
    return store.read(Pair, "pairs_all")


def pairs_beyond(store: Store, known: Callable[[str], bool]) -> list[Pair]:
    """Every pair that is not known already, oldest first."""
    table = store.table("pairs_all")
    new = [not known(pair_id) for pair_id in table["id"].to_pylist()]
    return decode(Pair, table.filter(pa.array(new, type=pa.bool_())))


def pairs_of_round(store: Store, number: int, *, purpose: Purpose) -> list[Pair]:
    """The pairs of one round formed for one purpose."""
    return store.read(Pair, "pairs_of_round", round=number, purpose=purpose.value)


def pairs_of_prompts(store: Store, prompt_ids: Collection[str], *, purpose: Purpose) -> list[Pair]:
    """The pairs of answers to these prompts that were formed for one purpose."""
    return store.read(
        Pair, "pairs_of_prompts", prompt_ids=sorted(prompt_ids), purpose=purpose.value
    )


def number_of_pairs(store: Store, number: int, *, purpose: Purpose) -> int:
    """How many pairs one round has for one purpose."""
    found = store.query("pairs_of_round_count", round=number, purpose=purpose.value)
    return int(str(found[0]["n"]))


def pair_rows(store: Store) -> int:
    """Number of pair rows: a cheap way to see that some were added."""
    return int(str(store.query("pair_count")[0]["n"]))


def pairs_of_identical_answers(store: Store) -> set[str]:
    """The pairs whose two answers say the same, letter for letter."""
    ids: list[str] = store.table("pairs_of_identical_answers")["id"].to_pylist()
    return set(ids)


def consensus_by_pair(store: Store) -> dict[str, Consensus]:
    """Where every judged pair stands, by pair id."""
    return {c.pair_id: c for c in store.read(Consensus, "consensus_all")}


def settled_pairs(store: Store) -> list[str]:
    """The pairs that are settled."""
    ids: list[str] = store.table("settled_pairs")["pair_id"].to_pylist()
    return ids


def consensus_of_pairs(store: Store, pair_ids: Collection[str]) -> dict[str, Consensus]:
    """Where these pairs stand, by pair id; pairs that nobody judged are left out."""
    found = store.read(Consensus, "consensus_of_pairs", pair_ids=sorted(pair_ids))
    return {c.pair_id: c for c in found}


def consensus_of_pair(store: Store, pair_id: str) -> Consensus | None:
    """Where one pair stands; None where it was not judged."""
    return consensus_of_pairs(store, [pair_id]).get(pair_id)
