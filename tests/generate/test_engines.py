"""The engine contract: the same tests on transformers and, where they are installed, on vLLM, on a
server of it, and on a Ray cluster."""

import math
import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from generate.chat import load_tokenizer, loading_failed, prompt_token_ids, template_hash
from generate.config import EngineName, GenerateConfig
from generate.sampler import Request, open_sampler
from generate.transformers_engine import BATCH, TransformersSampler
from storage.errors import ModelError
from storage.records import FinishReason, Message, Sampling

QUESTIONS = ["What is tea?", "Give me a tip about bread.", "Tell me something about the moon."]


@pytest.fixture(
    scope="module",
    params=[
        EngineName.TRANSFORMERS,
        pytest.param(EngineName.VLLM, marks=pytest.mark.vllm),
        pytest.param(EngineName.OPENAI, marks=[pytest.mark.vllm, pytest.mark.slow]),
        pytest.param(EngineName.RAY, marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def engine(request, micro_model, adapter):
    values = {"model": micro_model, "engine": request.param, "dtype": "float32"}
    if request.param is EngineName.OPENAI:
        values["server"] = {"url": request.getfixturevalue("vllm_server")}
    if request.param is EngineName.RAY:
        request.getfixturevalue("ray_cluster")
        values["ray"] = {"actors": 1, "engine": "transformers"}
    opened = open_sampler(GenerateConfig(**values), adapters=[adapter])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def plain(engine, tokenizer):
    """The base model's answers to `requests_of(tokenizer)`, all in one call."""
    return sampled(engine, requests_of(tokenizer))


@pytest.fixture(scope="module")
def tokenizer(micro_model):
    return load_tokenizer(micro_model)


@pytest.fixture(scope="module")
def adapter(micro_model, tmp_path_factory) -> Path:
    """An adapter that visibly changes the model."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    wrapped = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=8, lora_alpha=16)
    )
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    wrapped.save_pretrained(folder)
    return folder


def request_of(tokenizer, key, question, sampling, **changes) -> Request:
    messages = (Message(role="user", content=question),)
    ids = prompt_token_ids(tokenizer, messages)
    return Request(key=key, messages=messages, prompt_token_ids=ids, sampling=sampling, **changes)


def requests_of(tokenizer, *, temperatures=(0.7, 1.3), max_tokens=48, adapter=None, **settings):
    values = {"top_p": 1.0, "max_tokens": max_tokens} | settings
    return [
        request_of(
            tokenizer,
            f"{question}/{temperature}/{index}",
            question,
            Sampling(
                temperature=temperature,
                seed=100 * number + int(10 * temperature) + index,
                index=index,
                **values,
            ),
            adapter=adapter,
        )
        for number, question in enumerate(QUESTIONS)
        for temperature in temperatures
        for index in (0, 1)
    ]


def sampled(engine, requests):
    return {s.key: s for s in engine.sample(requests)}


def reference_logprobs(model, request, sample) -> list[float]:
    ids = torch.tensor([[*request.prompt_token_ids, *sample.token_ids]])
    with torch.inference_mode():
        logps = model(ids).logits[0, :-1].float().log_softmax(-1)
    picked = logps.gather(1, ids[0, 1:, None])[:, 0]
    return picked[len(request.prompt_token_ids) - 1 :].tolist()


def test_every_request_gets_exactly_one_sample(engine, tokenizer):
    requests = requests_of(tokenizer)

    samples = list(engine.sample(requests))

    assert sorted(s.key for s in samples) == sorted(r.key for r in requests)


def test_the_same_seed_gives_the_same_tokens_in_any_company(engine, tokenizer, plain):
    request = requests_of(tokenizer)[5]

    alone = sampled(engine, [request])

    assert alone[request.key].token_ids == plain[request.key].token_ids


def test_different_seeds_and_temperatures_give_different_answers(plain):
    assert len({s.token_ids for s in plain.values()}) > len(plain) / 2


def test_log_probabilities_are_those_of_the_untempered_policy(plain, tokenizer, micro_model):
    model = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)

    for request in requests_of(tokenizer):
        sample = plain[request.key]
        assert len(sample.logprobs) == len(sample.token_ids)
        assert sample.logprobs == pytest.approx(
            reference_logprobs(model, request, sample), abs=2e-4
        )


def test_an_adapter_is_what_answers_and_the_base_is_itself_again_after(
    engine, tokenizer, adapter, micro_model, plain
):
    from peft import PeftModel

    requests = requests_of(tokenizer)

    adapted = sampled(engine, requests_of(tokenizer, adapter=adapter))
    after = sampled(engine, requests)

    before = {k: s.token_ids for k, s in plain.items()}
    assert {k: s.token_ids for k, s in after.items()} == before
    assert {k: s.token_ids for k, s in adapted.items()} != before
    base = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter)
    for request in requests[:4]:
        sample = adapted[request.key]
        expected = reference_logprobs(model, request, sample)
        assert sample.logprobs == pytest.approx(expected, abs=2e-4)


def test_base_and_adapter_answer_side_by_side_in_one_call(engine, tokenizer, adapter, micro_model):
    from peft import PeftModel

    base, adapted = requests_of(tokenizer), requests_of(tokenizer, adapter=adapter)
    mixed = [
        replace(r, key=f"{r.key} {'adapted' if r.adapter else 'base'}")
        for together in zip(base, adapted, strict=True)
        for r in together
    ]

    samples = sampled(engine, mixed)

    plain = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    again = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    models = {None: plain, adapter: PeftModel.from_pretrained(again, adapter)}
    for request in mixed:
        sample = samples[request.key]
        expected = reference_logprobs(models[request.adapter], request, sample)
        assert sample.logprobs == pytest.approx(expected, abs=2e-4)


def test_top_k_min_p_and_top_p_leave_only_the_likely_tokens(engine, tokenizer):
    greedy = {
        k.split("/")[0]: s
        for k, s in sampled(engine, requests_of(tokenizer, temperatures=(0.0,))).items()
    }
    free = sampled(engine, requests_of(tokenizer, temperatures=(2.0,)))

    for settings in ({"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-6}):
        for key, sample in sampled(
            engine, requests_of(tokenizer, temperatures=(2.0,), **settings)
        ).items():
            assert sample.token_ids == greedy[key.split("/")[0]].token_ids
            assert sample.token_ids != free[key].token_ids
    # The log-probabilities stay those of the policy itself: nothing was renormalised.
    assert all(max(s.logprobs) < 0 for s in greedy.values())


def test_each_setting_cuts_where_its_definition_says(engine, tokenizer, micro_model):
    """Every token sampled at a high temperature is in the set the settings allow, and the set's
    other members come up too."""
    model = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    question = QUESTIONS[0]
    ids = prompt_token_ids(tokenizer, [Message(role="user", content=question)])
    with torch.inference_mode():
        probs = (model(torch.tensor([ids])).logits[0, -1] / 2.0).softmax(-1)
    ordered, index = probs.sort(descending=True)
    allowed = {
        "top_k": set(index[:3].tolist()),
        "min_p": set(index[ordered >= 0.3 * ordered[0]].tolist()),
        "top_p": set(index[ordered.cumsum(0) - ordered < 0.5].tolist()),
    }
    for name, value in (("top_k", 3), ("min_p", 0.3), ("top_p", 0.5)):
        settings = {"top_p": 1.0, "max_tokens": 1, name: value}
        requests = [
            request_of(
                tokenizer,
                f"{name}/{seed}",
                question,
                Sampling(temperature=2.0, seed=seed, index=seed, **settings),
            )
            for seed in range(128)
        ]
        found = {s.token_ids[0] for s in sampled(engine, requests).values()}
        assert found <= allowed[name]
        assert len(found) > 1


def test_a_stop_string_ends_an_answer_and_is_left_out_of_its_text(engine, tokenizer, plain):
    stop = " "

    cut = sampled(engine, requests_of(tokenizer, stop=(stop, "never said")))

    for key, sample in cut.items():
        if stop not in plain[key].text:
            assert sample.token_ids == plain[key].token_ids
            continue
        assert sample.finish_reason is FinishReason.STOP_STRING
        assert sample.text == plain[key].text.split(stop)[0]
        assert sample.token_ids == plain[key].token_ids[: len(sample.token_ids)]
        assert len(sample.logprobs) == len(sample.token_ids)
    assert FinishReason.STOP_STRING in {s.finish_reason for s in cut.values()}


def test_a_stopped_answer_ends_with_the_end_token_and_a_cut_one_does_not(engine, tokenizer):
    end = tokenizer.eos_token_id
    long = sampled(engine, requests_of(tokenizer, max_tokens=96))
    short = sampled(engine, requests_of(tokenizer, max_tokens=3))

    stopped = [s for s in long.values() if s.finish_reason is FinishReason.STOP]
    assert stopped
    assert all(s.token_ids[-1] == end and end not in s.token_ids[:-1] for s in stopped)
    assert all("<|" not in s.text for s in stopped)
    cut = [s for s in short.values() if s.finish_reason is FinishReason.LENGTH]
    assert cut
    assert all(len(s.token_ids) == 3 and end not in s.token_ids for s in cut)


def test_zero_temperature_takes_the_likeliest_token_and_its_log_probability_is_finite(
    engine, tokenizer
):
    requests = requests_of(tokenizer, temperatures=(0.0,))

    samples = sampled(engine, requests)

    for question in QUESTIONS:
        first, second = (samples[f"{question}/0.0/{i}"] for i in (0, 1))
        assert first.token_ids == second.token_ids
        assert all(map(math.isfinite, first.logprobs))


def test_a_missing_adapter_is_named(engine, tokenizer, tmp_path):
    with pytest.raises(ModelError, match="holds no adapter"):
        sampled(engine, requests_of(tokenizer, adapter=tmp_path / "nowhere"))


def test_prompts_longer_than_a_scheduling_step_are_answered(engine, tokenizer):
    """vLLM's CPU build fails on seeded requests whose prompt is read in parts."""
    turns = "Tell me about tea and bread and the moon. " * 12
    requests = [
        request_of(
            tokenizer,
            f"long/{i}",
            turns,
            Sampling(temperature=1.0, top_p=1.0, max_tokens=4, seed=i, index=i),
        )
        for i in range(64)
    ]

    assert len(sampled(engine, requests)) == 64


def test_the_template_hash_changes_with_the_template(tokenizer):
    before = template_hash(tokenizer)
    template = tokenizer.chat_template
    tokenizer.chat_template = template + " "
    try:
        assert template_hash(tokenizer) != before
    finally:
        tokenizer.chat_template = template


def test_a_model_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_tokenizer(str(tmp_path / "missing"))


def test_a_model_without_chat_template_is_refused(tmp_path, micro_model):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(micro_model, folder)
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(ModelError, match="no chat template"):
        load_tokenizer(str(folder))


def test_broken_weights_are_said_in_one_sentence(tmp_path, micro_model):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(micro_model, folder)
    (folder / "model.safetensors").write_bytes(b"nothing")

    with pytest.raises(
        ModelError, match=r"can't be loaded .*header too small.*Check generate.model"
    ):
        open_sampler(GenerateConfig(model=str(folder), engine="transformers"), adapters=[])


def hub_error(kind):
    response = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co/a/b"))
    return kind("refused", response=response)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (hub_error(GatedRepoError), "Accept it at https://huggingface.co/a/b , then set HF_TOKEN"),
        (hub_error(RepositoryNotFoundError), "There is no model 'a/b' on the Hub"),
        (LocalEntryNotFoundError("offline"), "the Hub can't be reached"),
        (ValueError("bad\nlong trace"), "can't be loaded .bad.. Check generate.model"),
    ],
    ids=["gated", "unknown", "offline", "other"],
)
def test_why_a_hub_model_cannot_be_loaded_is_said_with_what_to_do(error, says):
    """The libraries wrap the Hub's own error; the reason is found along the chain."""
    wrapped = OSError("We couldn't connect")
    wrapped.__cause__ = error

    assert re.search(says, str(loading_failed("a/b", wrapped if "Hub" in says else error)))


def test_memory_that_runs_out_halves_the_batch_and_goes_on(tokenizer, micro_model, caplog):
    engine = TransformersSampler(GenerateConfig(model=micro_model, dtype="float32"))
    requests = requests_of(tokenizer, max_tokens=8)
    expected = {k: s.token_ids for k, s in sampled(engine, requests).items()}
    generate, rows_tried, fits = engine._model.generate, [], 4

    def in_little_memory(**inputs):
        rows_tried.append(len(inputs["input_ids"]))
        if rows_tried[-1] > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    engine._model.generate = in_little_memory
    assert {k: s.token_ids for k, s in sampled(engine, requests).items()} == expected
    assert rows_tried == [12, 6, 3, 3, 3, 3]
    assert "memory ran out with 12 answers at a time; going on with 6" in caplog.text

    fits = 0
    with pytest.raises(ModelError, match=r"a single answer. Lower generate.max_tokens"):
        sampled(engine, requests)


def test_a_batch_is_no_larger_than_the_free_memory_holds(tokenizer, micro_model):
    engine = TransformersSampler(GenerateConfig(model=micro_model, dtype="float32"))
    requests = requests_of(tokenizer)
    assert engine._rows_that_fit(requests) == BATCH

    engine._free_bytes = 3_000_000

    assert 1 <= engine._rows_that_fit(requests) < BATCH
