"""The guidelines and their versions."""

import pytest
from factories import open_store

from annotate.config import AnnotateConfig
from annotate.guidelines import current, publish, take_file
from storage import team
from storage.errors import InputError

CONFIG = AnnotateConfig()


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as opened, opened.connected():
        yield opened


def test_every_new_text_is_a_version_and_the_last_one_counts(store):
    assert current(store) is None
    first = publish(store, "Be fair.\r\nBe kind.\n", author="lead")
    assert first.text == "Be fair.\nBe kind."
    assert publish(store, "Be fair.\nBe kind.", author="boss") == first
    second = publish(store, "Be fair.", author="lead")
    again = publish(store, first.text, author="lead")
    assert (again.id, again.revision) == (first.id, 2)
    assert current(store) == again
    assert [g.id for g in team.guidelines(store)] == [first.id, second.id, first.id]
    assert [a.detail for a in team.activities(store)] == ["version 3", "version 2", "version 1"]


def test_the_file_counts_when_it_says_something_new(store, tmp_path):
    assert take_file(store, tmp_path, CONFIG) is None
    file = tmp_path / "guidelines.md"
    file.write_text("From the file.")
    assert take_file(store, tmp_path, CONFIG).text == "From the file."
    publish(store, "From the page.", author="lead")
    assert take_file(store, tmp_path, CONFIG).text == "From the page."
    file.write_text("From the file, edited.")
    assert take_file(store, tmp_path, CONFIG).text == "From the file, edited."
    assert take_file(store, tmp_path, CONFIG).revision == 2


def test_a_file_outside_the_workspace_is_not_read(store, tmp_path):
    inside = tmp_path / "space"
    inside.mkdir()
    (tmp_path / "space_evil").mkdir()
    (tmp_path / "space_evil" / "secret.md").write_text("secret")
    for path in ("../space_evil/secret.md", str(tmp_path / "space_evil" / "secret.md")):
        assert take_file(store, inside, AnnotateConfig(guidelines=path)) is None
    (inside / "link.md").symlink_to(tmp_path / "space_evil" / "secret.md")
    assert take_file(store, inside, AnnotateConfig(guidelines="link.md")) is None


@pytest.mark.parametrize("text", ["", " \n ", "x" * 100_001, "half \ud800"])
def test_what_is_no_text_is_refused(store, text):
    with pytest.raises(InputError):
        publish(store, text, author="lead")
    assert current(store) is None
