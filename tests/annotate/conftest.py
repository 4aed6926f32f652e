"""Servers for the tests of the routes."""

import pytest
from web import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("app"))
    yield made
    made.store.close()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A server to change, without the two Gradio pages, which take a second to build."""
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    made = Server(tmp_path)
    yield made
    made.store.close()
