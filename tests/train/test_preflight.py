"""Each check on data with its fault and on data without it."""

from dataclasses import replace

import pyarrow as pa
import pytest
from factories import NOW, make_pair, make_policy, make_prompt, make_response

from generate.chat import load_tokenizer
from storage.errors import NotReadyError
from storage.records import FinishReason, Split, Tier, Triplet
from train.check import CHECKS, data_checks
from train.config import Loss, TrainConfig, Tuning
from train.examples import answer_ids, examples_of, prompt_ids_of
from train.gather import refuse_red
from train.preflight import Data, Light
from train.rows import Texts

POLICY = make_policy()
CONFIG = TrainConfig(batch_size=2, max_length=200)
TOPICS = ["tea", "bread", "bees", "chess", "rain", "soup", "maps", "the moon"] * 3


@pytest.fixture(scope="module")
def tokenizer(micro_model):
    return load_tokenizer(micro_model)


def answered(prompt, text, tokenizer, index, policy=POLICY, **changes):
    values = {
        "prompt_token_ids": tuple(prompt_ids_of(prompt, tokenizer)),
        "token_ids": tuple(answer_ids(prompt, text, tokenizer)),
    }
    return replace(make_response(prompt, policy, text, index=index, **values), **changes)


def data_of(tokenizer, *, changes=None, texts=None, config=CONFIG, held=2, prompts=None) -> Data:
    """Twenty-four pairs, the first `held` held out; changes: for the chosen answer of pair 5."""
    triplets, known, answers = [], {}, {}
    for i, topic in enumerate(TOPICS):
        split = Split.VALIDATION if i < held else Split.TRAIN
        prompt = make_prompt(prompts[i] if prompts else f"{i}: what is {topic}?", split=split)
        words = (f"I like {topic}, it is fine.", f"Well, {topic} is no good at all.")
        if i % 2:
            words = words[::-1]
        if texts and i == 5:
            words = texts
        more = changes if changes and i == 5 else {}
        chosen = answered(prompt, words[0], tokenizer, 0, **more)
        rejected = answered(prompt, words[1], tokenizer, 1)
        known[prompt.id] = prompt
        answers |= {chosen.id: chosen, rejected.id: rejected}
        pair = make_pair(chosen, rejected)
        triplets.append(
            Triplet(
                id=Triplet.id_of(run_id="run", pair_id=pair.id),
                run_id="run",
                pair_id=pair.id,
                prompt_id=prompt.id,
                chosen=chosen.id,
                rejected=rejected.id,
                split=split,
                weight=1.0,
                probability=0.8,
                agreement=1.0,
                votes=2,
                tier=Tier.HUMAN_AGREED,
                round=0,
                created_at=NOW,
            )
        )
    found = Texts(prompts=known, responses=answers)
    train, heldout = triplets[held:], triplets[:held]
    return Data(
        triplets=train,
        held=heldout,
        train=examples_of(train, found, tokenizer),
        heldout=examples_of(heldout, found, tokenizer),
        texts=found,
        votes=votes_of(triplets),
        tokenizer=tokenizer,
        config=config,
    )


def votes_of(triplets, *, names=("ann", "bob"), left=None) -> pa.Table:
    rows = [
        {
            "pair_id": t.pair_id,
            "labeler": name,
            "verdict": "first",
            "first_side": "left" if (left if left is not None else (i + j) % 2 == 0) else "right",
        }
        for i, t in enumerate(triplets)
        for j, name in enumerate(names)
    ]
    return pa.Table.from_pylist(rows)


def light_of(data: Data, name: str):
    (found,) = [c for c in data_checks(data) if c.name == name]
    return found


def test_sound_data_is_green_throughout(tokenizer):
    found = data_checks(data_of(tokenizer))

    assert {c.name: c.light for c in found if c.light is not Light.GREEN} == {}
    assert len(found) == len(CHECKS)
    refuse_red(found)


