"""The Content-Security-Policy of the Gradio pages: which scripts may run on them.

A page is Gradio's own template with JSON in its holes. Its inline scripts are allowed by hash, and
only those that are the template's, word for word, with nothing but JSON in the holes: a script that
a text brings along has no hash, and neither has an attribute such as onerror. The templates of
gr.HTML are compiled in the browser, which needs eval; /admin is made of them, the other pages of
one script file of ours.
"""

import base64
import hashlib
import json
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate.access import MOUNTS

NEEDS_EVAL = frozenset({"/admin"})
_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_MANIFEST = re.compile(rb'<link rel="manifest"[^>]*>')  # asked for without the cookie; never used
_HOLE = re.compile(r"\{\{.*?\}\}")


class KnownScripts:
    """The inline scripts of a template."""

    def __init__(self, template: str) -> None:
        self._patterns = [
            re.compile("(.*)".join(map(re.escape, _HOLE.split(code))), re.DOTALL)
            for attributes, code in _SCRIPT.findall(template)
            if "src=" not in attributes
        ]

    def hashes(self, page: str) -> list[str]:
        """The CSP sources of this page's inline scripts; one that is not the template's has none."""
        return [
            f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
            for attributes, code in _SCRIPT.findall(page)
            if "src=" not in attributes and self._knows(code)
        ]

    def _knows(self, code: str) -> bool:
        found = next(filter(None, (pattern.fullmatch(code) for pattern in self._patterns)), None)
        return found is not None and all(map(_is_json, found.groups()))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def policy(hashes: list[str], *, needs_eval: bool) -> str:
    """The header's value. Styles may be inline: Gradio sets them on its elements."""
    scripts = " ".join(["'self'", *hashes, *(["'unsafe-eval'"] if needs_eval else [])])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


class PagePolicy:
    """The ASGI middleware around the mounts."""

    def __init__(self, app: ASGIApp, *, template: str) -> None:
        self._app = app
        self._known = KnownScripts(template)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mount = next((m for m in MOUNTS if str(scope.get("path", "")).rstrip("/") == m), None)
        if mount is None:
            await self._app(scope, receive, send)
            return
        # Compressed, it could not be read here; the page itself is small.
        scope = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"accept-encoding"]}
        start: Message | None = None
        body = bytearray()

        async def send_with_policy(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if start is None or message.get("more_body"):
                return
            page = _MANIFEST.sub(b"", bytes(body))
            hashes = self._known.hashes(page.decode("utf-8", "replace"))
            headers = MutableHeaders(scope=start)
            if "content-length" in headers:
                headers["Content-Length"] = str(len(page))
            headers["Content-Security-Policy"] = policy(hashes, needs_eval=mount in NEEDS_EVAL)
            headers["Cache-Control"] = "no-store"
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, send_with_policy)
