"""Sampling what is missing: every answer once, whatever happens on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from factories import make_policy, make_prompt, make_response, open_store

from generate import stage
from generate.chat import load_tokenizer
from generate.config import EngineName, GenerateConfig
from generate.pair_stage import form_training_pairs
from generate.plan import seed_of
from generate.sampler import Request, Sample
from generate.sampling import sample_missing
from generate.weights import policy_hash
from storage.errors import ConfigurationError, ModelError, NotReadyError
from storage.pairs import pairs_of_round
from storage.policies import find_policy, policies
from storage.prompts import prompt_ids_of
from storage.records import FinishReason, Message, Purpose, Split
from storage.responses import answers_by_temperature, responses_of
from storage.run_records import RunStatus
from storage.runs import runs

TOPICS = ["tea", "bread", "bees", "chess", "rain", "soup", "maps", "cats"]


def config_for(model: str, **changes) -> GenerateConfig:
    values = {
        "model": model,
        "engine": EngineName.TRANSFORMERS,
        "temperatures": (0.7, 1.0),
        "samples_per_temperature": 1,
        "max_tokens": 64,
    } | changes
    return GenerateConfig(**values)


def add_prompts(folder: Path, count: int = 4, *, split: Split = Split.TRAIN) -> None:
    with open_store(folder) as store, store.connected():
        store.append([make_prompt(f"What is {t}?", split=split) for t in TOPICS[:count]])


class Scripted:
    """An engine that answers at once; enough for what the stage itself does."""

    name = "scripted"
    context_tokens = 512

    def __init__(self, model: str, *, fail_after: int | None = None, words: int = 0) -> None:
        self.tokenizer = load_tokenizer(model)
        self.asked: list[str] = []
        self.adapters: list[Path | None] = []
        self.closed = False
        self._fail_after = fail_after
        self._words = words

    def close(self) -> None:
        self.closed = True

    def sample(self, requests: Sequence[Request]) -> Iterator[Sample]:
        for count, request in enumerate(requests):
            if count == self._fail_after:
                raise RuntimeError("the engine died")
            self.asked.append(request.key)
            self.adapters.append(request.adapter)
            yield Sample(
                key=request.key,
                text=f"An answer made with seed {request.sampling.seed} and nothing else."
                + "".join(f" {request.sampling.seed + i}" for i in range(self._words)),
                finish_reason=FinishReason.STOP,
                prompt_token_ids=request.prompt_token_ids,
                token_ids=(1, 2),
                logprobs=(-0.25, -0.75),
            )


def sample_with(engine: Scripted, store, folder: Path, config: GenerateConfig, **how):
    policy = stage.current_policy(store, config)
    chosen = stage.prompts_to_answer(store)
    return sample_missing(
        store, folder, config, chosen, [policy], open_engine=lambda: engine, **how
    )


def test_the_real_engine_answers_each_prompt_and_pairs_are_formed(tmp_path, micro_model):
    add_prompts(tmp_path, 4)
    config = config_for(micro_model, samples_per_temperature=2)

    with open_store(tmp_path) as store:
        first = stage.generate(store, tmp_path, config)
        again = stage.generate(store, tmp_path, config)
        policy = find_policy(store, "sft")
        answers = responses_of(store, policy.id)
        formed = pairs_of_round(store, 0, purpose=Purpose.TRAIN)

    assert (first.wanted, first.sampled, again.sampled, again.new_pairs) == (16, 16, 0, 0)
    assert len(answers) == len({a.id for a in answers}) == 16
    assert len(formed) == first.new_pairs == again.all_pairs
    assert len({a.seed for a in answers}) == 16
    assert all(a.prompt_token_ids and len(a.token_ids) == len(a.logprobs) for a in answers)
    assert all(a.logprob_sum == sum(a.logprobs) < 0 for a in answers)
    assert {a.policy_hash for a in answers} == {policy_hash(policy)} != {None}


def test_a_run_that_failed_keeps_what_it_finished_and_the_next_does_only_the_rest(
    tmp_path, micro_model
):
    add_prompts(tmp_path, 6)
    config = config_for(micro_model)

    with open_store(tmp_path) as store:
        broken = Scripted(micro_model, fail_after=5)
        with pytest.raises(RuntimeError, match="the engine died"):
            sample_with(broken, store, tmp_path, config)
        assert len(responses_of(store, find_policy(store, "sft").id)) == 5
        assert runs(store)[0].status is RunStatus.FAILED

        healthy = Scripted(micro_model)
        result = sample_with(healthy, store, tmp_path, config)

        assert result.sampled == 7
        assert not set(healthy.asked) & set(broken.asked)
        assert len(responses_of(store, find_policy(store, "sft").id)) == 12


CHILD = """
import sys
from pathlib import Path
from generate import recording, stage
from generate.config import GenerateConfig
from storage.store import Store
recording.APPEND_SECONDS = 0.0
folder = Path(sys.argv[1])
config = GenerateConfig.model_validate_json(sys.argv[2])
with Store(folder / "pairloop.duckdb") as store:
    stage.generate(store, folder, config, progress=lambda d, t, a, s: print(d, flush=True))
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_finished_and_nothing_is_sampled_twice(tmp_path, micro_model):
    add_prompts(tmp_path, 8)
    config = config_for(micro_model, samples_per_temperature=8)
    command = [sys.executable, "-c", CHILD, str(tmp_path), config.model_dump_json()]
    reported = 0
    for wait_for in (1, 20, 60):
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
        )
        for line in child.stdout:
            reported = max(reported, int(line))
            if int(line) >= wait_for:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        with open_store(tmp_path) as store:
            kept = len(responses_of(store, find_policy(store, "sft").id))
        assert kept >= min(wait_for, 128)

    with open_store(tmp_path) as store:
        before = {r.id: r.created_at for r in responses_of(store, find_policy(store, "sft").id)}
        result = stage.generate(store, tmp_path, config)
        after = {r.id: r.created_at for r in responses_of(store, find_policy(store, "sft").id)}

    assert len(after) == 128
    assert result.sampled == 128 - len(before)
    assert before.items() <= after.items()


