"""Forming pairs of stored answers: repeatable, recorded, and clear where something is missing."""

from itertools import combinations

import pytest
from factories import (
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)

from annotate.accounts import add_labeler
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from generate.config import GenerateConfig
from generate.filters import Drop
from generate.pair_stage import form_comparisons, form_training_pairs
from generate.scores import judged_scores, points_of, read_scores
from generate.strategies import Strategy
from storage.errors import InputError, NotReadyError
from storage.pairs import consensus_by_pair, pairs
from storage.records import LabelerKind, Purpose, Split, Verdict
from storage.run_records import RunKind
from storage.runs import run_events, runs

SFT = make_policy()
NEXT = make_policy(1, parent=SFT)
TEXTS = ["tea", "bread", "bees and honey", "chess", "rain", "soup"]
PROMPTS = [make_prompt(f"Question {i}") for i in range(3)]


def config(strategy: Strategy = Strategy.RANDOM, **changes) -> GenerateConfig:
    return GenerateConfig(model="test/model", strategy=strategy, **changes)


def answers(prompt, policy, texts=TEXTS, *, temperatures=(0.7, 1.0)):
    return [
        make_response(prompt, policy, text, index=i, temperature=temperatures[i % 2])
        for i, text in enumerate(texts)
    ]


@pytest.fixture
def store(tmp_path):
    """Round 0 with six distinct answers to each prompt, one of them empty."""
    with open_store(tmp_path) as opened, opened.connected():
        opened.append([SFT])
        opened.append([*PROMPTS, make_prompt("For tests", split=Split.TEST)])
        for prompt in [*PROMPTS, make_prompt("For tests", split=Split.TEST)]:
            opened.append(answers(prompt, SFT, [*TEXTS, ""]))
        yield opened


def test_pairs_are_formed_once_and_the_run_says_how_and_what_was_left_out(store):
    made = form_training_pairs(store, SFT, config())
    again = form_training_pairs(store, SFT, config())

    assert (made.new_pairs, made.all_pairs, again.new_pairs, again.all_pairs) == (3, 3, 0, 3)
    assert made.drops == again.drops == {Drop.EMPTY: 3}
    (run,) = [r for r in runs(store) if r.run.kind is RunKind.PAIRS]
    assert (run.run.config["strategy"], run.run.config["seed"]) == ("random", 0)
    (event,) = run_events(store, run.run.id)
    assert event.metrics == {"new_pairs": 3, "answers": 21, "pairs": 3, "dropped_empty": 3}
    assert {p.strategy for p in pairs(store)} == {"random"}


def test_more_strategies_and_more_pairs_add_to_what_there_is(store):
    for strategy, per_prompt, new, total in (
        (Strategy.RANDOM, 1, 3, 3),
        (Strategy.ACROSS_TEMPERATURES, 1, 3, 6),
        (Strategy.MOST_DIFFERENT, 2, 6, 12),
        (Strategy.RANDOM, 3, 6, 18),
        (Strategy.RANDOM, 3, 0, 18),
    ):
        made = form_training_pairs(store, SFT, config(strategy, pairs_per_prompt=per_prompt))
        assert (made.new_pairs, made.all_pairs) == (new, total)
    assert len({(p.first, p.second) for p in pairs(store)}) == 18
    testing = make_prompt("For tests", split=Split.TEST).id
    assert testing not in {p.prompt_id for p in pairs(store)}


def test_a_dry_run_appends_nothing(store):
    made = form_training_pairs(store, SFT, config(), dry_run=True)
    assert made.new_pairs == 3
    assert pairs(store) == []
    assert runs(store) == []


@pytest.mark.parametrize("strategy", [Strategy.UNCERTAIN, Strategy.BEST_AGAINST_LOWER])
def test_without_scores_it_says_where_they_come_from(store, strategy):
    with pytest.raises(NotReadyError, match=r"needs scores.*pairloop judge.*--scores FILE"):
        form_training_pairs(store, SFT, config(strategy))
    with pytest.raises(NotReadyError, match="needs scores"):
        form_training_pairs(store, SFT, config(strategy), scores={"r1:else": 1.0})


def test_a_second_policy_is_needed_and_by_default_the_parent(store):
    against = config(Strategy.POLICY_AGAINST_POLICY)
    with pytest.raises(NotReadyError, match=r"round 0 is the first.*--against"):
        form_training_pairs(store, SFT, against)
    with pytest.raises(NotReadyError, match="names the newest one itself"):
        form_training_pairs(store, SFT, against, against=SFT)
    store.append([NEXT])
    for prompt in PROMPTS:
        store.append(answers(prompt, NEXT, ["milk", "butter"]))
    made = form_training_pairs(store, NEXT, against)
    assert made.new_pairs == 3
    of_sft = {r.id for p in PROMPTS for r in answers(p, SFT)}
    assert all((p.first in of_sft) != (p.second in of_sft) for p in pairs(store))
    assert {p.round for p in pairs(store)} == {1}


