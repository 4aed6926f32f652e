"""Whatever stands in a file, an import says what is wrong with which row: never a traceback."""

import copy
import json

from factories import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imported import CONFIG
from layout_examples import EXAMPLES

from pairloop.imports.gather import Gatherer
from pairloop.imports.layouts import LAYOUTS
from pairloop.imports.spool import Spool
from pairloop.imports.stage import Source, gather
from storage.errors import InputError

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(), max_size=6)
    | st.sampled_from(["a", "tie", "left", "\ud83e", "\0", "", " ", "response_1", "0", 1e300, -1]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every place inside a row, by keys and positions."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    if isinstance(value, list):
        for at, inner in enumerate(value):
            found += places(inner, (*path, at))
    return found


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(sorted(LAYOUTS)))
def test_a_row_with_anything_anywhere_is_read_or_named(tmp_path_factory, data, name):
    rows = copy.deepcopy(EXAMPLES[name])
    row = data.draw(st.integers(0, len(rows) - 1), label="row")
    for path in data.draw(
        st.lists(st.sampled_from(places(rows[row])), min_size=1, max_size=2), label="places"
    ):
        inner = rows[row]
        try:
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = data.draw(ANYTHING, label="instead")
        except (KeyError, IndexError, TypeError):
            continue  # the first change took the place of the second away
    folder = tmp_path_factory.mktemp("fuzz")
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    gatherer = Gatherer(Spool(folder), CONFIG, firsts={}, now=NOW)
    try:
        gather([Source(name=str(file), layout=LAYOUTS[name])], gatherer, dataset="")
    except InputError as error:
        said = str(error).splitlines()
        assert said[0].endswith("can't be used, so nothing was stored:")
        assert all(line.startswith(f"{file}, line ") for line in said[1:-1] if line.startswith("/"))
