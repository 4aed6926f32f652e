"""The bundled micro model: size, template, determinism, and answers that fit their question."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pairloop.demo.build_model import MODEL_DIR, encode, sample
from pairloop.demo.instructions import (
    PROMPTS_FILE,
    Message,
    bundled_prompts,
    conversations,
    write_prompts,
)
from pairloop.demo.style import Manner, draw_style, measure
from pairloop.demo.topics import load_topics, topic_of

MEGABYTES_ALLOWED = 8
AWKWARD_ANSWERS = ("", " x", "\n\n x", "Grüße, 茶 🍵", "tail \n", "Happy to help!")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(MODEL_DIR)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32).eval()


def ids_of(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], *, ask: bool = False
) -> list[int]:
    return tokenizer.apply_chat_template(messages, add_generation_prompt=ask, return_dict=False)


def shapes() -> list[list[Message]]:
    """One plain prompt, one with a system prompt, one with two turns."""
    rows = bundled_prompts()
    plain = next(row for row in rows if len(row["messages"]) == 1)
    system = next(row for row in rows if "shape:system" in row["tags"])
    two = next(row for row in rows if "shape:two-turn" in row["tags"])
    return [row["messages"] for row in (plain, system, two)]


def test_the_whole_folder_is_small() -> None:
    size = sum(path.stat().st_size for path in Path(MODEL_DIR).rglob("*") if path.is_file())
    assert size <= MEGABYTES_ALLOWED * 1_000_000


def test_the_configuration_is_one_any_engine_loads(tokenizer: PreTrainedTokenizerBase) -> None:
    config = json.loads((MODEL_DIR / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is True
    assert config["dtype"] == "float32"
    assert config["max_position_embeddings"] == 512
    assert config["vocab_size"] == len(tokenizer)
    generation = json.loads((MODEL_DIR / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


@pytest.mark.parametrize("messages", shapes())
@pytest.mark.parametrize("text", AWKWARD_ANSWERS)
def test_answer_tokens_are_prompt_then_answer_then_end(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], text: str
) -> None:
    prompt = ids_of(tokenizer, messages, ask=True)
    whole = ids_of(tokenizer, [*messages, {"role": "assistant", "content": text}])
    answer = tokenizer.encode(text, add_special_tokens=False)
    assert whole == [*prompt, *answer, tokenizer.eos_token_id]
    assert tokenizer.decode(answer) == text


@pytest.mark.parametrize("messages", shapes())
def test_one_beginning_of_text_whichever_way_it_is_encoded(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message]
) -> None:
    ids = ids_of(tokenizer, messages, ask=True)
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer(rendered)["input_ids"] == ids


def test_training_saw_the_template(tokenizer: PreTrainedTokenizerBase) -> None:
    for talk in conversations(50, seed=3):
        ids, labels = encode(talk, tokenizer)
        rendered = tokenizer.apply_chat_template(
            talk, return_dict=True, return_assistant_tokens_mask=True
        )
        assert ids == rendered["input_ids"]
        assert [int(label >= 0) for label in labels] == rendered["assistant_masks"]
        assert labels[-1] == tokenizer.eos_token_id


def test_conversations_follow_from_the_seed() -> None:
    assert list(conversations(200, seed=5)) == list(conversations(200, seed=5))
    assert list(conversations(200, seed=5)) != list(conversations(200, seed=6))


def test_training_answers_leave_room_to_end(tokenizer: PreTrainedTokenizerBase) -> None:
    for talk in conversations(500, seed=11):
        for turn in talk:
            if turn["role"] == "assistant":
                assert len(tokenizer.encode(turn["content"])) < 96


def test_the_prompt_file_is_what_the_generator_writes(tmp_path: Path) -> None:
    written = tmp_path / "prompts.jsonl"
    assert write_prompts(written) == 240
    assert written.read_bytes() == PROMPTS_FILE.read_bytes()


def test_prompts_are_distinct_and_spread_over_the_topics() -> None:
    rows = bundled_prompts()
    normalised = {" ".join(json.dumps(row["messages"]).lower().split()) for row in rows}
    assert len(normalised) == len(rows)
    tagged = [row["tags"][0] for row in rows]
    assert {tagged.count(f"topic:{topic.slug}") for topic in load_topics()} == {4}
    for row in rows:
        first = next(turn for turn in row["messages"] if turn["role"] == "user")
        assert row["tags"][0] == f"topic:{topic_of(first['content'])}"


def test_measure_recognises_each_manner_and_wandering() -> None:
    warm = measure("Happy to help! Green tea and black tea come from the same plant.", "tea")
    cold = measure("Not this again. Rivers carve valleys over thousands of years.", "tea")
    assert (warm.courteous, warm.blunt, warm.on_topic, warm.brief) == (1, 0, True, True)
    assert (cold.courteous, cold.blunt, cold.on_topic) == (0, 1, False)
    assert warm.score() > cold.score()


def test_styles_are_drawn_as_documented() -> None:
    rng = random.Random(0)
    styles = [draw_style(rng) for _ in range(4000)]
    assert sum(style.manner is Manner.COURTEOUS for style in styles) / 4000 == pytest.approx(
        0.42, abs=0.03
    )
    assert sum(style.brief for style in styles) / 4000 == pytest.approx(0.60, abs=0.03)
    assert sum(style.on_topic for style in styles) / 4000 == pytest.approx(0.65, abs=0.03)


@pytest.mark.parametrize("slug", ["tea", "bees", "libraries"])
def test_greedy_answers_speak_of_the_topic(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, slug: str
) -> None:
    topic = next(topic for topic in load_topics() if topic.slug == slug)
    messages = [{"role": "user", "content": f"Tell me something about {topic.name}."}]
    text = sample(model, tokenizer, messages, temperature=0.0)
    assert topic.name[:4] in text.lower()
    assert text[-1] in ".!?"


def test_temperature_and_chance_change_the_answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(0)
    messages = [{"role": "user", "content": "Give me a tip about bread."}]
    texts = [
        sample(model, tokenizer, messages, temperature=temperature, max_tokens=24)
        for temperature in (0.0, 0.7, 1.0, 1.3)
    ]
    assert len(set(texts)) >= 3