@pytest.mark.parametrize(
    ("name", "named", "light"),
    [
        ("chat template", {"changes": {"prompt_token_ids": (1, 2, 3)}}, Light.RED),
        ("identical answers", {"texts": ("The same.", "The same.")}, Light.RED),
        ("length", {"texts": ("So " * 300, "No.")}, Light.RED),
        ("cut answers", {"changes": {"finish_reason": FinishReason.LENGTH}}, Light.AMBER),
        (
            "nearly identical answers",
            {"texts": ("tea " * 60 + "good", "tea " * 60 + "bad")},
            Light.AMBER,
        ),
        ("on policy", {"changes": {"policy_id": "m1:other"}}, Light.AMBER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_bad_pair_is_found_named_and_told_what_to_do(tokenizer, name, named, light):
    data = data_of(tokenizer, **named)
    changes = named.get("changes", {})
    if "prompt_token_ids" in changes:
        both = {k: replace(r, **changes) for k, r in data.texts.responses.items()}
        data = replace(data, texts=replace(data.texts, responses=both))

    found = light_of(data, name)

    assert found.light is light
    assert found.fix
    if name not in ("chat template", "on policy"):
        assert data.triplets[3].pair_id in found.examples


def test_two_end_tokens_are_red(tokenizer):
    data = data_of(tokenizer)
    end = tokenizer.eos_token_id
    twice = [replace(e, chosen_ids=(*e.chosen_ids, end)) for e in data.train]

    assert light_of(replace(data, train=twice), "end of answer").light is Light.RED


def test_a_second_beginning_is_red(tokenizer):
    data = data_of(tokenizer)
    twice = [replace(e, prompt_ids=(tokenizer.bos_token_id, *e.prompt_ids)) for e in data.train]

    assert light_of(replace(data, train=twice), "beginning of text").light is Light.RED


def test_a_held_out_prompt_in_another_spelling_is_a_leak(tokenizer):
    prompts = [f"{i}: what is {topic}?" for i, topic in enumerate(TOPICS)]
    prompts[0] = "9:  WHAT is " + TOPICS[9] + "?"

    found = light_of(data_of(tokenizer, prompts=prompts), "split leak")

    assert (found.light, found.count) == (Light.RED, 1)


def test_a_pair_that_is_there_twice_is_red(tokenizer):
    data = data_of(tokenizer)
    data = replace(
        data, triplets=[*data.triplets, data.triplets[0]], train=[*data.train, data.train[0]]
    )

    assert light_of(data, "rows").light is Light.RED


def test_length_bias_is_told_with_its_size(tokenizer):
    data = data_of(tokenizer)
    longer = [replace(e, chosen_ids=e.chosen_ids[:-1] * 3) for e in data.train]

    found = light_of(replace(data, train=longer), "length bias")

    assert found.light is Light.AMBER
    assert "100%" in found.finding


def test_votes_for_the_left_side_are_told(tokenizer):
    data = data_of(tokenizer)
    every = votes_of(data.triplets, left=True)

    assert light_of(replace(data, votes=every), "side bias").light is Light.AMBER


def test_one_labeler_of_three_who_gives_most_votes_is_told(tokenizer):
    data = data_of(tokenizer)
    alone = votes_of(data.triplets, names=("ann",))
    others = votes_of(data.triplets[:2], names=("bob", "cleo"))

    found = light_of(replace(data, votes=pa.concat_tables([alone, others])), "one labeler")

    assert found.light is Light.AMBER
    assert "ann" in found.finding


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learning_rate": 1e-7}, "learning_rate"),
        ({"learning_rate": 1e-4, "tuning": Tuning.FULL}, "full fine-tuning"),
        ({"loss": Loss.SIGMOID_NORM}, "wants a beta"),
        ({"beta": 5.0}, "holds the policy"),
        ({"batch_size": 64}, "optimizer steps"),
    ],
    ids=["rate", "full", "norm", "beta", "steps"],
)
def test_unusual_settings_are_told(tokenizer, changes, says):
    config = CONFIG.model_copy(update=changes)

    found = light_of(data_of(tokenizer, config=config), "settings")

    assert found.light is Light.AMBER
    assert says in found.finding


def test_answers_whose_text_reads_as_other_tokens_are_counted(tokenizer):
    text = "I like tea."
    apart = tuple(tokenizer.encode(c, add_special_tokens=False)[0] for c in text)
    end = (tokenizer.eos_token_id,)

    data = data_of(tokenizer, texts=(text, "No."), changes={"token_ids": apart + end})

    assert light_of(data, "tokens of texts").count == 1


def test_red_lights_stop_the_run_with_their_names_and_fixes(tokenizer):
    data = data_of(tokenizer, texts=("The same.", "The same."))

    with pytest.raises(NotReadyError, match=r"1 check is red\. identical answers: 1 pair has"):
        refuse_red(data_checks(data))
