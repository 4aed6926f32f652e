"""`pairloop agreement` as a lead reads it: the figures, the labelers, and one pair's story."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import NOW, fill_store, make_judgment

from annotate.accounts import add_labeler
from pairloop.workspace import init_workspace
from storage.records import LabelerKind, Presentation, Side, Strength, Verdict

FIRST, SECOND, TIE = Verdict.FIRST, Verdict.SECOND, Verdict.TIE
FIGURES = (
    "observed_agreement",
    "observed_agreement_without_ties",
    "alpha_nominal",
    "alpha_ordinal",
    "fleiss_kappa",
    "gwet_ac1",
    "flip_rate",
)


def agreement(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pairloop", "agreement", "-w", str(folder), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    init_workspace(tmp_path / "work", model="no/model")
    return tmp_path / "work"


def fill(folder: Path, *, pairs: int) -> list[str]:
    """Two votes a pair: they agree on all but every fourth pair; ann is quick, bob slow."""
    from pairloop.workspace import open_workspace

    with open_workspace(folder).store() as store, store.connected():
        made = fill_store(store, pairs=pairs, labelers=("ann", "bob[x]")).pairs
        add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
        for i, pair in enumerate(made):
            verdict = (FIRST, SECOND, TIE)[i % 3]
            other = SECOND if verdict is FIRST else FIRST
            shown = Presentation(
                id=f"s1:{i}",
                pair_id=pair.id,
                labeler="ann",
                first_side=Side.RIGHT,
                guideline="",
                created_at=NOW,
            )
            store.append([shown])
            store.append(
                [
                    make_judgment(pair, "ann", verdict, seconds=4.0, presentation=shown.id),
                    make_judgment(
                        pair, "bob[x]", other if i % 4 == 3 else verdict, seconds=9.0, minute=i + 1
                    ),
                    make_judgment(pair, "judge", FIRST, minute=i + 2),
                ]
            )
        return [p.id for p in made]


def test_the_figures_are_shown_with_intervals_and_with_what_was_published(folder):
    fill(folder, pairs=40)
    done = agreement(folder)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (ties,) = [line for line in lines if "a tie is a verdict" in line]
    assert "75.0 %" in ties
    assert "MT-bench 63 and 67 %" in ties
    assert "AlpacaFarm" not in ties, "counted without ties: not the same thing"
    for words in ("alpha, nominal", "alpha, ordinal", "Fleiss' kappa", "Gwet's AC1"):
        assert any(words in line and " to " in line and "40" in line for line in lines), words
    assert "One vote is right" in done.stdout
    assert "flip rate" in done.stdout
    (bob,) = [line for line in lines if "bob[x]" in line]
    assert "9.0" in bob
    assert "75.0 % (" in bob
    assert lines[-1] == "80 judgments on 40 pairs. Next: pairloop status"


def test_json_has_every_figure_with_its_interval(folder):
    fill(folder, pairs=40)
    found = json.loads(agreement(folder, "--json").stdout)

    for name in FIGURES:
        assert found[name].keys() == {"value", "low", "high", "n"}
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert (found["judgments"], found["pairs"]) == (80, 40)
    assert [p["labeler"] for p in found["labelers"]] == ["ann", "bob[x]"]
    assert found["labelers"][0]["against_rest"]["value"] == 0.75
    assert found["matrix"]["labelers"] == ["ann", "bob[x]"]
    assert found["matrix"]["agreement"] == [[None, 0.75], [0.75, None]]
    assert [m["labeler"] for m in found["models"]] == ["judge"]


@pytest.mark.parametrize("pairs", [0, 4])
def test_too_few_votes_are_said_to_be_too_few(folder, pairs):
    if pairs:
        fill(folder, pairs=pairs)
    done = agreement(folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"not enough data ({pairs} of 10 pairs)") >= 5
    assert "nan" not in done.stdout
    found = json.loads(agreement(folder, "--json").stdout)
    assert all(found[name]["value"] is None for name in FIGURES)


def test_one_pairs_story_is_told(folder):
    from pairloop.workspace import open_workspace

    pair = fill(folder, pairs=4)[0]
    with open_workspace(folder).store() as store:
        changed = make_judgment(
            pair,
            "ann",
            SECOND,
            revision=1,
            minute=50,
            strength=Strength.SLIGHT,
            presentation="s1:0",
        )
        store.append([changed])
    done = agreement(folder, "--pair", pair)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"Pair {pair}: round 0, train")
    assert sum(line.startswith("--- First answer, temperature") for line in lines) == 1
    ann, bob, judge, later = [line for line in lines if line.startswith("│")]
    assert ("first is better" in ann, "right" in ann, "4.0" in ann) == (True, True, True)
    assert "bob[x]" in bob
    assert "judge (model)" in judge
    assert "second is better (slight)" in later
    assert "Consensus: unsettled" in lines[-1]
    assert "preferred: 0.50" in lines[-1]
    told = json.loads(agreement(folder, "--pair", pair, "--json").stdout)
    assert [one["labeler"] for one in told["said"]] == ["ann", "bob[x]", "judge", "ann"]
    assert told["said"][0]["chosen_side"] == "right"
    assert told["pair"]["id"] == pair
    assert told["consensus"]["votes"] == 2
    assert told["first"]["text"] != told["second"]["text"]


def test_what_a_text_holds_cannot_steer_the_terminal(folder):
    from pairloop.workspace import open_workspace

    pair = fill(folder, pairs=1)[0]
    with open_workspace(folder).store() as store:
        steering = make_judgment(pair, "cem\x1b[2J", FIRST, minute=9)
        store.append([steering])
    done = agreement(folder, "--pair", pair)

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "cem" in done.stdout


def test_an_unknown_pair_is_named(folder):
    done = agreement(folder, "--pair", "c1:none")

    assert done.returncode == 1
    assert "Error: There is no pair 'c1:none'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_html_file_is_whole_and_only_a_report_is_overwritten(folder, tmp_path):
    fill(folder, pairs=40)
    out = tmp_path / "report.html"
    done = agreement(folder, "--html", str(out), "--anonymous")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Wrote the report on 80 judgments on 40 pairs to {out}. Next: open it in a browser"
    ]
    page = out.read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    assert "75.0 % (" in page
    assert "bob[x]" not in page
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".report")] == []
    again = agreement(folder, "--html", str(out), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["judgments"] == 80
    assert "bob[x]" in out.read_text(encoding="utf-8")

    own = tmp_path / "thesis.html"
    own.write_text("<!doctype html><title>My thesis</title>", encoding="utf-8")
    refused = agreement(folder, "--html", str(own))
    assert refused.returncode == 1
    assert "is no earlier report" in refused.stderr
    assert "My thesis" in own.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--by", "rund"), "Did you mean 'round'?"),
        (("--html", "nowhere/report.html"), "There is no folder"),
        (("--html", "."), "is a folder"),
    ],
    ids=["by", "no folder", "a folder"],
)
def test_what_cannot_be_is_one_message(folder, words, says):
    done = agreement(folder, *words)

    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_slices_are_shown_by_what_is_asked(folder):
    fill(folder, pairs=40)
    done = agreement(folder, "--by", "temperature")

    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "0.7 and 1.3" in line]
    assert "75.0 % (" in line
    told = json.loads(agreement(folder, "--json", "--anonymous").stdout)
    (one,) = told["slices"]["temperature"]
    assert (one["slice"], one["n"], one["observed_agreement"]["value"]) == ("0.7 and 1.3", 40, 0.75)
    assert [p["labeler"] for p in told["labelers"]] == ["labeler 1", "labeler 2"]
    assert told["left_out"]["of_models"] == 40
