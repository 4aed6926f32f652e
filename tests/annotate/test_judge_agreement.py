"""How far a model agrees with people: against hand-counted examples and published figures."""

import json
import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import fill_store, make_judgment, open_store
from statistics_data import shared_file

from annotate.accounts import add_labeler
from annotate.agreement import votes_to_count
from annotate.judge_agreement import model_rows
from annotate.stats.estimate import MIN_PAIRS, Estimate
from storage.judges import model_judgments
from storage.records import LabelerKind, Verdict

F, S, T, B, SKIP = (v.value for v in Verdict)


def model_table(rows):
    """Rows of (pair, verdict, raw verdicts in both orders, lengths of first and second answer)."""
    return pa.table(
        {
            "labeler": ["judge"] * len(rows),
            "pair_id": [r[0] for r in rows],
            "verdict": [r[1] for r in rows],
            "criteria": [
                json.dumps({"order_1": r[2][0], "order_2": r[2][1], "model": "m"} if r[2] else {})
                for r in rows
            ],
            "first_chars": [r[3][0] for r in rows],
            "second_chars": [r[3][1] for r in rows],
        }
    )


def vote_table(pairs, *, kind="human"):
    """Votes by pair, in the order they came."""
    rows = [(p, v, i + 1) for p, votes in pairs.items() for i, v in enumerate(votes)]
    return pa.table(
        {
            "pair_id": pa.array([r[0] for r in rows], type=pa.string()),
            "verdict": pa.array([r[1] for r in rows], type=pa.string()),
            "kind": pa.array([kind] * len(rows), type=pa.string()),
            "place": pa.array([r[2] for r in rows], type=pa.int64()),
        }
    )


LR, RL, LL, TT = ("left", "right"), ("right", "left"), ("left", "left"), ("tie", "tie")
# pair, verdict, raw verdicts, lengths; and people's votes on it
EXAMPLE = [
    ("01", F, LR, (20, 10), [F, F]),
    ("02", F, LR, (20, 10), [F, S, S]),  # the third breaks a tie: counts for the majority only
    ("03", F, LR, (10, 20), [F]),
    ("04", S, RL, (10, 20), [S, S]),
    ("05", S, RL, (10, 20), [F, F]),
    ("06", S, RL, (10, 10), [S, T]),  # no majority
    ("07", T, LL, (20, 10), [T, T]),
    ("08", T, LL, (20, 10), [B, T]),  # both bad is a tie here
    ("09", T, LL, (10, 20), [F, F]),
    ("10", T, TT, (10, 20), [B]),
    ("11", F, LR, (30, 10), [F, F]),
    ("12", S, RL, (10, 30), [S, T, S]),
    ("13", F, LR, (30, 10), []),  # nobody's
]


def row_of(example, **changes):
    (row,) = model_rows(
        model_table([r[:4] for r in example]), vote_table({r[0]: r[4] for r in example}), **changes
    )
    return row


def value(found: Estimate):
    return found.value, found.n


def test_a_small_example_counted_by_hand():
    row = row_of(EXAMPLE)

    assert (row.labeler, row.model, row.judged, row.shared) == ("judge", "m", 13, 12)
    # Majorities: F S F S F - T T F T F S; the model: F F F S S S T T T T F S.
    assert value(row.majority_agreement) == (pytest.approx(8 / 11), 11)
    # Of 01 02 03 04 05 11 12, where both prefer an answer: too few.
    assert value(row.majority_agreement_without_ties) == (None, 7)
    shares = [1, 1 / 2, 1, 1, 0, 1 / 2, 1, 1, 0, 1, 1, 1 / 2]
    assert value(row.vote_agreement) == (pytest.approx(sum(shares) / 12), 12)
    # Two first votes on 01 02 04 05 06 07 08 09 11 12; they differ on 02 06 12.
    assert value(row.people_agreement) == (pytest.approx(7 / 10), 10)
    # Same in both orders but 07 08 09.
    assert value(row.position_consistency) == (pytest.approx(10 / 13), 13)
    # 9 pairs with one preference each way, 3 with two for the left; 10 has none.
    assert value(row.left_share) == (pytest.approx((9 + 6) / (18 + 6)), 12)
    # Preferences on 01 02 03 04 05 11 12 13 (06 is as long as its rival): too few, 03 is shorter.
    assert value(row.longer_share) == (None, 8)
    assert value(row.people_longer_share) == (None, 8)


def test_enough_of_the_same_have_a_number_and_an_interval():
    twice = [(f"{r[0]}{copy}", *r[1:]) for r in EXAMPLE for copy in "ab"]

    row = row_of(twice)

    assert value(row.majority_agreement_without_ties) == (pytest.approx(5 / 7), 14)
    assert value(row.longer_share) == (pytest.approx(7 / 8), 16)
    # First votes on 01 02 03 04 05 09 11 12: longer 1, 1/2, 0, 1, 0, 0, 1, 1.
    assert value(row.people_longer_share) == (pytest.approx(4.5 / 8), 16)
    found = row.majority_agreement
    assert 0 < found.low < found.value < found.high < 1
    assert row_of(twice) == row
    assert row_of(twice, seed=1) != row


def majority(votes):
    verdict, count = Counter(votes).most_common(1)[0]
    return verdict if 2 * count > len(votes) else None


def plain_kappa(rows):
    """Cohen's kappa in loops: (p_o - p_e) / (1 - p_e)."""
    n = len(rows)
    observed = sum(a == b for a, b in rows) / n
    ours, theirs = Counter(a for a, _ in rows), Counter(b for _, b in rows)
    chance = sum(ours[v] * theirs[v] for v in (F, S, T)) / n**2
    return (observed - chance) / (1 - chance)


