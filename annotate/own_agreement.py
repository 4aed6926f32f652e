"""How often somebody agrees with others, for their own eyes."""

import time

from annotate.cards import OwnAgreement
from annotate.person import Person
from annotate.queue import PairQueue, is_regular
from storage.records import Verdict

MIN_VOTE_PAIRS = 10  # below this nobody is told how often they agree
KEPT_SECONDS = 30.0  # how long a computed agreement is shown


def own_agreement(person: Person, queue: PairQueue) -> OwnAgreement:
    """Agreement with others on the pairs this person has judged themselves."""
    if person.agreement is not None and person.agreement[0] > time.monotonic():
        return person.agreement[1]
    agreeing = total = 0
    for pair_id, judgment in person.mine.items():
        pair = queue.pair(pair_id)
        if judgment.verdict is Verdict.SKIP or pair is None or not is_regular(pair):
            continue
        for other in queue.present(pair_id)[0]:
            if other.labeler != person.name and other.verdict is not Verdict.SKIP:
                total += 1
                agreeing += other.verdict is judgment.verdict
    value = agreeing / total if total >= MIN_VOTE_PAIRS else None
    found = OwnAgreement(value=value, vote_pairs=total)
    person.agreement = (time.monotonic() + KEPT_SECONDS, found)
    return found
