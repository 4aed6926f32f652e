"""What rendered text may be: the elements, attributes and addresses of the renderer, and no other."""

import re
from html.parser import HTMLParser

TAGS = {
    "div",
    "p",
    "span",
    "pre",
    "code",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "blockquote",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "em",
    "strong",
    "s",
    "a",
    "br",
    "hr",
    "math",
    "semantics",
    "annotation",
    "mrow",
    "mi",
    "mo",
    "mn",
    "ms",
    "mtext",
    "mspace",
    "mfrac",
    "msqrt",
    "mroot",
    "msub",
    "msup",
    "msubsup",
    "munder",
    "mover",
    "munderover",
    "mmultiscripts",
    "mprescripts",
    "none",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mpadded",
    "menclose",
    "mfenced",
}
ATTRIBUTES = re.compile(
    r"class|dir|href|title|rel|target|start|style|display|displaystyle|scriptlevel|mathvariant"
    r"|stretchy|fence|separators?|accent|accentunder|movablelimits|largeop|symmetric|form"
    r"|linethickness|(?:column|row)(?:align|lines|spacing|span)|notation|open|close|minsize|maxsize"
    r"|width|encoding"
)


class Checker(HTMLParser):
    """Collects what a browser would make of the HTML; fails on what is not on the list."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.words = []
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            numbered = tag == "li" and name == "value" and value.isdecimal()
            assert numbered or ATTRIBUTES.fullmatch(name), (tag, name, value)
            if name == "style":
                assert re.fullmatch(r"text-align:(left|right|center)", value), value
            if name == "href":
                assert tag == "a"
                assert re.match(r"https?://[^/]", value), value
        if tag == "a":
            given_attributes = dict(attrs)
            assert given_attributes["target"] == "_blank"
            assert {"noopener", "noreferrer"} <= set(given_attributes["rel"].split())
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ("br", "hr"):
            self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl):
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data):
        raise AssertionError(f"an instruction: {data}")


def check(rendered):
    """The visible text of safe HTML."""
    checker = Checker()
    checker.feed(rendered)
    checker.close()
    assert not checker.open
    return "".join(checker.words)