def test_answers_of_one_temperature_cant_meet_across_temperatures(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        store.append([SFT])
        store.append(PROMPTS)
        store.append(answers(PROMPTS[0], SFT, temperatures=(1.0, 1.0)))
        with pytest.raises(NotReadyError, match=r"temperature 1, .*generate\.temperatures"):
            form_training_pairs(store, SFT, config(Strategy.ACROSS_TEMPERATURES))


def test_a_models_judgments_are_scores(store):
    add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
    found = answers(PROMPTS[0], SFT)
    judged = [make_pair(found[0], other) for other in found[1:4]]
    store.append(judged)
    verdicts = [Verdict.FIRST if p.first == found[0].id else Verdict.SECOND for p in judged[:2]]
    said = [make_judgment(p, "judge", v) for p, v in zip(judged, verdicts, strict=False)]
    store.append([*said, make_judgment(judged[2], "judge", Verdict.TIE)])

    made = form_training_pairs(store, SFT, config(Strategy.UNCERTAIN))

    assert made.new_pairs == 1
    assert made.drops[Drop.NOT_SCORED] == 2
    (new,) = [p for p in pairs(store) if p.strategy == "uncertain"]
    assert {new.first, new.second} == {found[1].id, found[2].id}  # both lost once


def test_swiss_goes_on_when_people_have_judged(store):
    swiss = config(Strategy.SWISS)
    place = {r.id: i for p in PROMPTS for i, r in enumerate(answers(p, SFT))}
    add_labeler(store, "ann", password="correct horse battery")
    formed = []
    for _ in range(3):
        made = form_training_pairs(store, SFT, swiss)
        formed.append(made.new_pairs)
        assert form_training_pairs(store, SFT, swiss).drops[Drop.WAITING] == 3
        store.append(
            [
                make_judgment(
                    p, "ann", Verdict.FIRST if place[p.first] < place[p.second] else Verdict.SECOND
                )
                for p in pairs(store)
            ]
        )
        settle(store, AnnotateConfig(votes_per_pair=1))
    assert formed == [9, 9, 9]
    assert form_training_pairs(store, SFT, swiss).drops[Drop.RANKED] == 3
    assert len(points_of(consensus_by_pair(store))) == 27


def test_a_policy_that_loops_or_refuses_is_compared_all_the_same(store):
    """Leaving such answers out would flatter it."""
    store.append([NEXT])
    bad = ["go on " * 40, "I'm sorry, but I can't assist with that.", ""]
    for prompt in PROMPTS[:1]:
        store.append(answers(prompt, NEXT, bad))
    ids = {r.id for r in answers(PROMPTS[0], SFT)[:3]} | {
        r.id for r in answers(PROMPTS[0], NEXT, bad)
    }
    made = form_comparisons(store, NEXT, SFT, config(), [PROMPTS[0].id], response_ids=ids)
    assert made.new_pairs == made.all_pairs == 2
    assert made.drops == {Drop.EMPTY: 1}
    assert {p.purpose for p in pairs(store)} == {Purpose.EVALUATION}
    assert (
        form_comparisons(store, NEXT, SFT, config(), [PROMPTS[0].id], response_ids=ids).new_pairs
        == 0
    )


def test_judged_scores_count_wins_and_half_ties():
    a, b, c = answers(PROMPTS[0], SFT)[:3]
    ab, bc = make_pair(a, b), make_pair(b, c)
    a_wins = Verdict.FIRST if ab.first == a.id else Verdict.SECOND
    scores = judged_scores([ab, bc], [(ab.id, a_wins), (bc.id, Verdict.TIE), ("c1:x", a_wins)])
    assert scores == {a.id: 0.75, b.id: (0 + 0.5 + 0.5) / 3, c.id: 0.5}


def test_a_file_of_scores_is_read_and_every_bad_row_named(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("response_id,score\nr1:a,0.5\nr1:b,-2\nr1:a,0.5\n")
    assert read_scores(str(path)) == {"r1:a": 0.5, "r1:b": -2.0}
    path.write_text("response_id,score\nr1:a,0.5\nr1:b,high\n,1\nr1:c,nan\nr1:a,0.7\n")
    with pytest.raises(InputError) as caught:
        read_scores(str(path))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines[1:5]] == [
        f"{path}, line {n}" for n in range(3, 7)
    ]
    path.write_text("response_id,score\n")
    with pytest.raises(InputError, match="holds no scores"):
        read_scores(str(path))


def test_every_two_of_three_answers_run_out(store):
    """What can't be formed any more is counted, not passed over."""
    some = answers(PROMPTS[0], SFT)
    store.append([make_pair(a, b) for a, b in combinations(some, 2)])
    made = form_training_pairs(store, SFT, config(Strategy.MOST_DIFFERENT))
    assert made.drops[Drop.NOTHING_NEW] == 1
    assert made.new_pairs == 2
