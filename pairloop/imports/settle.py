"""The consensus of imported pairs, from counts that the database makes.

annotate.consensus.settle goes through every pair of the workspace; this through the new ones alone.
Who gave an imported vote does not matter here: that is for the next whole pass.
"""

from dataclasses import replace

from annotate.accuracy import project_accuracy
from annotate.config import Distribution
from annotate.consensus import Word, consensus_of
from storage.imports import unsettled_imports
from storage.records import Consensus
from storage.store import Store, utc_now


def settle_imported(store: Store, config: Distribution) -> int:
    """Bring the consensus of every pair with new imported votes up to date; returns how many."""
    now = utc_now()
    accuracy = project_accuracy(store, config)
    alike: dict[tuple[int, ...], Consensus] = {}  # by votes: nothing else matters
    changed = []
    for found in unsettled_imports(store):
        counts = tuple(found.votes.values())
        if counts not in alike:
            votes = [Word("", v) for v, count in found.votes.items() for _ in range(count)]
            alike[counts] = consensus_of(
                found.pair, votes, events=found.events, config=config, now=now, accuracy=accuracy
            )
        changed.append(replace(alike[counts], pair_id=found.pair.id, events=found.events))
    store.append(changed)
    return len(changed)
