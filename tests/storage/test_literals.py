"""Values written into SQL: what people type or a model writes is found again unchanged."""

from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, StrEnum

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.literals import bind, literal


def test_parameters_are_replaced_only_where_sql_has_parameters():
    """A $ inside a string, a quoted name, a comment, a word or a dollar-quoted string stays."""
    sql = """select $a, '$a ''$a', "$a", E'\\'$a', $$ $a $$, $t$ $a $$ $t$, x$a -- $a
             /* $a /* $a */ $a */ , [$a]"""
    bound = bind(sql, {"a": 1})
    assert bound.count("(1)") == 2
    assert bound.startswith("select (1), '$a ")
    assert bound.endswith("[(1)]")


def test_a_missing_or_an_extra_parameter_is_named():
    with pytest.raises(ValueError, match=r"\$b"):
        bind("select $a, $b", {"a": 1})
    with pytest.raises(ValueError, match=r"\$c"):
        bind("select $a", {"a": 1, "c": 2})


def test_a_negative_number_after_a_minus_is_no_comment():
    assert duckdb.execute(bind("select 5-$n", {"n": -1})).fetchone() == (6,)


class Plain(str, Enum):  # noqa: UP042
    A = "a'"


class Modern(StrEnum):
    A = "a'"


def test_enum_members_are_their_values_and_zones_become_utc():
    zoned = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    sql = bind("select $a, $b, $c", {"a": Plain.A, "b": Modern.A, "c": zoned})
    utc = zoned.astimezone(UTC).replace(tzinfo=None)
    assert duckdb.execute(sql).fetchone() == ("a'", "a'", utc)


@pytest.mark.parametrize("value", [{"a": 1}, object(), {1}, [b"a", {}]])
def test_a_value_without_a_literal_is_refused(value):
    with pytest.raises(TypeError, match="can't be a query parameter"):
        literal(value)


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\\\0\n$\"-;*/E"))
numbers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats()
times = st.datetimes().map(lambda t: t.replace(fold=0))  # fold has no meaning in UTC
scalars = st.none() | st.booleans() | numbers | floats | texts | st.binary() | times
lists = st.one_of(*(st.lists(st.none() | kind) for kind in (numbers, floats, texts, times)))
DATABASE = duckdb.connect()


@settings(max_examples=300)
@given(scalars | lists)
def test_a_literal_reads_back_as_the_value(value):
    """Whatever people type or a model writes is stored and found again unchanged."""
    row = DATABASE.execute(f"select {literal(value)}").fetchone()
    assert row is not None
    assert repr(row[0]) == repr(value)
