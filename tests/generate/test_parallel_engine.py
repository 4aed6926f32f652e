"""Several engines side by side: the same answers as one gives, and a clear end when one dies."""

import os
import signal

import pytest

from generate.chat import load_tokenizer, prompt_token_ids
from generate.config import EngineName, GenerateConfig
from generate.parallel_engine import ParallelSampler, gpu_shares, shares_of
from generate.sampler import Request, open_sampler
from storage.errors import ConfigurationError, ModelError
from storage.records import Message, Sampling

QUESTIONS = ["What is tea?", "What is bread?", "What is chess?"]


def requests_of(model: str, *, max_tokens: int = 24) -> list[Request]:
    tokenizer = load_tokenizer(model)
    conversations = [(Message(role="user", content=q),) for q in QUESTIONS]
    return [
        Request(
            key=f"{number}/{index}",
            messages=messages,
            prompt_token_ids=prompt_token_ids(tokenizer, messages),
            sampling=Sampling(
                temperature=1.0,
                top_p=1.0,
                max_tokens=max_tokens,
                seed=10 * number + index,
                index=index,
            ),
        )
        for number, messages in enumerate(conversations)
        for index in range(4)
    ]


@pytest.fixture(scope="module")
def config(micro_model) -> GenerateConfig:
    return GenerateConfig(
        model=micro_model,
        engine=EngineName.TRANSFORMERS,
        dtype="float32",
        data_parallel_size=2,
    )


def test_a_prompts_requests_stay_together_and_every_copy_gets_its_share(micro_model):
    requests = requests_of(micro_model)

    first, second = shares_of(requests, 2)

    assert [r.key[0] for r in first] == ["0"] * 4 + ["2"] * 4
    assert [r.key[0] for r in second] == ["1"] * 4
    assert shares_of(requests[:1], 3) == [[requests[0]], [], []]


def test_each_copy_has_gpus_of_its_own_and_too_few_are_refused():
    assert gpu_shares(["0", "1", "2", "3"], copies=2, each=2) == [["0", "1"], ["2", "3"]]
    assert gpu_shares([], copies=2, each=1) == [[], []]
    with pytest.raises(ConfigurationError, match="takes 4 GPUs, and 3 can be used"):
        gpu_shares(["0", "1", "2"], copies=2, each=2)


@pytest.mark.slow
def test_two_engines_answer_as_one_and_the_death_of_one_is_said(config, micro_model):
    requests = requests_of(micro_model)
    alone = open_sampler(config.model_copy(update={"data_parallel_size": 1}), adapters=[])
    expected = {s.key: s.token_ids for s in alone.sample(requests)}
    engine = open_sampler(config, adapters=[])
    assert isinstance(engine, ParallelSampler)

    for _ in range(2):
        samples = list(engine.sample(requests))
        assert {s.key: s.token_ids for s in samples} == expected
        assert len(samples) == len(requests)
    assert (engine.name, engine.context_tokens) == (alone.name, alone.context_tokens)

    children = list(engine._processes.values())
    os.kill(children[1].pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="Engine process 2 of 2 was killed by signal 9"):
        list(engine.sample(requests_of(micro_model, max_tokens=400)))
    assert not any(child.is_alive() for child in children)
