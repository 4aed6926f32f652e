"""The report on disagreement as a section of a data card: Markdown, without its pictures."""

from annotate.report_data import FullReport, anonymous
from annotate.report_parts import section_markdown
from annotate.report_sections import sections_of

LEVEL = 3  # of the headings: the card has its own above them


def report_card(full: FullReport, *, names: bool = False) -> str:
    """Everything that may be published; names: whether labelers keep theirs."""
    shown = full if names else anonymous(full)
    return "\n\n".join(section_markdown(s, level=LEVEL) for s in sections_of(shown) if s.in_card)
