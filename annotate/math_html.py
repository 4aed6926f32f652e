r"""TeX in answers -> MathML a browser paints by itself, and nothing a browser could run.

`$x$`, `$$x$$`, `\(x\)` and `\[x\]` are formulas; "$5 and then $10" stays an amount of money.
TeX that can't be converted, or that could define macros, link, style or hide, stays as written.
"""

import html
import re
from functools import lru_cache
from xml.etree import ElementTree as ET

import latex2mathml.converter
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_MAX_TEX_CHARS = 4000
_MAX_DEPTH = 60
_LETTERS = 3  # in a row, without anything else, are still a product of variables
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"

# Macro definitions can blow up, the others link, restyle or run over the page.
_REFUSED = re.compile(
    r"\\(?:re|provide)?new(?:command|environment)|\\(?:[egx]?def|let|href|url|class|style|id|cssId"
    r"|includegraphics|require|input|html\w*|color|textcolor|colorbox|fcolorbox|phantom|hphantom"
    r"|vphantom|hspace|kern|mkern|hskip|mskip|rule|raisebox|llap|rlap|mathllap|mathrlap|smash"
    r"|lower|raise|moveleft|moveright)(?![A-Za-z])"
)

_ELEMENT = re.compile(
    r"math|mrow|m[inos]|mtext|mspace|mfrac|msqrt|mroot|msubsup|msu[bp]|munderover|munder|mover"
    r"|mmultiscripts|mprescripts|none|mtable|mt[rd]|mstyle|mpadded|menclose|mfenced|semantics"
)
_VALUE = re.compile(
    r"[A-Za-z0-9 .,%|(){}\[\]+\-\u2016\u2191-\u21ff\u27e8\u27e9\u2308-\u230b/]{0,40}"
)
_ATTRIBUTE = re.compile(
    r"display|displaystyle|scriptlevel|mathvariant|stretchy|fence|separators?|accent|accentunder"
    r"|movablelimits|largeop|symmetric|form|linethickness|(?:column|row)(?:align|lines|spacing|span)"
    r"|notation|open|close|minsize|maxsize"
)
_WIDE = re.compile(r"\d{3,}|\d{2}\s*em")

# An amount of money and then words, which the dollar rule alone would take for a formula.
_MONEY = re.compile(r"\d[\d,.]*\s*(?:[kKmMbB%]\b)?[^\\^_={}]*[A-Za-z]{2,}[^\\^_={}]*\Z", re.DOTALL)


def math_plugin(md: MarkdownIt) -> None:
    """Teach a Markdown parser the four ways of writing a formula."""
    md.inline.ruler.before("escape", "tex_inline", _inline_rule)
    md.block.ruler.before(
        "fence",
        "tex_block",
        _block_rule,
        {"alt": ["paragraph", "reference", "blockquote", "list"]},
    )


@lru_cache(maxsize=4096)
def tex_to_html(tex: str, *, display: bool, source: str) -> str:
    """MathML for TeX, with the source as its annotation; the source itself where that fails."""
    as_text = f'<code class="pl-tex">{html.escape(source)}</code>'
    if len(tex) > _MAX_TEX_CHARS or _REFUSED.search(tex) or _nesting(tex) > _MAX_DEPTH:
        return as_text
    for name in ("aligned", "split"):  # unknown to the converter, and the same inside a formula
        tex = tex.replace(f"{{{name}}}", "{align*}")
    try:
        converted = latex2mathml.converter.convert(tex, display="block" if display else "inline")
        root = ET.fromstring(converted)  # noqa: S314 - our own converter's output, not a document
        clean = _clean(root)
    except Exception:  # noqa: BLE001 - any TeX is possible, and the source is always right
        return as_text
    body = "".join(_serialize(child) for child in clean)
    kind = "block" if display else "inline"
    return (
        f'<math display="{kind}"><semantics><mrow>{body}</mrow>'
        f'<annotation encoding="application/x-tex">{html.escape(source)}</annotation>'
        "</semantics></math>"
    )


def _nesting(tex: str) -> int:
    depth = deepest = 0
    for char in tex:
        if char == "{":
            depth += 1
            deepest = max(deepest, depth)
        elif char == "}":
            depth -= 1
    return deepest


