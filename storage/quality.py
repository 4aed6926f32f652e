"""Reading what the quality of labelers and the ratings of policies are worked out from."""

from collections.abc import Iterator

import pyarrow as pa

from storage.store import Store


def judged_pairs(store: Store) -> pa.Table:
    """Judged training and evaluation pairs by id.

    Columns: pair_id, prompt_id, first, second, first_policy, second_policy.
    """
    return store.table("judged_pairs")


def judged_texts(store: Store, *, parts: int) -> Iterator[tuple[list[str], list[str]]]:
    """Ids and texts of those pairs' answers, each answer once, in so many parts."""
    for part in range(parts):
        found = store.table("judged_texts", parts=parts, part=part)
        yield found["id"].to_pylist(), found["text"].to_pylist()


def repeat_verdicts(store: Store) -> pa.Table:
    """Hidden repeats that were judged both times. Columns: labeler, before, now."""
    return store.table("repeat_verdicts")
