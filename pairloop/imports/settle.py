"""The consensus of imported pairs, from counts that the database makes.

annotate.consensus.settle goes through every pair of the workspace; this through the new ones alone.
Who gave an imported vote does not matter here: that is for the next whole pass.
"""

from annotate.accuracy import project_accuracy
from annotate.config import Distribution
from annotate.consensus import Word, consensus_of
from storage.imports import unsettled_imports
from storage.store import Store, utc_now


def settle_imported(store: Store, config: Distribution) -> int:
    """Bring the consensus of every pair with new imported votes up to date; returns how many."""
    now = utc_now()
    accuracy = project_accuracy(store, config)
    changed = []
    for found in unsettled_imports(store):
        votes = [Word("", v) for v, count in found.votes.items() for _ in range(count)]
        changed.append(
            consensus_of(
                found.pair, votes, events=found.events, config=config, now=now, accuracy=accuracy
            )
        )
    store.append(changed)
    return len(changed)