def test_test_prompts_are_never_sampled_for_training(tmp_path, micro_model):
    add_prompts(tmp_path, 3, split=Split.TEST)

    with (
        open_store(tmp_path) as store,
        pytest.raises(NotReadyError, match="no prompts to answer"),
    ):
        stage.generate(store, tmp_path, config_for(micro_model))


def test_prompts_longer_than_the_context_are_left_out_and_named_or_refused(
    tmp_path, micro_model, caplog
):
    add_prompts(tmp_path, 2)
    long = make_prompt(messages=(Message(role="user", content="tea and bread " * 300),))
    config = config_for(micro_model)
    with open_store(tmp_path) as store:
        store.append([long])
        policy = stage.current_policy(store, config)
        chosen = stage.prompts_to_answer(store)
        engine = partial(Scripted, micro_model)

        with pytest.raises(ModelError, match="1 prompt is longer than the 448 tokens"):
            sample_missing(
                store, tmp_path, config, chosen, [policy], open_engine=engine, strict=True
            )
        assert responses_of(store, policy.id) == []

        result = sample_missing(store, tmp_path, config, chosen, [policy], open_engine=engine)
        assert result.sampled == 4
        assert result.left_out == {"too_long": 1}
        assert f"{long.messages[0].content[:60]!r}" in caplog.text


def test_prompts_are_answered_the_same_however_many_are_looked_up_at_a_time(
    tmp_path, micro_model, monkeypatch
):
    found = []
    for portion in (1024, 3):
        monkeypatch.setattr("storage.prompts.PORTION", portion)
        folder = tmp_path / str(portion)
        folder.mkdir()
        add_prompts(folder, 8)
        with open_store(folder) as store:
            engine, config = Scripted(micro_model), config_for(micro_model, near_duplicate=1.0)
            result = sample_with(engine, store, folder, config)
            made = form_training_pairs(store, result.policy, config)
            again = form_training_pairs(store, result.policy, config)
            pairs = {p.id for p in pairs_of_round(store, 0, purpose=Purpose.TRAIN)}
        assert (made.new_pairs, again.new_pairs, again.all_pairs) == (8, 0, 8)
        found.append((sorted(engine.asked), pairs))
    assert found[0] == found[1]


