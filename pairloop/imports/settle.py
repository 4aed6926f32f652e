"""The consensus of imported pairs, from counts that the database makes.

annotate.consensus.settle goes through every pair of the workspace; this through the new ones alone.
Who gave an imported vote does not matter here: that is for the next whole pass.
"""

from dataclasses import replace

from annotate.accuracy import project_accuracy
from annotate.config import Distribution
from annotate.consensus import Word, consensus_of
from storage.imports import unsettled_imports
from storage.store import Store, utc_now


def settle_imported(store: Store, config: Distribution) -> int:
    """Bring the consensus of every pair with new imported votes up to date; returns how many."""
    now = utc_now()
    accuracy = project_accuracy(store, config)
    found = unsettled_imports(store)
    sorts = {tuple(one.votes.values()): one for one in found}  # by votes: nothing else matters
    alike = {
        counts: consensus_of(
            one.pair,
            [Word("", v) for v, count in one.votes.items() for _ in range(count)],
            events=one.events,
            config=config,
            now=now,
            accuracy=accuracy,
        )
        for counts, one in sorts.items()
    }
    changed = [
        replace(alike[tuple(one.votes.values())], pair_id=one.pair.id, events=one.events)
        for one in found
    ]
    store.append(changed)
    return len(changed)
