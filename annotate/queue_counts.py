"""Where the pairs to label stand, and what their votes were worth: kept as votes come."""

from collections import Counter
from collections.abc import Sequence

from annotate.config import Distribution
from annotate.consensus import majority, votes_wanted
from storage.records import Pair, Verdict

Counted = tuple[str, int, int, int]  # where a pair stands, its votes, extra ones, votes saved
PLACES = ("waiting", "begun", "tie_break", "settled", "no_majority")
_VOTES = ("votes", "extra_votes", "votes_saved")


class Tally:
    """The sums over all pairs, which people ask for all the time."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def move(self, before: Counted | None, now: Counted) -> None:
        """A pair counts as `now` from here on."""
        if now == before:
            return
        for counted, sign in ((before, -1), (now, 1)):
            if counted is not None:
                self._counts[counted[0]] += sign
                for name, n in zip(_VOTES, counted[1:], strict=True):
                    self._counts[name] += sign * n

    def counts(self) -> dict[str, int]:
        return {name: self._counts[name] for name in (*PLACES, *_VOTES)}


def counted(
    pair: Pair, verdicts: Sequence[Verdict], config: Distribution, *, wanted: int, decided: bool
) -> Counted:
    """What a pair adds to the tally."""
    saved = 0
    if decided:
        place = "settled"
    elif len(verdicts) >= wanted:
        place = "settled" if majority(verdicts) else "no_majority"
        saved = max(0, _most_votes(pair, config) - len(verdicts))
    elif not verdicts:
        place = "waiting"
    else:
        place = "tie_break" if len(verdicts) >= votes_wanted([], pair, config) else "begun"
    return place, len(verdicts), extra_votes(pair, verdicts, config, wanted=wanted), saved


def extra_votes(
    pair: Pair, verdicts: Sequence[Verdict], config: Distribution, *, wanted: int
) -> int:
    """Votes beyond those wanted at any time, as the votes came in."""
    if len(verdicts) <= wanted:
        return 0
    asked = max(votes_wanted(verdicts[:k], pair, config) for k in range(len(verdicts)))
    return max(0, len(verdicts) - asked)


def _most_votes(pair: Pair, config: Distribution) -> int:
    """What a fixed design that can always break a tie would have spent on the pair."""
    if config.stop_at is not None:
        return config.max_votes
    planned = votes_wanted([], pair, config)
    return planned + (1 if config.tie_breaker and planned > 1 else 0)
