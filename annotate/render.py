"""Model text -> HTML that shows all of it and can do nothing.

HTML in the text is shown as text, images are named and never fetched, links are http(s) only,
control and direction-changing characters are made visible, formulas become MathML and code is
coloured: all of it in both answers, or none. If the rendering would hide part of the text, the source is shown instead: nobody may
judge an answer they can't see.
"""

import html
import re
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from annotate.math_html import math_plugin, tex_to_html
from storage.records import Message

_rendering = threading.Lock()
_MAX_MARKDOWN_CHARS = 200_000
_MAX_COLOURED_CHARS = 20_000
# One answer should not look richer because the other's code came without its language.
_BOTH_OR_NEITHER = (
    ".pl-answers:has(.pl-plain-code) .pl-code [class^=hl-] { color: inherit; font-style: inherit; "
    "text-decoration: inherit; background: none; border: 0; }"
)
_KEPT_SHARE = 0.97  # of letters and digits; less means the rendering swallowed something

# Invisible characters that reorder or hide text. Joiners stay: scripts and emoji need them.
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = (
    {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10)}
    | {127: "\u2421"}
    | {code: f"\u27e6U+{code:04X}\u27e7" for code in (*range(0x80, 0xA0), *_BIDI)}
    | {0x2028: "\n", 0x2029: "\n"}
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TAG = re.compile(r"<[^>]*>")
_LINK = re.compile(r'<a [^>]*title="([^"]*)"')
_MARKS = re.compile(r"(?m)^[ \t>*+-]*\d{1,9}[.)](?=\s)|&#?\w{1,31};")


@lru_cache(maxsize=8192)
def render_markdown(text: str) -> str:
    """One text as safe HTML.

    One at a time: rendering is Python through and through, so many threads at it would only keep
    the others, who store judgments, from running; and Pygments' lexers may be shared.
    """
    with _rendering:
        return _rendered(text)


def _rendered(text: str) -> str:
    shown = visible(text)
    if not shown.strip():
        return '<p class="pl-empty">(empty)</p>'
    if len(shown) > _MAX_MARKDOWN_CHARS:
        return _as_source(shown)
    try:
        body = _parser().render(shown)
    except RecursionError:
        return _as_source(shown)
    if not _kept(shown, body):
        return _as_source(shown)
    return f'<div class="pl-md" dir="{_direction(shown)}">{body}</div>'


def render_messages(messages: Sequence[Message]) -> str:
    """A conversation as bubbles, oldest first; a system prompt is marked as such."""
    turns = [
        f'<div class="pl-turn pl-turn-{_role(m.role)}">'
        f'<div class="pl-role">{html.escape(visible(m.role)).capitalize()}</div>'
        f"{render_markdown(m.content)}</div>"
        for m in messages
    ]
    kind = "pl-one" if len(turns) == 1 else "pl-many"
    return f'<div class="pl-talk {kind}">{"".join(turns)}</div>'


def plain_messages(messages: Sequence[Message]) -> str:
    """A conversation as text, for the raw view."""
    if len(messages) == 1:
        return visible(messages[0].content)
    return "\n\n".join(f"[{visible(m.role)}]\n{visible(m.content)}" for m in messages)


