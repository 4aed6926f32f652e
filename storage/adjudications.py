"""Reading adjudications, the views given before them, and what was written beside them."""

from storage.adjudication_records import Adjudication, DiscussionNote, OwnView
from storage.store import Store


def standing(store: Store) -> dict[str, Adjudication]:
    """The decision on each adjudicated pair, by pair id; withdrawn ones are not in it."""
    return {a.pair_id: a for a in store.read(Adjudication, "adjudications_standing")}


def events(store: Store) -> list[Adjudication]:
    """Every decision, changes and withdrawals included, in the order they were made."""
    return store.read(Adjudication, "adjudication_events_all")


def own_views(store: Store) -> dict[tuple[str, str], OwnView]:
    """What adjudicators thought before they saw the votes, by pair id and adjudicator."""
    return {(v.pair_id, v.adjudicator): v for v in store.read(OwnView, "own_views_all")}


def discussion(store: Store, pair_id: str) -> list[DiscussionNote]:
    """What was written beside a case, oldest first."""
    return store.read(DiscussionNote, "discussion_of_pair", pair_id=pair_id)
