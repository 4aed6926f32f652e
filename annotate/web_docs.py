"""The REST routes as a document (OpenAPI) and as a page to read, made from the routes themselves."""

import html
import json
from collections.abc import Mapping
from typing import Any, assert_never

from fastapi import FastAPI
from fastapi.routing import APIRoute

from annotate.access import Access, access_of

Schema = dict[str, Any]

_REFERENCE: Schema = {"$ref": "#/components/schemas/Refusal"}
_REFUSAL: Schema = {
    "title": "Refusal",
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "What happened and what to do."}},
    "required": ["detail"],
    "additionalProperties": False,
}

_STYLE = """
:root { color-scheme: light dark; --soft: #565c69; --line: #dfdfd8; --well: #8881; }
@media (prefers-color-scheme: dark) { :root { --soft: #a3a9b5; --line: #3a3f49; } }
body { max-width: 900px; margin: 40px auto; padding: 0 16px; font: 16px/1.5 system-ui, sans-serif; }
h2 { margin: 40px 0 8px; text-transform: capitalize; }
section { padding: 14px 0; border-top: 1px solid var(--line); }
h3 { margin: 0; font-size: 16px; }
h3 span { float: right; font-weight: 400; color: var(--soft); }
p { margin: 4px 0 8px; }
pre { margin: 0; padding: 10px 12px; border-radius: 10px; background: var(--well); overflow-x: auto; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
"""


def openapi(app: FastAPI) -> Schema:
    """The routes as OpenAPI; `x-access` says who may use each."""
    schema = app.openapi()
    parts = schema.setdefault("components", {})
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    parts.setdefault("schemas", {})["Refusal"] = _REFUSAL
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            access = access_of(route)
            for method in route.methods:
                operation = schema["paths"][route.path_format][method.lower()]
                operation["x-access"] = who(access)
                for status, meaning in _refusals(method, access).items():
                    operation["responses"][status] = {
                        "description": meaning,
                        "content": {"application/json": {"schema": _REFERENCE}},
                    }
                if access is not Access.ANYBODY:
                    operation["security"] = [{"token": []}]
    return schema


def _refusals(method: str, access: Access) -> dict[str, str]:
    """How a request to such a route may be refused, by status; each holds a sentence."""
    said = {
        "404": "There is no such thing.",
        "422": "What was sent makes no sense; the sentence says why.",
        "503": "The store does not answer. Nothing was lost; try again.",
    }
    if access is not Access.ANYBODY:
        said["401"] = "Nobody is signed in, or the token is unknown, revoked or expired."
    if method != "GET":
        said["400"] = "The body is no JSON."
        said["411"] = "A request needs a Content-Length."
        said["413"] = "The request is too large."
    if access is not Access.ANYBODY or method != "GET":
        said["403"] = "This is not for you, or comes from another site."
        said["409"] = "It can't be done as things stand; the sentence says why."
    return dict(sorted(said.items()))


def who(access: Access) -> str:
    """Who may use a route, in words."""
    match access:
        case Access.ANYBODY:
            return "anybody"
        case Access.SIGNED_IN:
            return "everybody signed in"
        case Access.ADJUDICATORS:
            return "adjudicators and admins"
        case Access.ADMINS:
            return "admins"
        case _:
            assert_never(access)


def docs_page(schema: Schema) -> str:
    """The routes as one plain page; Swagger's own page would load from a CDN."""
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_section(schema, path, method.upper(), operation))
    body = "".join(
        f"<h2>{html.escape(tag)}</h2>{''.join(sections)}" for tag, sections in groups.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pairloop: REST routes</title><style>{_STYLE}</style></head><body>"
        "<h1>REST routes</h1><p>Everything the pages do, for programs. Make a token "
        "(<a href='/account'>your account</a>, or <code>pairloop labelers token NAME"
        "</code>); it acts as its labeler. In the examples <code>$PAIRLOOP</code> is this server's "
        "address and <code>$TOKEN</code> your token. Errors are "
        '<code>{"detail": sentence}</code>. Machine-readable: '
        f"<a href='/openapi.json'>openapi.json</a></p>{body}</body></html>"
    )


def _section(schema: Schema, path: str, method: str, operation: Mapping[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary", "")
    return (
        f"<section><h3><code>{html.escape(method)} {html.escape(path)}</code>"
        f"<span>{html.escape(operation.get('x-access', ''))}</span></h3>"
        f"<p>{html.escape(text)}{_query(operation)}</p>"
        f"<pre>{html.escape(_curl(schema, path, method, operation))}</pre></section>"
    )


def _query(operation: Mapping[str, Any]) -> str:
    names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
    if not names:
        return ""
    return " Query: " + ", ".join(f"<code>{html.escape(name)}</code>" for name in names) + "."


def _curl(schema: Schema, path: str, method: str, operation: Mapping[str, Any]) -> str:
    words = ["curl"]
    if method != "GET":
        words += ["-X", method]
    if "security" in operation:
        words.append('-H "Authorization: Bearer $TOKEN"')
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        example = json.dumps(_example(schema, body["schema"]), ensure_ascii=False)
        words += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    return " ".join([*words, f'"$PAIRLOOP{path}"'])


def _example(schema: Schema, part: Mapping[str, Any]) -> Any:
    """A value of this shape."""
    if "$ref" in part:
        return _example(schema, schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]])
    if "default" in part:
        return part["default"]
    if "const" in part or "enum" in part:
        return part["const"] if "const" in part else part["enum"][0]
    if "anyOf" in part:
        return _example(schema, part["anyOf"][0])
    match part.get("type"):
        case "object":
            fields = part.get("properties", {})
            return {name: _example(schema, field) for name, field in fields.items()}
        case "array":
            return []
        case "boolean":
            return True
        case "integer" | "number":
            return part.get("minimum", 1)
        case _:
            return "..."
