"""The adjudication page: like the labeling page, one script file that talks to our own routes, and
made of the same parts.
"""

from annotate.label_page import SHEETS, page_head, page_script

# Most of it is what the labeling page has too.
SCRIPTS = (
    "state.js",
    "server.js",
    "drawing.js",
    "difference.js",
    "telling.js",
    "copying.js",
    "adjudicate-actions.js",
    "keymap.js",
    "adjudicate-cases.js",
    "adjudicate-votes.js",
    "adjudicate-deciding.js",
    "adjudicate-start.js",
)


def adjudicate_script() -> str:
    """The adjudication page's file."""
    return page_script("adjudicate.html", SCRIPTS)


def adjudicate_head() -> str:
    """What goes into the page's <head>."""
    sheets = (*SHEETS, "adjudicate.css")
    return page_head(sheets, address="/page/adjudicate.js", script=adjudicate_script())