def _clean(element: ET.Element) -> ET.Element:
    """The same element with known tags and harmless attributes only; raises on anything else."""
    tag = element.tag.removeprefix(_NAMESPACE)
    if not _ELEMENT.fullmatch(tag):
        raise ValueError(tag)
    kept = ET.Element(tag)
    kept.text = element.text
    for name, value in element.attrib.items():
        known = _ATTRIBUTE.fullmatch(name) and _VALUE.fullmatch(value)
        if known and not _WIDE.search(value):
            kept.set(name, value)
        if tag == "mspace" and name == "width" and re.fullmatch(r"-?[0-3](\.\d+)?em", value):
            kept.set(name, value)
    kept.extend(_clean(child) for child in element)
    return kept


def _serialize(element: ET.Element) -> str:
    attributes = "".join(f' {k}="{html.escape(v)}"' for k, v in element.attrib.items())
    inside = html.escape(element.text or "") + "".join(_serialize(child) for child in element)
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"


def _is_escaped(source: str, position: int) -> bool:
    backslashes = 0
    while position - backslashes > 0 and source[position - backslashes - 1] == "\\":
        backslashes += 1
    return backslashes % 2 == 1


def _find_close(source: str, mark: str, start: int) -> int:
    """Where an unescaped closing mark is, -1 if nowhere."""
    at = source.find(mark, start)
    while at != -1 and mark.startswith("$") and _is_escaped(source, at):
        at = source.find(mark, at + 1)
    return at


def _inline_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    source, start = state.src, state.pos
    opening = source[start : start + 2]
    if opening in ("\\(", "\\["):
        mark, close, display = opening, "\\)" if opening == "\\(" else "\\]", opening == "\\["
    elif opening == "$$":
        mark, close, display = "$$", "$$", True
    elif opening.startswith("$"):
        mark, close, display = "$", "$", False
    else:
        return False
    # One failed search per mark is enough: nothing closes it further on either.
    if state.env.get(f"unclosed {mark}") == source:
        return False
    end = _find_close(source, close, start + len(mark))
    if end == -1:
        state.env[f"unclosed {mark}"] = source
        return False
    inside = source[start + len(mark) : end]
    if not inside.strip() or end + len(close) > state.posMax:
        return False
    if mark == "$" and not _is_dollar_formula(source, start, end, inside):
        return False
    if not silent:
        token = state.push("tex", "math", 0)
        token.content = inside.strip()
        token.markup = mark
        token.meta = {"display": display, "source": mark + inside + close}
    state.pos = end + len(close)
    return True


def _is_dollar_formula(source: str, start: int, end: int, inside: str) -> bool:
    """Tell `$x$` from money: no space inside the marks, no digit outside of them."""
    return not (
        inside[0].isspace()
        or inside[-1].isspace()
        or (start > 0 and source[start - 1].isalnum())
        or source[end + 1 : end + 2].isalnum()
        or "\n\n" in inside
        or _MONEY.match(inside)
        or (inside.isalpha() and len(inside) > _LETTERS)  # a placeholder such as $NAME$
    )


def _block_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:  # noqa: FBT001
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    mark = state.src[begin : begin + 2]
    if mark not in ("$$", "\\["):
        return False
    close = "$$" if mark == "$$" else "\\]"
    lines: list[str] = []
    for line in range(start_line, end_line):
        first = state.bMarks[line] + state.tShift[line]
        text = state.src[first : state.eMarks[line]]
        if not text.strip():
            return False
        body = text[2:] if line == start_line else text
        if close in body:
            inside, after = body.split(close, 1)
            tail = after.strip()
            if tail not in ("", ".", ",", ";") or not (inside.strip() or lines):
                return False
            lines.append(inside)
            break
        lines.append(body)
    else:
        return False
    if silent:
        return True
    state.line = line + 1
    token = state.push("tex_block", "math", 0)
    content = "\n".join(lines).strip()
    token.content = content + ("\\" if content.endswith("\\") else "") + tail
    token.block = True
    token.map = [start_line, state.line]
    token.meta = {"display": True, "source": f"{mark}{content}{close}{tail}"}
    return True
