"""`pairloop annotate`: the labeling pages, until stopped."""

import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from annotate.accounts import add_labeler
from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from pairloop.workspace import Workspace
from storage.errors import InputError, StoreError
from storage.judgments import labelers
from storage.records import Role
from storage.store import Store

FIRST_ADMIN = "admin"


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
    listener = _listen(config.host, config.port)
    config = config.model_copy(update={"port": listener.getsockname()[1]})
    with space.store(hold=True) as store:
        names = list(logins)
        people = labelers(store)
        led = any(p.active and p.role is Role.ADMIN for p in people.values())
        if not led and FIRST_ADMIN not in people:
            add_labeler(store, FIRST_ADMIN, password=None, role=Role.ADMIN)
            names.append(FIRST_ADMIN)
        tokens = {secrets.token_urlsafe(24): name for name in _known(store, names)}
        app = create_app(
            desk=Desk(store, config),
            store=store,
            workspace=space.root,
            config=config,
            one_time_logins=tokens,
            notice=notice,
        )
        address = f"http://{_shown_host(config.host)}:{config.port}"
        links = {name: f"{address}/login/once/{token}" for token, name in tokens.items()}
        (ready or _print_ready)(address, links)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                timeout_keep_alive=75,  # people think longer than uvicorn's 5 seconds
                timeout_graceful_shutdown=2,  # open pages keep a stream that never ends by itself
            )
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again after it has shut down
            server.run(sockets=[listener])
    print("The labeling pages are closed; all judgments are stored. Next: pairloop status")


def _known(store: Store, names: Sequence[str]) -> list[str]:
    known = {name for name, person in labelers(store).items() if person.active}
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
    print("Stop with Ctrl-C.", file=sys.stderr, flush=True)
