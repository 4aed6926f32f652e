"""The verbs: have a policy's missing answers sampled and paired, or two policies' compared.

Killed at any moment and run again, they do only what the store does not have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generate.config import GenerateConfig
from generate.pair_stage import PairsMade, form_comparisons, form_training_pairs
from generate.plan import Plan, estimate, plan
from generate.recording import Generated, Progress
from generate.sampler import Sampler
from generate.sampling import missing_answers, sample_missing
from storage.errors import ConfigurationError, NotReadyError
from storage.policies import newest_policy, policies
from storage.prompts import portions, prompt_ids_of, prompts_by_id
from storage.records import Policy, Prompt, Split
from storage.responses import (
    TemperatureRow,
    answers_by_temperature,
    mean_tokens,
    sampling_speed,
)
from storage.store import Store, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comparing a policy came to: the answers it took, and the pairs by the other policy's id."""

    sampled: Generated
    pairs: Mapping[str, PairsMade]


def current_policy(store: Store, config: GenerateConfig) -> Policy:
    """The newest policy; registers the SFT model as round 0 in a new workspace."""
    with store.connected():
        policy = _newest_or_sft(store, config)
        if newest_policy(store) is None:
            store.append([policy])
    return policy


def _newest_or_sft(store: Store, config: GenerateConfig) -> Policy:
    newest = newest_policy(store)
    if newest is not None:
        base = policies(store)[0].base_model
        if base != config.model:
            raise ConfigurationError(
                f"generate.model is {config.model!r}, but this workspace's rounds began from "
                f"{base!r}. Set it back, or start a new workspace for the other model."
            )
        return newest
    return Policy(
        id=Policy.id_of(base_model=config.model, adapter_hash=None, parent=None),
        round=0,
        base_model=config.model,
        adapter=None,
        adapter_hash=None,
        parent=None,
        method="sft",
        run_id=None,
        created_at=utc_now(),
    )


def generate(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    *,
    progress: Progress | None = None,
    open_engine: Callable[[], Sampler] | None = None,
    strict: bool = False,
) -> Generated:
    """Sample the newest policy's missing answers to train and validation prompts, form pairs."""
    with store.connected():
        policy = current_policy(store, config)
        chosen = prompts_to_answer(store)
    result = sample_missing(
        store,
        workspace,
        config,
        chosen,
        [policy],
        progress=progress,
        open_engine=open_engine,
        strict=strict,
    )
    result.take(form_training_pairs(store, policy, config))
    return result


def prompts_to_answer(store: Store) -> list[str]:
    """Ids of the train and validation prompts; raises NotReadyError when there are none."""
    chosen = prompt_ids_of(store, Split.TRAIN, Split.VALIDATION)
    if not chosen:
        raise NotReadyError(
            "There are no prompts to answer. Add some with `pairloop prompts add FILE`."
        )
    return chosen


def plan_generate(store: Store, config: GenerateConfig) -> Plan:
    """What `generate` would do now; writes nothing."""
    policy = _newest_or_sft(store, config)
    chosen = prompts_to_answer(store)
    return estimate(
        policy,
        config,
        prompts=len(chosen),
        missing=sum(
            len(missing_answers(store, some, [policy], config)) for some in portions(chosen)
        ),
        mean_tokens=mean_tokens(store, max_tokens=config.max_tokens),
        tokens_per_second=sampling_speed(store, model=config.model, engine=config.engine.value),
    )


def compare(
    store: Store,
    workspace: Path,
    config: GenerateConfig,
    *,
    policy: Policy,
    against: Sequence[Policy],
    samples: int,
    progress: Progress | None = None,
) -> Compared:
    """Blind evaluation pairs: all of them answer the test prompts under the same settings."""
    chosen = _heldout_ids(store)
    # A prompt's answers of all policies stand side by side and go through one engine.
    sampled = sample_missing(
        store, workspace, config, chosen, [policy, *against], samples=samples, progress=progress
    )
    wanted = {
        want.response_id
        for some in portions(chosen)
        for want in plan(some, [policy, *against], config, samples=samples)
    }
    pairs = {
        other.id: form_comparisons(store, policy, other, config, chosen, response_ids=wanted)
        for other in against
    }
    return Compared(sampled=sampled, pairs=pairs)


def answers_sampled(store: Store, policy: Policy, config: GenerateConfig) -> list[TemperatureRow]:
    """How the answers that `generate` wants of a policy turned out, one row per temperature."""
    return answers_by_temperature(
        store,
        (
            [want.response_id for want in plan(some, [policy], config)]
            for some in portions(prompts_to_answer(store))
        ),
    )


def heldout_prompts(store: Store) -> list[Prompt]:
    """What policies are compared on; raises NotReadyError when there is nothing."""
    chosen = _heldout_ids(store)
    found = prompts_by_id(store, chosen)
    return [found[prompt_id] for prompt_id in chosen]


def _heldout_ids(store: Store) -> list[str]:
    chosen = prompt_ids_of(store, Split.TEST)
    if not chosen:
        raise NotReadyError(
            "There are no test prompts to compare policies on. Raise generate.test_share before "
            "adding prompts, or add more prompts."
        )
    return chosen
