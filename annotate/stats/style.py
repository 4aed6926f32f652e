"""What an answer looks like, counted: length and Markdown. For bias and style control."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import Floats

FEATURES = ("length", "headings", "lists", "bold", "code")
FENCED = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE)
LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s", re.MULTILINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


def style_of(text: str) -> tuple[int, int, int, int, int]:
    """Characters, headings, list items, bold passages and fenced code blocks, as FEATURES has them.

    As FastChat's style control counts; inside of code nothing but length counts.
    """
    fenced = "```" in text or "~~~" in text
    code = len(FENCED.findall(text)) if fenced else 0
    prose = FENCED.sub("", text) if code else text
    headings = len(HEADING.findall(prose)) if "#" in prose else 0
    bold = len(BOLD.findall(prose)) if "**" in prose or "__" in prose else 0
    return len(text), headings, len(LIST_ITEM.findall(prose)), bold, code


def style_differences(first_P_F: npt.ArrayLike, second_P_F: npt.ArrayLike) -> Floats:
    """(first - second) / (first + second) of each count: -1 .. +1, 0 where neither answer has any."""
    one, other = (np.asarray(a, dtype=np.float64) for a in (first_P_F, second_P_F))
    both = one + other
    return np.asarray(np.where(both > 0, (one - other) / np.maximum(both, 1), 0.0))


def styles_of(texts: Sequence[str]) -> Floats:
    """style_of many texts: counts_P_F."""
    return np.array([style_of(t) for t in texts], dtype=np.float64).reshape(-1, len(FEATURES))


def in_typical_units(differences_P_F: Floats) -> tuple[Floats, Floats]:
    """Differences over their root mean square, and that: effects then read "per typical difference".

    Not centred, so that calling the answers the other way round turns the sign and nothing else.
    """
    size_F = np.sqrt((differences_P_F**2).mean(axis=0)) if len(differences_P_F) else np.ones(0)
    scale_F = np.where(size_F > 0, size_F, 1.0)
    return differences_P_F / scale_F if len(differences_P_F) else differences_P_F, scale_F