def test_random_votes_agree_with_a_plain_computation():
    chance = random.Random(7)
    example = [
        (
            f"{i:03}",
            chance.choice([F, S, T]),
            (chance.choice(LR), chance.choice([*LR, "tie"])),
            (chance.randrange(9), chance.randrange(9)),
            [chance.choice([F, F, S, T, B]) for _ in range(chance.randrange(5))],
        )
        for i in range(300)
    ]
    row = row_of(example)

    merged = [(v, [T if x == B else x for x in votes]) for _, v, _, _, votes in example if votes]
    agreed = [(v, m) for v, votes in merged if (m := majority(votes))]
    assert row.shared == len(merged)
    assert row.majority_agreement.value == pytest.approx(np.mean([v == m for v, m in agreed]))
    decided = [(v, m) for v, m in agreed if T not in (v, m)]
    assert row.majority_agreement_without_ties.value == pytest.approx(
        np.mean([v == m for v, m in decided])
    )
    assert row.kappa.value == pytest.approx(plain_kappa(agreed))
    assert row.vote_agreement.value == pytest.approx(
        np.mean([np.mean([v == x for x in votes[:2]]) for v, votes in merged])
    )
    clear = [(v, [x for x in votes[:2] if x != T]) for v, votes in merged if v != T]
    assert row.vote_agreement_without_ties.value == pytest.approx(
        np.mean([np.mean([v == x for x in votes]) for v, votes in clear if votes])
    )
    longer = [
        (v == F) == (chars[0] > chars[1])
        for _, v, _, chars, _ in example
        if v != T and chars[0] != chars[1]
    ]
    assert value(row.longer_share) == (pytest.approx(np.mean(longer)), len(longer))


def test_too_few_pairs_give_no_number():
    row = row_of([(f"{i}", F, LR, (2, 1), [F, F]) for i in range(MIN_PAIRS - 1)])
    assert row.majority_agreement == Estimate(value=None, low=None, high=None, n=MIN_PAIRS - 1)
    row = row_of([(f"{i}", F, LR, (2, 1), [F, F]) for i in range(MIN_PAIRS)])
    assert row.majority_agreement.value == 1.0
    assert row.kappa.value is None  # everything is the same: nothing chance could get wrong


def test_a_model_nobody_shares_a_pair_with_still_has_its_own_figures():
    example = [(f"{i:02}", F, LL if i % 2 else LR, (2, 1), []) for i in range(20)]
    row = row_of(example)
    assert (row.shared, row.majority_agreement.value, row.kappa.n) == (0, None, 0)
    assert row.position_consistency.value == 0.5
    assert row.left_share.value == 0.75
    assert row.longer_share.value == 1.0


def test_votes_that_were_not_made_in_two_orders_have_no_consistency():
    row = row_of([(f"{i:02}", F, None, (2, 1), [F]) for i in range(20)])
    assert (row.model, row.position_consistency.n, row.left_share.n) == ("", 0, 0)
    assert row.majority_agreement.value == 1.0


def test_gpt4_on_mt_bench_agrees_with_experts_as_published():
    """Table 5 of 2306.05685: GPT-4 with people 66 % with ties and 85 % without. This is about
    half of the votes, in which people agree with each other in 64 to 67 % and 84 to 85 %."""
    file = shared_file("mtbench_human_subset_votes.parquet")
    columns = ["item_id", "choice", "gpt4_pair_winner"]
    votes, gpt4 = defaultdict(list), {}
    for item, choice, winner in zip(
        *pq.read_table(file, columns=columns).to_pydict().values(), strict=True
    ):
        votes[item].append({"a": F, "b": S, "tie": T}[choice])
        gpt4[item] = {"model_a": F, "model_b": S}.get(winner, T)
    (row,) = model_rows(
        model_table([(item, v, None, (1, 1)) for item, v in gpt4.items()]), vote_table(votes)
    )

    assert row.shared == len(gpt4)
    assert row.vote_agreement.value == pytest.approx(0.66, abs=0.03)
    assert row.vote_agreement_without_ties.value == pytest.approx(0.85, abs=0.03)
    assert row.people_agreement.value == pytest.approx(0.66, abs=0.04)
    assert row.people_agreement_without_ties.value == pytest.approx(0.84, abs=0.03)


def rows_of(store):
    return model_rows(model_judgments(store), votes_to_count(store))


def test_the_rows_of_a_store_are_of_its_models(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        assert rows_of(store) == []
        pairs = fill_store(store, pairs=12, labelers=(), admin=None).pairs
        add_labeler(store, "gpt", password=None, kind=LabelerKind.MODEL)
        add_labeler(store, "llama", password=None, kind=LabelerKind.MODEL)
        assert rows_of(store) == []
        for i, pair in enumerate(pairs):
            agreed = Verdict.FIRST if i < 9 else Verdict.SECOND
            rows = [
                make_judgment(pair, "ann", Verdict.FIRST, minute=1),
                make_judgment(pair, "gpt", agreed),
                make_judgment(pair, "llama", Verdict.SKIP if i else Verdict.FIRST),
            ]
            store.append(rows)
        gpt, llama = rows_of(store)
        assert (gpt.labeler, gpt.judged, gpt.shared) == ("gpt", 12, 12)
        assert gpt.vote_agreement.value == pytest.approx(9 / 12)
        assert (llama.judged, llama.shared) == (1, 1)
