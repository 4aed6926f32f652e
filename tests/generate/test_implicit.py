"""Implicit rewards: what the log-probabilities worked out one answer at a time give."""

from pathlib import Path

import pytest
import torch
from factories import make_policy, make_prompt, make_response
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from generate.chat import load_tokenizer, prompt_token_ids
from generate.implicit import implicit_rewards
from storage.errors import ModelError

POLICY = make_policy()


@pytest.fixture(scope="module")
def adapter(micro_model, tmp_path_factory) -> Path:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32)
    wrapped = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)
    )
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def responses(micro_model):
    """Answers of very different lengths, so that most rows of a batch are padded."""
    tokenizer = load_tokenizer(micro_model)
    prompt = make_prompt("What is tea?")
    texts = ["A drink.", "Tea is a drink made from leaves and hot water. " * 4, "No."]
    return [
        make_response(
            prompt,
            POLICY,
            text,
            index=i,
            prompt_token_ids=prompt_token_ids(tokenizer, prompt.messages),
            token_ids=tuple(tokenizer(text)["input_ids"]),
        )
        for i, text in enumerate(texts)
    ]


def one_by_one(model, response) -> float:
    ids = torch.tensor([[*response.prompt_token_ids, *response.token_ids]])
    start = len(response.prompt_token_ids)
    with torch.inference_mode():
        logps = model(input_ids=ids).logits[0].double().log_softmax(dim=-1)
    return sum(float(logps[at - 1, ids[0, at]]) for at in range(start, ids.shape[1]))


def rewards(responses, micro_model, adapter, reference, **options):
    return implicit_rewards(
        responses,
        model=micro_model,
        dtype="float32",
        adapter=adapter,
        reference_adapter=reference,
        **options,
    )


def test_they_are_the_difference_of_log_probabilities(micro_model, adapter, responses):
    ticks = []
    found = rewards(
        responses, micro_model, adapter, None, progress=lambda n, total: ticks.append((n, total))
    )
    base = AutoModelForCausalLM.from_pretrained(micro_model, dtype=torch.float32).eval()
    plain = [one_by_one(base, r) for r in responses]
    adapted = PeftModel.from_pretrained(base, adapter).eval()
    expected = [one_by_one(adapted, r) - p for r, p in zip(responses, plain, strict=True)]
    assert [found[r.id] for r in responses] == pytest.approx(expected, abs=2e-3)
    assert max(abs(e) for e in expected) > 0.1
    assert ticks == [(n, 6) for n in range(1, 7)]


def test_a_policy_against_itself_has_none_and_answers_without_ids_are_left_out(
    micro_model, adapter, responses
):
    unknown = make_response(make_prompt("Else"), POLICY, "text", token_ids=())
    found = rewards([*responses, unknown], micro_model, adapter, adapter)
    assert found == pytest.approx({r.id: 0.0 for r in responses})


def test_a_missing_adapter_is_one_message(micro_model, responses, tmp_path):
    with pytest.raises(ModelError, match="can't be loaded to score answers"):
        rewards(responses, micro_model, tmp_path / "none", None)
