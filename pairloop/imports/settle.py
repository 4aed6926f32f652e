"""The consensus of imported pairs, from counts that the database makes.

annotate.consensus.settle goes through every pair of the workspace; this through the new ones alone.
Who gave an imported vote does not matter here: that is for the next whole pass.
"""

from annotate.accuracy import project_accuracy
from annotate.config import Distribution
from annotate.consensus import consensus_of
from storage.imports import unsettled_imports
from storage.records import Judgment, Verdict
from storage.store import Store, utc_now


def settle_imported(store: Store, config: Distribution) -> int:
    """Bring the consensus of every pair with new imported votes up to date; returns how many."""
    now = utc_now()
    accuracy = project_accuracy(store, config)
    like = {verdict: _saying(verdict) for verdict in Verdict}
    changed = []
    for found in unsettled_imports(store):
        votes = [like[v] for v, count in found.votes.items() for _ in range(count)]
        changed.append(
            consensus_of(
                found.pair, votes, events=found.events, config=config, now=now, accuracy=accuracy
            )
        )
    store.append(changed)
    return len(changed)


def _saying(verdict: Verdict) -> Judgment:
    """A judgment of which only the verdict matters: that is all a consensus looks at."""
    return Judgment(
        id="",
        pair_id="",
        labeler="",
        presentation_id="",
        revision=0,
        verdict=verdict,
        strength=None,
        withdrawn=False,
        seconds=0.0,
        created_at=utc_now(),
    )
