"""The diversity report as a picture (SVG, PNG or PDF): one panel per question, over temperature."""

from pathlib import Path

from generate.diversity import Diversity
from storage.errors import InputError

SUFFIXES = (".svg", ".png", ".pdf")
COLORS = ("#3b6fb6", "#d9822b", "#4c9f70", "#b04a5a", "#7d5ba6", "#8a8a8a", "#c2a83e")


def check_plot(path: Path) -> None:
    """Refuse a file of another kind before the work is done; raises InputError."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--plot {path} can't be drawn: end its name in {', '.join(SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--plot {path}: the folder {path.absolute().parent} does not exist.")


def plot(found: Diversity, path: Path, *, title: str) -> None:
    """Write the picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "pairloop", "font.size": 9}):
        figure = Figure(figsize=(9, 6.5), layout="constrained")
        figure.suptitle(title)
        distinct, alike, length, kept = figure.subplots(2, 2).flat
        at = [row.temperature for row in found.rows]
        for n in range(3):
            values = [_number(row.distinct[n]) for row in found.rows]
            distinct.plot(at, values, marker="o", color=COLORS[n], label=f"distinct-{n + 1}")
        same = {b.temperatures[0]: b for b in found.between if len(set(b.temperatures)) == 1}
        lines = {
            "self-BLEU": [_number(row.self_bleu) for row in found.rows],
            "distance in words": [_number(same[t].distance if t in same else None) for t in at],
            "usable pairs": [_number(row.usable_pairs) for row in found.rows],
        }
        for color, (label, values) in zip(COLORS, lines.items(), strict=False):
            alike.plot(at, values, marker="o", color=color, label=label)
        length.errorbar(
            at,
            [row.mean_words for row in found.rows],
            yerr=[row.sd_words for row in found.rows],
            marker="o",
            capsize=3,
            color=COLORS[0],
        )
        _bars(kept, found)
        for axes, name in (
            (distinct, "Distinct n-grams of one prompt's answers"),
            (alike, "Two answers at the same temperature"),
            (length, "Words per answer, mean and standard deviation"),
            (kept, "Share of the answers"),
        ):
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("temperature")
            axes.grid(alpha=0.25)
        distinct.set_ylim(0, 1.02)
        alike.set_ylim(0, 1.02)
        length.set_ylim(bottom=0)
        for axes in (distinct, alike, kept):
            axes.legend(
                fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False
            )
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _bars(axes: object, found: Diversity) -> None:
    """One bar per temperature: what may be shown, and what is left out by reason."""
    reasons = sorted({reason for row in found.rows for reason in row.drops})
    names = [f"{row.temperature:g}" for row in found.rows]
    bottom = [0.0] * len(names)
    for color, reason in zip(COLORS[2:] * 3, ["shown", *reasons], strict=False):
        counts = [
            row.answers - sum(row.drops.values()) if reason == "shown" else row.drops.get(reason, 0)
            for row in found.rows
        ]
        shares = [n / row.answers for n, row in zip(counts, found.rows, strict=True)]
        axes.bar(  # type: ignore[attr-defined]
            names, shares, bottom=bottom, color=color, label=reason.replace("_", " ")
        )
        bottom = [b + s for b, s in zip(bottom, shares, strict=True)]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
