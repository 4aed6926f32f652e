"""Counts in sentences."""

import pytest

from storage.words import many


@pytest.mark.parametrize(
    ("count", "words", "says"),
    [
        (0, ["vote"], "0 votes"),
        (1, ["vote"], "1 vote"),
        (1234, ["vote"], "1,234 votes"),
        (1, ["policy", "policies"], "1 policy"),
        (2, ["pair is", "pairs are"], "2 pairs are"),
    ],
)
def test_a_count_goes_with_its_noun(count, words, says):
    assert many(count, *words) == says
