"""The engine contract: the same tests on transformers and, where it is installed, on vLLM."""

import math
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from generate.chat import load_tokenizer, prompt_token_ids, template_hash
from generate.config import EngineName, GenerateConfig
from generate.sampler import Request, open_sampler
from storage.errors import ModelError
from storage.records import FinishReason, Message, Sampling

QUESTIONS = ["What is tea?", "Give me a tip about bread.", "Tell me something about the moon."]


@pytest.fixture(
    scope="module",
    params=[EngineName.TRANSFORMERS, pytest.param(EngineName.VLLM, marks=pytest.mark.vllm)],
)
def engine(request, micro_model, adapter):
    config = GenerateConfig(model=micro_model, engine=request.param, dtype="float32")
    return open_sampler(config, adapters=[adapter])


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


def requests_of(tokenizer, *, temperatures=(0.7, 1.3), max_tokens=48):
    return [
        Request(
            key=f"{question}/{temperature}/{index}",
            prompt_token_ids=prompt_token_ids(tokenizer, [Message(role="user", content=question)]),
            sampling=Sampling(
                temperature=temperature,
                top_p=1.0,
                max_tokens=max_tokens,
                seed=100 * number + int(10 * temperature) + index,
                index=index,
            ),
        )
        for number, question in enumerate(QUESTIONS)
        for temperature in temperatures
        for index in (0, 1)
    ]


def sampled(engine, requests, *, adapter=None):
    return {s.key: s for s in engine.sample(requests, adapter=adapter)}


def reference_logprob(model, request, sample) -> float:
    ids = torch.tensor([[*request.prompt_token_ids, *sample.token_ids]])
    with torch.inference_mode():
        logps = model(ids).logits[0, :-1].float().log_softmax(-1)
    picked = logps.gather(1, ids[0, 1:, None])[:, 0]
    return float(picked[len(request.prompt_token_ids) - 1 :].sum())


def test_every_request_gets_exactly_one_sample(engine, tokenizer):
    requests = requests_of(tokenizer)

    samples = list(engine.sample(requests, adapter=None))

    assert sorted(s.key for s in samples) == sorted(r.key for r in requests)


def test_the_same_seed_gives_the_same_tokens_in_any_company(engine, tokenizer):
    requests = requests_of(tokenizer)

    together = sampled(engine, requests)
    alone = sampled(engine, [requests[5]])

    assert alone[requests[5].key].token_ids == together[requests[5].key].token_ids


def test_different_seeds_and_temperatures_give_different_answers(engine, tokenizer):
    samples = sampled(engine, requests_of(tokenizer))

    assert len({s.token_ids for s in samples.values()}) > len(samples) / 2


def test_log_probabilities_are_those_of_the_untempered_policy(engine, tokenizer, micro_model):
    model = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    requests = requests_of(tokenizer)

    samples = sampled(engine, requests)

    for request in requests:
        sample = samples[request.key]
        assert sample.logprob_sum == pytest.approx(
            reference_logprob(model, request, sample), abs=2e-3
        )


def test_an_adapter_is_what_answers_and_the_base_is_itself_again_after(
    engine, tokenizer, adapter, micro_model
):
    from peft import PeftModel

    requests = requests_of(tokenizer)
    before = sampled(engine, requests)

    adapted = sampled(engine, requests, adapter=adapter)
    after = sampled(engine, requests)

    assert {k: s.token_ids for k, s in after.items()} == {k: s.token_ids for k, s in before.items()}
    assert {k: s.token_ids for k, s in adapted.items()} != {
        k: s.token_ids for k, s in before.items()
    }
    base = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter)
    for request in requests[:4]:
        sample = adapted[request.key]
        expected = reference_logprob(model, request, sample)
        assert sample.logprob_sum == pytest.approx(expected, abs=2e-3)


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
        assert math.isfinite(first.logprob_sum)


def test_a_missing_adapter_is_named(engine, tokenizer, tmp_path):
    with pytest.raises(ModelError, match="holds no adapter"):
        sampled(engine, requests_of(tokenizer), adapter=tmp_path / "nowhere")


def test_prompts_longer_than_a_scheduling_step_are_answered(engine, tokenizer):
    """vLLM's CPU build fails on seeded requests whose prompt is read in parts."""
    turns = "Tell me about tea and bread and the moon. " * 12
    ids = prompt_token_ids(tokenizer, [Message(role="user", content=turns)])
    requests = [
        Request(
            key=f"long/{i}",
            prompt_token_ids=ids,
            sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=4, seed=i, index=i),
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
