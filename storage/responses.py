"""Reading responses."""

from collections.abc import Sequence

from storage.records import Response
from storage.store import Store


def responses_of(store: Store, policy_id: str) -> list[Response]:
    """Every response of a policy, grouped by prompt."""
    return store.read(Response, "responses_of_policy", policy_id=policy_id)


def response_ids_of(store: Store, policy_id: str) -> set[str]:
    """Ids of what is already sampled from a policy."""
    return {str(r["id"]) for r in store.query("response_ids_of_policy", policy_id=policy_id)}


def responses_by_id(store: Store, ids: Sequence[str]) -> dict[str, Response]:
    """The stored responses among these ids."""
    return {r.id: r for r in store.read(Response, "responses_by_ids", ids=sorted(set(ids)))}


def texts_by_id(store: Store, ids: Sequence[str]) -> dict[str, str]:
    """The texts alone of the stored responses among these ids."""
    rows = store.query("response_texts_by_ids", ids=sorted(set(ids)))
    return {str(r["id"]): str(r["text"]) for r in rows}
