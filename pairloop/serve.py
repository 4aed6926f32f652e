"""`pairloop annotate`: the labeling pages, until stopped."""

import asyncio
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Literal

import uvicorn

from annotate.accounts import add_labeler
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.retrain_watch import RetrainWatch
from annotate.round_watch import RoundWatch
from annotate.rounds import RoundRunner, command_of
from annotate.settings import with_own_seed
from annotate.webhooks import EVENTS, ROUND_FAILED, ROUND_READY, SECRET, Webhooks
from pairloop.logs import configure
from pairloop.opening import LastWords, starting
from pairloop.stopping import stopping_on_signals
from pairloop.workspace import Workspace
from storage import team
from storage.errors import ConfigurationError, InputError, StoreError
from storage.judgments import labelers
from storage.records import LabelerKind, Role
from storage.store import Store
from train.config import RLHF

log = logging.getLogger(__name__)

FIRST_ADMIN = "admin"
STOP_SECONDS = 5  # for requests under way; open pages keep a stream that never ends by itself


def serve(
    space: Workspace,
    *,
    config: AnnotateConfig,
    logins: Sequence[str],
    notice: str = "",
    ready: Callable[[str, dict[str, str]], None] | None = None,
) -> None:
    """Serve until interrupted. logins: labelers who get a one-time sign-in link.

    ready is called with the address and the links (by labeler) once the port is bound; without it
    they are printed.
    """
    configure(space.log)
    listener = _listen(config.host, config.port)
    config = config.model_copy(update={"port": listener.getsockname()[1]})
    with starting(listener) as opening, space.store(hold=True) as store:
        names = list(logins)
        people = labelers(store)
        led = any(p.active and p.role is Role.ADMIN for p in people.values())
        if not led and FIRST_ADMIN not in people:
            add_labeler(store, FIRST_ADMIN, password=None, role=Role.ADMIN)
            names.append(FIRST_ADMIN)
        config = with_own_seed(store, config)
        tokens = {secrets.token_urlsafe(24): name for name in _known(store, names)}
        hooks = _webhooks(store, config)
        runner = RoundRunner(space.root, learns_from_scores=space.train.method in RLHF)
        app = create_app(
            desk=Desk(store, config, on_settled=hooks.pair_settled if hooks else None),
            store=store,
            workspace=space.root,
            config=config,
            one_time_logins=tokens,
            notice=notice,
            rule=space.retrain,
            runner=runner,
        )
        failed = partial(hooks.notify, ROUND_FAILED) if hooks else _nobody
        watch = (
            RoundWatch(store, partial(hooks.notify, ROUND_READY), on_failed=failed)
            if hooks and (hooks.wants(ROUND_READY) or hooks.wants(ROUND_FAILED))
            else None
        )
        retrain = (
            RetrainWatch(store, runner, space.retrain, config, on_failed=failed)
            if space.retrain.at_least is not None
            else None
        )
        address = f"http://{_shown_host(config.host)}:{config.port}"
        links = {name: f"{address}/login/once/{token}" for token, name in tokens.items()}
        opening.close()  # from here on whoever asks waits a moment for the server itself
        (ready or _print_ready)(address, links)
        server = LastWords(
            uvicorn.Config(
                app,
                http=_http(),
                log_config=None,  # its lines go where ours go
                access_log=False,  # annotate/observe.py has a line for each request
                proxy_headers=False,
                timeout_keep_alive=75,  # people think longer than uvicorn's 5 seconds
                timeout_graceful_shutdown=STOP_SECONDS,
            ),
            health=app.state.health,
            stopping=app.state.stopping,
            drain_seconds=config.drain_seconds,
        )
        log.info("started")
        try:
            # uvicorn raises the signal again after it has shut down: what follows is still to be done.
            with stopping_on_signals():
                server.run(sockets=[listener])
        finally:
            for thread in (retrain, watch, hooks):
                if thread is not None:
                    thread.close()
    tell_of_child(runner)
    log.info("stopped")
    print("The labeling pages are closed; all judgments are stored. Next: pairloop status")


def tell_of_child(runner: RoundRunner) -> None:
    """A run outlives the pages that started it; whoever stops them is told so."""
    child = runner.state()
    if child.running:
        log.warning(
            "`%s` (process %d) goes on without the pages; `kill -INT %d` stops it at its next good "
            "moment. Its log: logs/%s",
            command_of(child.verb),
            child.pid,
            child.pid,
            child.log,
        )


def _http() -> type[asyncio.Protocol] | Literal["h11"]:
    """What reads requests: each bounds the head of one."""
    if find_spec("httptools") is None:
        return "h11"
    from pairloop.bounded_http import BoundedHttp

    return BoundedHttp


def _nobody(_payload: dict[str, object]) -> None:
    """Whom a server without webhooks tells."""


def _webhooks(store: Store, config: AnnotateConfig) -> Webhooks | None:
    if not config.webhooks:
        return None
    for hook in config.webhooks:
        for event in hook.events:
            if event not in EVENTS:
                raise ConfigurationError(
                    f"annotate.webhooks: there is no event {event!r}. Known: {', '.join(EVENTS)}."
                )

    def failed(event: str, url: str, why: str) -> None:
        team.note(
            store, actor="webhook", action="webhook failed", subject=event, detail=f"{url}: {why}"
        )

    return Webhooks(config.webhooks, secret=os.environ.get(SECRET, ""), on_failure=failed)


def _known(store: Store, names: Sequence[str]) -> list[str]:
    known = {
        name
        for name, who in labelers(store).items()
        if who.active and who.kind is LabelerKind.HUMAN
    }
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no active labeler {name!r} to sign in. "
                f"Add them with `pairloop labelers add {name}`."
            )
    return list(dict.fromkeys(names))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StoreError(
            f"Port {port} on {host} can't be used ({error.strerror}). Stop what listens there, or "
            "choose another with --port (0 takes a free one)."
        ) from error
    return listener


def _shown_host(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - only printed


def _print_ready(address: str, links: dict[str, str]) -> None:
    print(f"Labeling pages: {address}", flush=True)
    for name, link in links.items():
        print(f"Sign in once as {name}: {link}", flush=True)
    if sys.stderr.isatty():  # else it is a log, and each line of it an event
        print("Stop with Ctrl-C.", file=sys.stderr, flush=True)
