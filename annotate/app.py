"""The labeling server: FastAPI owns sign-in, roles, REST and the store; Gradio draws the pages.

Gradio is mounted three times, at /label for everybody signed in, at /adjudicate for adjudicators and
at /admin for admins, because within one mount every signed-in person could call every event.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from annotate.access import MOUNTS, Access, Adjudicator, Admin, Me, anybody
from annotate.adjudicate_page import adjudicate_head, adjudicate_script
from annotate.bench import Bench
from annotate.config import AnnotateConfig, Retrain
from annotate.desk import Desk
from annotate.guidelines import take_file
from annotate.health import Health
from annotate.label_page import build_place, label_head, label_script
from annotate.metrics import Metrics
from annotate.observe import REQUEST_ID, Observe, error_answer
from annotate.page_policy import PagePolicy
from annotate.rounds import RoundRunner
from annotate.signing_in import Door
from annotate.stopping import Stopping
from annotate.web_account import account_router
from annotate.web_adjudicate import adjudication_router
from annotate.web_api import admin_router
from annotate.web_docs import docs_page, openapi
from annotate.web_health import health_router, metrics_router, metrics_token
from annotate.web_label import label_router
from annotate.web_login import invite_router, login_router, reset_router
from annotate.web_oidc import oidc_router
from annotate.web_pages import missing_page, wants_page
from annotate.web_rounds import rounds_router
from annotate.web_session import HEADERS, Gate, Sessions
from annotate.web_team import invitation_router, people_router, token_router
from annotate.web_work import assignment_router, gold_router, work_router
from storage.errors import (
    ConfigurationError,
    ConflictError,
    DiskFullError,
    InputError,
    NotReadyError,
    PairloopError,
)
from storage.records import Labeler
from storage.store import Store

log = logging.getLogger(__name__)

_QUEUE_SECONDS = 1.0
DISK_FULL = (
    "The disk of the server is full, so this was not stored. Decisions are kept in the browser and "
    "sent again; tell whoever runs the server to free some space."
)


def create_app(
    *,
    desk: Desk,
    store: Store,
    workspace: Path,
    config: AnnotateConfig,
    one_time_logins: Mapping[str, str] | None = None,
    notice: str = "",
    rule: Retrain | None = None,
    runner: RoundRunner | None = None,
) -> FastAPI:
    """Everything `pairloop annotate` serves.

    one_time_logins: token -> labeler's name; each signs in once at /login/once/TOKEN.
    notice: a line shown above the pairs. rule: when the server trains by itself, as the pages tell it.
    runner: what runs the children, where somebody else uses it too.
    """
    rule, runner = rule or Retrain(), runner or RoundRunner(workspace)
    app = FastAPI(
        title="pairloop",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # to where the Host header says, and to http behind a proxy
    )
    sessions = Sessions(store, hours=config.session_hours)
    door = Door(store, sessions, config)
    take_file(store, workspace, config)
    desk.refresh()

    app.state.health = health = Health(store, workspace, min_free_mb=config.min_free_mb)
    app.state.stopping = stopping = Stopping()
    metrics = Metrics()
    desk.writer.on_commit = metrics.committed

    app.include_router(health_router(health))
    app.include_router(metrics_router(metrics, health, desk, store))
    app.include_router(login_router(door, one_time_logins=one_time_logins or {}))
    app.include_router(invite_router(door))
    app.include_router(reset_router(door))
    app.include_router(account_router(door))
    if config.oidc is not None:
        app.include_router(oidc_router(door, config.oidc))
    for router in (
        label_router(desk, store, notice=notice),
        work_router(store, config, desk),
        assignment_router(store, desk),
        gold_router(store, desk),
        people_router(store, desk),
        invitation_router(store),
        token_router(store),
        adjudication_router(Bench(store, desk)),
        admin_router(store, config),
        rounds_router(store, config, rule, runner),
    ):
        app.include_router(router)
    _add_plain_routes(app)
    _add_error_answers(app)
    _mount_pages(app, store, config, runner, desk, rule)
    # Gradio reflects any Origin unless the parent has a CORS policy of its own.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    app.add_middleware(
        Gate, sessions=sessions, is_https=door.is_https, metrics_token=metrics_token()
    )
    app.add_middleware(stopping.gate)
    app.add_middleware(Observe, metrics=metrics, trusted=config.trusted_proxies)
    return app


def _add_plain_routes(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False, dependencies=[Depends(anybody)])
    def home(request: Request) -> Response:
        return RedirectResponse("/label/" if request.state.labeler else "/login", status_code=303)

    @app.get("/favicon.ico", include_in_schema=False, dependencies=[Depends(anybody)])
    def favicon() -> Response:
        return Response(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" '
            'stroke="#3451c6" stroke-width="4"><rect x="3" y="6" width="11" height="20" rx="4"/>'
            '<rect x="18" y="6" width="11" height="20" rx="4"/></svg>',
            media_type="image/svg+xml",
        )

    @app.get("/page/label.js", include_in_schema=False)
    def label_file(_me: Me) -> Response:
        return _script(label_script())

    @app.get("/page/adjudicate.js", include_in_schema=False)
    def adjudicate_file(_me: Adjudicator) -> Response:
        return _script(adjudicate_script())

    @app.get("/openapi.json", include_in_schema=False)
    def schema(_admin: Admin) -> dict[str, Any]:
        return openapi(app)

    @app.get("/docs", include_in_schema=False)
    def docs(_admin: Admin) -> HTMLResponse:
        return HTMLResponse(docs_page(openapi(app)))


def _script(code: str) -> Response:
    """A file that a browser may keep: its address changes with what is in it."""
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(code, media_type="text/javascript", headers=kept)


def _add_error_answers(app: FastAPI) -> None:
    """Every error is {"detail": sentence}; none shows what was sent or where the code failed."""

    def says(status: int, detail: str) -> JSONResponse:
        return JSONResponse({"detail": detail}, status_code=status, headers=HEADERS)

    @app.exception_handler(PairloopError)
    def known(_request: Request, error: PairloopError) -> JSONResponse:
        match error:
            case ConflictError() | NotReadyError():
                return says(409, str(error))
            case InputError() | ConfigurationError():
                return says(422, str(error))
            case DiskFullError():
                log.error("request failed: %s", error)
                return says(503, DISK_FULL)
            case _:  # the store: the browser keeps the judgment and tries again
                log.error("the store failed a request: %s", error)
                return error_answer(503, "The store does not answer", REQUEST_ID.get())

    @app.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        problems = (
            f"{'.'.join(_field(part) for part in issue['loc'][1:]) or 'request'}: {issue['msg']}"
            for issue in error.errors()[:5]
        )
        return says(422, "; ".join(problems))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        by_browser = wants_page(request.method, request.headers.get("accept", ""))
        if error.status_code == 404 and by_browser and not request.url.path.startswith("/api/"):
            return missing_page()
        return says(error.status_code, str(error.detail))


def _field(part: object) -> str:
    """A field's name or index; what was made up to be one is not repeated."""
    name = str(part)
    return name if (len(name) <= 40 and name.isidentifier()) or name.isdecimal() else "(unknown)"