def test_memory_holds_no_more_of_a_prompt_than_ids(tmp_path, micro_model, monkeypatch):
    """Sampling, forming pairs and the table at the end: never the texts or tokens of all answers."""
    monkeypatch.setattr("storage.prompts.PORTION", 16)
    monkeypatch.setattr("generate.recording.MOST_WAITING", 32)
    config = config_for(micro_model)

    def run(prompts: int) -> None:
        folder = tmp_path / str(prompts)
        folder.mkdir()
        with open_store(folder, hold=True) as store:  # opened once: quicker
            store.append([make_prompt(f"What is {i}? {'Say more. ' * 20}") for i in range(prompts)])
            engine = Scripted(micro_model, words=300)
            made = stage.generate(store, folder, config, open_engine=lambda: engine)
            again = stage.generate(store, folder, config, open_engine=lambda: engine)
            table = stage.answers_sampled(store, made.policy, config)
            planned = stage.plan_generate(store, config)
        assert (made.sampled, again.sampled, planned.missing) == (2 * prompts, 0, 0)
        assert (made.new_pairs, again.new_pairs) == (prompts, 0)
        assert [row.answers for row in table] == [prompts, prompts]

    def most_held(prompts: int) -> int:
        tracemalloc.start()
        try:
            run(prompts)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    run(16)  # loads what every run loads
    few, many = 32, 96
    # Bytes. An answer's text has 3,000.
    assert (most_held(many) - most_held(few)) / (many - few) < 1_000


def test_another_sft_model_in_a_workspace_with_rounds_is_refused(tmp_path, micro_model):
    add_prompts(tmp_path, 1)
    with open_store(tmp_path) as store:
        stage.current_policy(store, config_for(micro_model))

        with pytest.raises(ConfigurationError, match="this workspace's rounds began from"):
            stage.current_policy(store, config_for("someone/else"))
        assert len(policies(store)) == 1


def test_seeds_are_distinct_per_prompt_temperature_and_index_and_repeatable():
    seeds = {
        seed_of(0, prompt, temperature=t, index=i)
        for prompt in ("p1:a", "p1:b")
        for t in (0.7, 1.0)
        for i in range(3)
    }

    assert len(seeds) == 12
    again = seed_of(0, "p1:a", temperature=0.7, index=0)
    assert again == seed_of(0, "p1:a", temperature=0.7, index=0)
    assert again != seed_of(1, "p1:a", temperature=0.7, index=0)


def test_interrupting_keeps_finished_answers_and_says_stopped(tmp_path, micro_model):
    add_prompts(tmp_path, 4)
    config = config_for(micro_model)

    class Interrupted(Scripted):
        def sample(self, requests):
            for count, sample in enumerate(super().sample(requests)):
                if count == 3:
                    raise KeyboardInterrupt
                yield sample
                time.sleep(0)

    with open_store(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt):
            sample_with(Interrupted(micro_model), store, tmp_path, config)

        assert runs(store)[0].status is RunStatus.STOPPED
        assert len(responses_of(store, find_policy(store, "sft").id)) == 3


def test_two_policies_answers_go_through_one_engine_side_by_side(tmp_path, micro_model):
    """The next round's adapter against the SFT model: one call, each answer its own policy's."""
    add_prompts(tmp_path, 2, split=Split.TEST)
    config = config_for(micro_model)
    with open_store(tmp_path) as store:
        sft = stage.current_policy(store, config)
        tuned = make_policy(1, parent=sft, base_model=micro_model)
        store.append([tuned])
        chosen = prompt_ids_of(store, Split.TEST)
        engine = Scripted(micro_model)

        result = sample_missing(
            store, tmp_path, config, chosen, [tuned, sft], open_engine=lambda: engine
        )

        assert result.sampled == 8
        assert (
            engine.adapters
            == [tmp_path / tuned.adapter] * 2
            + [None] * 2
            + [tmp_path / tuned.adapter] * 2
            + [None] * 2
        )
        hashes = {p.id: policy_hash(p) for p in (sft, tuned)}
        assert hashes[sft.id] != hashes[tuned.id]
        for policy in (sft, tuned):
            answers = responses_of(store, policy.id)
            assert len(answers) == 4
            assert {a.policy_hash for a in answers} == {hashes[policy.id]}
        assert engine.closed