def visible(text: str) -> str:
    """The text with line ends unified and control characters replaced by pictures or codes."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_VISIBLE)
    return _SURROGATE.sub(lambda m: f"\u27e6U+{ord(m[0]):04X}\u27e7", text)


def highlight_css() -> str:
    """Colours of highlighted code, light and dark."""
    light = HtmlFormatter(style="default", classprefix="hl-").get_style_defs(".pl-code")
    dark = HtmlFormatter(style="github-dark", classprefix="hl-").get_style_defs(".dark .pl-code")
    keep = [
        line
        for line in f"{light}\n{dark}".splitlines()
        if ".hl-" in line and "linenos" not in line and ".hl-err " not in line
    ]
    return "\n".join([*keep, _BOTH_OR_NEITHER]).replace("font-weight: bold", "")


def _role(role: str) -> str:
    return role if role in ("system", "user", "assistant") else "other"


def _as_source(shown: str) -> str:
    return f'<pre class="pl-source" dir="auto">{html.escape(shown)}</pre>'


def _direction(text: str) -> str:
    """Which way the text as a whole reads: by its first strong character."""
    kinds = (unicodedata.bidirectional(char) for char in text)
    first = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    return "ltr" if first == "L" else "rtl"


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _kept(source: str, rendered: str) -> bool:
    """True if the letters and digits of the source are in what a reader sees."""
    seen = _letters(html.unescape(_TAG.sub("", rendered))) + sum(
        _letters(html.unescape(link)) for link in _LINK.findall(rendered)
    )
    return seen >= _KEPT_SHARE * _letters(_MARKS.sub("", source))


@cache
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _colour})
    md.enable(["table", "strikethrough"])
    # A reference definition renders as nothing, which hides text; shown as written instead.
    md.disable("reference")
    md.use(math_plugin)
    md.validateLink = _is_web_link  # type: ignore[method-assign]
    md.core.ruler.push("reading_direction", _set_directions)
    md.core.ruler.push("list_numbers", _keep_numbers)
    md.add_render_rule("tex", _render_tex)
    md.add_render_rule("tex_block", _render_tex_block)
    md.add_render_rule("image", _render_image)
    md.add_render_rule("fence", _render_fence)
    md.add_render_rule("code_block", _render_fence)
    md.render("*warm* `up`")  # rule caches are built on first use, which is not thread-safe
    return md


def _is_web_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _set_directions(state: StateCore) -> None:
    """Each block reads in its own direction; links open apart and tell nobody."""
    for token in state.tokens:
        # Blocks inside keep their parent's: dir="auto" does not look into one that has its own.
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"  # the page has its own h1 and h2
        for child in token.children or ():
            if child.type == "link_open":
                target, title = str(child.attrGet("href")), str(child.attrGet("title") or "")
                child.attrs = {
                    "href": target,
                    "title": f"{target} {title}".strip(),
                    "rel": "noopener noreferrer nofollow",
                    "target": "_blank",
                }


def _keep_numbers(state: StateCore) -> None:
    """Number list items as written; a browser counts on from the first number."""
    following: list[int] = []  # of the lists around the present token, innermost last
    for token in state.tokens:
        if token.type in ("ordered_list_open", "bullet_list_open"):
            start = token.attrGet("start")
            following.append(1 if start is None else int(start))
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            following.pop()
        elif token.type == "list_item_open" and token.info:
            number = int(token.info)
            if number != following[-1]:
                token.attrSet("value", str(number))
            following[-1] = number + 1


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    """Pygments' lexer of a language, None where it has none. Making one costs more than using it."""
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@cache
def _formatter() -> Any:
    return HtmlFormatter(nowrap=True, classprefix="hl-")


def _colour(code: str, language: str, _attributes: str) -> str:
    """Code with Pygments' classes; "" leaves it to plain escaping."""
    if not language or len(code) > _MAX_COLOURED_CHARS:
        return html.escape(code)
    lexer = _lexer(language)
    if lexer is None:
        return html.escape(code)
    coloured: str = highlight(code, lexer, _formatter())
    lossless = _letters(html.unescape(_TAG.sub("", coloured))) == _letters(code)
    return coloured if lossless else html.escape(code)


def _render_fence(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[at]
    info = html.unescape(token.info).strip()
    code = _colour(token.content, info.split()[0] if info else "", "")
    label = f'<div class="pl-lang">{html.escape(info)}</div>' if info else ""
    plain = "" if 'class="hl-' in code else " pl-plain-code"
    return f'<div class="pl-code{plain}" dir="ltr">{label}<pre><code>{code}</code></pre></div>\n'


def _render_image(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[at]
    alt, address = token.content, str(token.attrGet("src") or "")
    title = str(token.attrGet("title") or "")
    words = " ".join(word for word in (alt, address, title) if word)
    return f'<span class="pl-image">[image: {html.escape(words)}]</span>'


def _render_tex(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[at]
    return tex_to_html(
        token.content, display=bool(token.meta["display"]), source=str(token.meta["source"])
    )


def _render_tex_block(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[at]
    formula = tex_to_html(token.content, display=True, source=str(token.meta["source"]))
    return f'<div class="pl-formula" dir="ltr">{formula}</div>\n'
