"""Schemathesis over our own OpenAPI document: whatever is sent, no route fails inside, and each
answer is one that the document names."""

import sys
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from web import Server

from annotate import app as application
from annotate.rounds import RoundRunner

EXAMPLES = 4  # good ones of each operation, and as many bad ones
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The routes without the Gradio pages, asked with an admin's token; runs start what does nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        server = Server(tmp_path_factory.mktemp("fuzz"))
        app = application.create_app(
            desk=server.desk,
            store=server.store,
            workspace=server.folder,
            config=server.config,
            runner=RoundRunner(server.folder, program=[sys.executable, "-c", "pass"]),
        )
    headers = {"Authorization": f"Bearer {server.token('lead')}"}
    found = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    found.asked_with = headers
    yield found
    server.store.close()


def test_no_route_fails_inside_and_every_answer_is_documented(document):
    """Good and bad requests to every operation; all that goes wrong is told at once."""
    wrong, statuses = {}, Counter()
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def good(case):
            ask(case)

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        def bad(case):
            ask(case)

        def ask(case):
            answer = case.call(headers=document.asked_with)
            statuses[answer.status_code // 100] += 1
            assert "Traceback" not in answer.text
            case.validate_response(answer, checks=CHECKS)

        for run in (good, bad):
            try:
                run()
            except Unsatisfiable:  # nothing can be wrong about a request without parameters
                continue
            except (Exception, BaseExceptionGroup) as error:
                wrong[operation.label, run.__name__] = str(error)[:1500]
    assert not wrong, "\n\n".join(f"{where}: {what}" for where, what in wrong.items())
    assert min(statuses[2], statuses[4]) > 100, statuses
