"""The report on disagreement as one HTML file that needs nothing else: no script, no request."""

import html
from pathlib import Path

from annotate.report_data import FullReport
from annotate.report_parts import section_html
from annotate.report_sections import sections_of
from storage.words import many

MARK = '<meta name="generator" content="pairloop agreement">'  # what says that a file is a report
_STYLE = Path(__file__).parent / "page" / "report.css"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="ad">
<header><h1>{title}</h1><p class="soft">{about}</p></header>
<main>{sections}</main>
</body>
</html>
"""


def report_html(full: FullReport, *, title: str = "How far people agree") -> str:
    """The whole file."""
    report = full.agreement
    about = (
        f"{many(report.judgments, 'judgment')} of {many(len(report.labelers), 'labeler')} on "
        f"{many(report.pairs, 'pair')}, {full.made_at:%Y-%m-%d %H:%M} UTC"
    )
    return _PAGE.format(
        mark=MARK,
        title=html.escape(title),
        style=_STYLE.read_text(encoding="utf-8"),
        about=html.escape(about),
        sections="".join(map(section_html, sections_of(full))),
    )