def test_a_prompt_the_template_refuses_is_left_out_and_named(tmp_path, micro_model, caplog):
    config = config_for(micro_model)
    odd = make_prompt(messages=(Message(role="user", content="Refused words"),))
    add_prompts(tmp_path, 1)
    with open_store(tmp_path) as store:
        store.append([odd])
        engine = Scripted(micro_model)
        engine.tokenizer.chat_template = (
            "{% if messages[0]['content'] == 'Refused words' %}"
            "{{ raise_exception('no such words') }}{% endif %}{{ messages[0]['content'] }}"
        )

        result = sample_with(engine, store, tmp_path, config)

        assert result.left_out == {"refused_by_template": 1}
        assert "no such words: 'Refused words'" in caplog.text
        with pytest.raises(ModelError, match=r"refuses 1 prompt:"):
            sample_with(engine, store, tmp_path, config, strict=True)


def test_a_plan_counts_what_is_left_at_the_measured_length_and_speed_and_writes_nothing(
    tmp_path, micro_model
):
    add_prompts(tmp_path, 4)
    config = config_for(micro_model)
    with open_store(tmp_path) as store:
        before = stage.plan_generate(store, config)
        assert policies(store) == []
        assert (before.prompts, before.wanted, before.done, before.missing) == (4, 8, 0, 8)
        assert (before.expected_tokens, before.expected_seconds) == (None, None)
        assert before.most_tokens == 8 * config.max_tokens
        sample_with(Scripted(micro_model), store, tmp_path, config)

        more = stage.plan_generate(store, config_for(micro_model, samples_per_temperature=2))

    assert (more.wanted, more.done, more.missing, more.expected_tokens) == (16, 8, 8, 16)
    assert more.expected_seconds == pytest.approx(16 / more.tokens_per_second)


def test_answers_are_counted_by_temperature(tmp_path, micro_model):
    prompt = make_prompt("Q")
    policy = make_policy(0)
    with open_store(tmp_path) as store:
        answers = [
            make_response(prompt, policy, "same", temperature=0.7, index=0),
            make_response(prompt, policy, "same", temperature=0.7, index=1, token_ids=(1,)),
            make_response(
                prompt, policy, "cut", temperature=1.0, finish_reason=FinishReason.LENGTH
            ),
        ]
        store.append(answers)

        cold, warm = answers_by_temperature(store, [[a.id for a in answers]])

    assert (cold.answers, cold.tokens, cold.mean_tokens, cold.duplicates) == (2, 4, 2.0, 1)
    assert (cold.stop, cold.length, cold.stop_string) == (2, 0, 0)
    assert (warm.answers, warm.duplicates, warm.stop, warm.length) == (1, 0, 0, 1)


def test_a_fully_tuned_policy_is_sampled_from_its_own_weights(tmp_path, micro_model):
    """And the SFT model beside it, each by an engine of its own."""
    add_prompts(tmp_path, split=Split.TEST)
    whole = tmp_path / "policies" / "round-1"
    shutil.copytree(micro_model, whole)
    config = config_for(micro_model, temperatures=(0.7,), max_tokens=8)
    with open_store(tmp_path) as store:
        sft = stage.current_policy(store, config)
        tuned = make_policy(
            1, parent=sft, base_model="policies/round-1", adapter=None, adapter_hash="f" * 64
        )
        store.append([tuned])
        made = stage.compare(store, tmp_path, config, policy=tuned, against=[sft], samples=1)
        answers = {p.id: responses_of(store, p.id) for p in (sft, tuned)}

    assert made.sampled.sampled == 8
    assert [len(found) for found in answers.values()] == [4, 4]
    assert made.sampled.finish_reasons.total() == 8
