"""A store, and servers for the tests of the routes."""

import pytest
from browsing import LabelingServer
from factories import open_store
from web import Server


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path, hold=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("app"))
    yield made
    made.store.close()


@pytest.fixture
def own(request, tmp_path, monkeypatch):
    """A server to change, without the two Gradio pages, which take a second to build.

    A parameter, where a test gives one, is its configuration.
    """
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    made = Server(tmp_path, **getattr(request, "param", {}))
    yield made
    made.store.close()


@pytest.fixture
def labeling(tmp_path):
    """Starts labeling servers and ends them after the test."""
    made = []

    def start(**settings):
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(LabelingServer(folder, **settings))
        return made[-1]

    yield start
    for server in made:
        if server.thread.is_alive():
            server.down()
