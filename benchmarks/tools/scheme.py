"""The colours of the report's pictures, which follow the page: each is a property that has another value on a dark page."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

__all__ = ["ACCEPTED", "COLOURS", "GRID", "INK", "LIMIT", "RATE", "REFUSED", "follow_the_scheme"]

#: In light, in dark.
GROUND, INK, GRID = ("#ffffff", "#1e2129"), ("#37474f", "#c8d0d4"), ("#dfe5e5", "#3a4048")
LIMIT, RATE, REFUSED, ACCEPTED = (
    ("#6b7a7a", "#9aa7ad"),
    ("#00796b", "#4db6ac"),
    ("#d1495b", "#ff8a80"),
    ("#b8dcd5", "#2c5f58"),
)
#: Lines and bars in matplotlib's own order; the dark ones have a contrast of 3 and more on the dark ground.
SERIES = (
    ("#1f77b4", "#6baed6"),
    ("#ff7f0e", "#ffa54f"),
    ("#2ca02c", "#74c476"),
    ("#d62728", "#ff8a80"),
    ("#9467bd", "#c5a3e0"),
    ("#8c564b", "#c49c94"),
    ("#e377c2", "#f0a3d6"),
    ("#7f7f7f", "#b3b3b3"),
)
#: A fan-out's bars: token, response, failure, wait; then a failure's text.
BARS = (
    ("#4c78a8", "#7ba7d7"),
    ("#2a9d8f", "#4db6ac"),
    ("#e76f51", "#f08a70"),
    ("#d9d9d9", "#4a5058"),
    ("#b23a1d", "#ff9e80"),
)
PAIRS = (GROUND, INK, GRID, LIMIT, RATE, REFUSED, ACCEPTED, *SERIES, *BARS)
#: What matplotlib draws in black and white by itself is drawn in these.
COLOURS = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK[0]),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "legend.edgecolor"), GRID[0]),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), GROUND[0]),
    "axes.prop_cycle": mpl.cycler(color=[light for light, _ in SERIES]),
}


def follow_the_scheme(picture: Path) -> None:
    """Let a picture's colours follow the page, which is light or dark."""
    text = picture.read_text(encoding="utf-8")
    used = [(number, pair) for number, pair in enumerate(PAIRS) if pair[0] in text]
    for number, (light, _) in used:
        text = text.replace(light, f"var(--c{number}, {light})")
    light, dark = ("".join(f"--c{number}:{pair[scheme]};" for number, pair in used) for scheme in (0, 1))
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}</style>"
    picture.write_text(re.sub(r"(<svg\b[^>]*>)", rf"\1\n {style}", text, count=1), encoding="utf-8")
