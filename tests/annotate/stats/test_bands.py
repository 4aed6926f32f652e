"""Published figures are shown beside what counts the same, and nothing else."""

from annotate.stats.bands import BANDS, Counted, Who, comparable, for_statistic


def test_figures_with_and_without_ties_are_never_mixed():
    with_ties = for_statistic("observed_agreement")
    without = for_statistic("observed_agreement_without_ties")
    assert {b.counted for b in with_ties} == {Counted.WITH_TIES}
    assert {b.counted for b in without} == {Counted.WITHOUT_TIES}
    assert [b.value for b in with_ties if b.effort == "MT-bench"] == [0.63, 0.67]
    assert [b.value for b in without if b.effort == "MT-bench"] == [0.81, 0.82]
    assert {b.who for b in [*with_ties, *without]} == {Who.LABELERS}


def test_coefficients_beyond_chance_have_no_figures_beside_them():
    assert for_statistic("alpha_nominal") == []


def test_every_figure_has_a_source_and_is_a_share():
    for band in BANDS:
        assert band.source
        assert band.task
        assert 0.5 < band.value < 1
    values = [b.value for b in comparable(Counted.WITHOUT_TIES)]
    assert values == sorted(values)
