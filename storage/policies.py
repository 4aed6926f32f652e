"""Reading policies: round 0 is the SFT model, every training run adds one."""

from storage.errors import NotReadyError
from storage.records import Policy
from storage.store import Store


def policies(store: Store) -> list[Policy]:
    """Every policy, round 0 first."""
    return store.read(Policy, "policies_all")


def newest_policy(store: Store) -> Policy | None:
    """The policy of the highest round, the last registered among equals."""
    known = policies(store)
    return known[-1] if known else None


def find_policy(store: Store, name: str) -> Policy:
    """By id, "sft" (round 0), "latest", or "round-N"; raises NotReadyError naming what exists."""
    known = policies(store)
    by_name = {p.id: p for p in known} | {f"round-{p.round}": p for p in known}
    if known:
        by_name |= {"sft": known[0], "latest": known[-1]}
    if name not in by_name:
        have = ", ".join(f"round-{p.round}" for p in known) or "none yet"
        raise NotReadyError(
            f"There is no policy {name!r}. Known policies: {have}. "
            "`pairloop generate` registers the SFT model, `pairloop train` each next policy."
        )
    return by_name[name]