def _mount_pages(
    app: FastAPI,
    store: Store,
    config: AnnotateConfig,
    runner: RoundRunner,
    desk: Desk,
    rule: Retrain,
) -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    import gradio as gr

    from annotate.admin_page import admin_head, build_admin_page

    theme = gr.themes.Default(
        primary_hue="indigo",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )

    def whoever_may(access: Access) -> Callable[[Request], str | None]:
        def who(request: Request) -> str | None:
            labeler = request.scope.get("state", {}).get("labeler")
            known = isinstance(labeler, Labeler) and access.refusal(labeler) is None
            return labeler.name if known else None

        return who

    pages = [
        ("/label", build_place("pairloop: label"), label_head()),
        ("/adjudicate", build_place("pairloop: adjudicate"), adjudicate_head()),
        ("/admin", build_admin_page(store, config, runner, desk, rule), admin_head()),
    ]
    for path, blocks, head in pages:
        gr.mount_gradio_app(
            app,
            blocks,
            path,
            auth_dependency=whoever_may(MOUNTS[path]),
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size="1kb",
            allowed_paths=[],
            enable_monitoring=False,
            ssr_mode=False,
            theme=theme,
            head=head,
        )
        # Gradio looks a thousand times a second for queued events; the gate lets none come.
        blocks._queue.sleep_when_free = _QUEUE_SECONDS  # noqa: SLF001 - there is no setting
    template = Path(gr.__file__).parent / "templates" / "frontend" / "index.html"
    app.add_middleware(PagePolicy, template=template.read_text(encoding="utf-8"))
