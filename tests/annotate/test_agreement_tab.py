"""The Agreement tab's HTML: pictures with captions, the queue of disputes, and sample sizes."""

import re
from dataclasses import replace

import pytest
from factories import fill_store, make_judgment, open_store
from quality_data import found_in, votes_on

from annotate.agreement_html import agreement_html, disputed_html, sizes_html
from annotate.agreement_kept import Looked
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from annotate.quality_html import quality_html
from annotate.report_data import full_report
from storage.errors import InputError
from storage.queue_pages import disputed_pairs
from storage.records import Verdict
from storage.store import utc_now

HOSTILE = "<img src=x onerror=alert(1)>"
FIRST, SECOND, TIE = Verdict.FIRST, Verdict.SECOND, Verdict.TIE


@pytest.fixture(scope="module")
def quality():
    found = found_in(votes_on(1, pairs=120))
    worst, *others = found.labelers
    return replace(found, labelers=[replace(worst, labeler=HOSTILE), *others])


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with open_store(tmp_path_factory.mktemp("tab")) as store, store.connected():
        pairs = fill_store(store, pairs=70).pairs
        for number, who in enumerate(("ann", "bob", HOSTILE)):
            store.append(
                [
                    make_judgment(p, who, SECOND if i % (number + 5) == 0 else FIRST, minute=60 * i)
                    for i, p in enumerate(pairs)
                ]
            )
        config = AnnotateConfig(votes_per_pair=3)
        settle(store, config)
        yield full_report(store, config, now=utc_now()), disputed_pairs(store, count=5)


def test_every_picture_is_escaped_captioned_and_can_be_saved(full, quality):
    report, _ = full
    whole = replace(report, quality=quality)
    shown = agreement_html(Looked(report=whole, working=False, problem=""))
    titles = [re.search(r"<figcaption>([^<]*)", f)[1] for f in shown.split("<figure")[1:]]
    assert titles == [
        "Agreement over time",
        "Labeler by labeler",
        "Everybody together",
        "Leaning to the left",
        "Leaning to longer answers",
        "Leaning to formatting",
        "Ratings of policies",
        "Ratings at equal style",
    ]
    for figure in shown.split("<figure")[1:]:
        assert re.search(r'data-save="[a-z-]+\.svg">Save picture.*</figure>', figure)
        assert "interval" in figure or "ten pairs" in figure
    assert HOSTILE not in shown
    assert shown.count("<figure") == shown.count("</figure>")


def test_the_table_says_in_words_whom_to_look_at(quality):
    shown = "".join(quality_html(quality))
    rows = re.findall(r"<tr>.*?</tr>", shown)[1:]
    assert len(rows) == len(quality.labelers)
    opposed = next(row for row in rows if ">opposed<" in row)
    assert "Prefers the worse answer more often than not" in opposed
    assert '<span class="flag">look</span>' in opposed
    slow = next(row for row in rows if ">slow<" in row)
    assert "Votes as reliably as the others do." in slow
    assert "240.0 s" in slow
    assert 'class="flag"' not in slow


def test_without_policies_that_met_the_tab_says_how_to_get_votes_on_some(full):
    report, _ = full
    assert "pairloop evaluate" in "".join(quality_html(report.quality))


@pytest.mark.parametrize(
    ("looked", "words"),
    [
        (Looked(report=None, working=True, problem=""), "as soon as they are there"),
        (Looked(report=None, working=False, problem="E: <b>"), "could not be worked out. E: &lt;b"),
    ],
    ids=["working", "failed"],
)
def test_before_there_are_figures_the_tab_says_why(looked, words):
    assert words in agreement_html(looked)


def test_old_figures_stay_while_newer_ones_come_or_fail(full):
    report, _ = full
    newer = agreement_html(Looked(report=report, working=True, problem=""))
    assert "Newer figures are being worked out." in newer
    assert "210 votes of 3 people on 70 pairs" in newer
    failed = agreement_html(Looked(report=report, working=False, problem="no room"))
    assert "no room" in failed


def test_disputes_come_most_even_first_with_the_way_to_settle_them(full):
    _, (rows, total) = full
    assert total > len(rows) == 5
    assert all(max(r.first_votes, r.second_votes) < r.votes for r in rows)
    shown = disputed_html(rows, total=total)
    assert f'href="/adjudicate/?pair={rows[0].pair_id}"' in shown
    assert f"pairloop agreement --pair {rows[0].pair_id}" in shown
    assert f"The 5 most disputed of {total}." in shown
    assert "1 first, 2 second" in shown or "2 first, 1 second" in shown
    assert "No pair has votes that differ." in disputed_html([], total=0)


def test_the_evenest_split_with_the_most_votes_is_the_most_disputed(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        pairs = fill_store(store, pairs=5).pairs
        votes = [(FIRST, SECOND), (FIRST, SECOND, FIRST, SECOND), (FIRST, FIRST, TIE)]
        votes += [(FIRST, FIRST), (SECOND,)]
        store.append(
            [
                make_judgment(pair, f"p{i}", verdict)
                for pair, given in zip(pairs, votes, strict=True)
                for i, verdict in enumerate(given)
            ]
        )
        settle(store, AnnotateConfig(votes_per_pair=4))
        rows, total = disputed_pairs(store, count=10)
    assert [r.pair_id for r in rows] == [pairs[1].id, pairs[0].id, pairs[2].id]
    assert total == 3
    assert "question 1" in rows[0].excerpt.lower()


def test_sample_sizes_are_at_the_projects_own_agreement(full):
    report, _ = full
    shown = sizes_html(report, within=0.05, rate=0.55, power=0.8)
    assert "783" in shown
    assert "of this project" in shown
    assert "70 there" in shown
    unknown = sizes_html(None, within=0.05, rate=0.6, power=0.8)
    assert ">194<" in unknown
    assert ">303<" in unknown
    assert "that others report" in unknown


@pytest.mark.parametrize(
    ("within", "rate", "power", "words"),
    [
        (0.0, 0.55, 0.8, "points above 0"),
        (0.05, 0.5, 0.8, "is not 50 %"),
        (0.05, 0.55, 1.0, "chance of seeing"),
    ],
)
def test_numbers_that_make_no_sense_are_explained(within, rate, power, words):
    with pytest.raises(InputError, match=words):
        sizes_html(None, within=within, rate=rate, power=power)
