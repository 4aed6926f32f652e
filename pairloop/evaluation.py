"""What `pairloop evaluate` finds: each policy compared, by people and by each judge, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from annotate import judge_stage
from annotate.accounts import check_name
from annotate.config import Judge
from annotate.judge_stage import Judged
from generate.pair_stage import PairsMade
from pairloop.judging import asked_model, open_judge
from pairloop.report import progress_bar
from pairloop.workspace import Workspace
from storage.errors import ConfigurationError
from storage.policies import find_policy, policies
from storage.records import Policy
from storage.store import Store
from storage.summaries import comparison_ids, evaluation_outcomes, judged_outcomes
from train.evaluate import Comparison, compared

PEOPLE = "people"
COLUMNS = (
    *("against", "judged by", "won", "tied", "lost", "prompts", "win rate", "95 % interval"),
    *("at equal length", "95 % interval", "characters", "other's"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A policy against one other. by: people first, then every judge that has said something."""

    against: Policy
    by: Mapping[str, Comparison]

    @property
    def name(self) -> str:
        return policy_name(self.against)

    @property
    def settled(self) -> int:
        """Comparisons that people have settled."""
        return self.by[PEOPLE].rate.comparisons


def policy_name(policy: Policy) -> str:
    """What a policy is called in tables and files: sft or round-N."""
    return f"round-{policy.round}" if policy.round else "sft"


def opponents(store: Store, ours: Policy, names: Sequence[str]) -> list[Policy]:
    """Those named; without a name SFT and the round before, as far as they are other policies."""
    known = policies(store)
    before = [p for p in known if p.round == ours.round - 1]
    found: dict[str, Policy] = {}
    for name in names or ("sft", "previous"):
        if name == "previous" and not before:
            if names:
                raise ConfigurationError(
                    f"Round {ours.round} has no round before it, so --against previous is nobody."
                )
            continue
        other = before[-1] if name == "previous" else find_policy(store, name)
        if other.id != ours.id:
            found[other.id] = other
        elif names:
            raise ConfigurationError(
                f"--policy and --against {name} are the same policy. "
                "Train one first with `pairloop train`, or name two different ones."
            )
    return list(found.values())


def judge_named(space: Workspace, name: str) -> Judge:
    """The configured judge under this name; raises InputError for what is no labeler's name."""
    return space.annotate.judge.model_copy(update={"name": check_name(name)})


def ask_judge(
    space: Workspace, store: Store, config: Judge, ours: Policy, others: Sequence[Policy]
) -> Judged:
    """Have the judge compare what it has not, in both orders."""
    only = {
        pair for other in others for pair in comparison_ids(store, policy=ours.id, against=other.id)
    }
    if not only:
        return Judged(wanted=0)
    todo = judge_stage.plan(
        store,
        config,
        model=asked_model(space, config),
        rubric=judge_stage.rubric_in_force(store, space.guidelines),
        only=only,
    )
    if not todo.pairs:
        return Judged(wanted=0)
    asker = open_judge(space, config)
    with progress_bar("Judging") as tick:
        return judge_stage.judge(store, config, todo, asker, progress=tick)


def standings(store: Store, ours: Policy, others: Sequence[Policy]) -> list[Standing]:
    """What people and judges have said so far of this policy against each of the others."""
    with store.connected():
        people, judges = evaluation_outcomes(store), judged_outcomes(store)
    found = []
    for other in others:
        by = {PEOPLE: compared(people, policy=ours.id, against=other.id)}
        for name, outcomes in sorted(judges.items()):
            said = compared(outcomes, policy=ours.id, against=other.id)
            if said.rate.comparisons:
                by[f"model: {name}"] = said
        found.append(Standing(against=other, by=by))
    return found


def comparison_rows(found: Sequence[Standing]) -> tuple[Sequence[str], list[list[object]]]:
    """A table's columns and rows, one per opponent and judge that has compared something."""
    rows: list[list[object]] = []
    for one in found:
        for who, said in one.by.items():
            rate, equal = said.rate, said.at_equal_length
            if rate.comparisons:
                rows.append(
                    [
                        *(one.name, who, rate.wins, rate.ties, rate.losses, rate.prompts),
                        *(_percent(rate.value), _between(rate.low, rate.high)),
                        *(_percent(equal.value), _between(equal.low, equal.high)),
                        *(round(said.chars), round(said.against_chars)),
                    ]
                )
    return COLUMNS, rows


def as_data(one: Standing, made: PairsMade) -> dict[str, object]:
    """The same for machines; null where there is nothing to count."""
    by = {who: _data(said) for who, said in one.by.items()}
    return {
        "against": one.against.id,
        "against_round": one.against.round,
        "pairs": made.all_pairs,
        "new_pairs": made.new_pairs,
        "people": by.pop(PEOPLE),
        "judges": {who.removeprefix("model: "): said for who, said in by.items()},
    }


def _data(said: Comparison) -> dict[str, object] | None:
    if not said.rate.comparisons:
        return None
    return {
        "win_rate": asdict(said.rate),
        "length_controlled": {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(said.at_equal_length).items()
        },
        "mean_chars": said.chars,
        "against_mean_chars": said.against_chars,
    }


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _between(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
