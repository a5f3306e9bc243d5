"""Sizes: a module can be read in ten minutes, and a function seen at a glance."""

from __future__ import annotations

import pytest
from support.sources import MODULES, functions

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 50
#: Longer modules, each with the reason why it is one.
EXCUSED: dict[str, str] = {}
LONGEST = 400


@pytest.mark.parametrize("name", MODULES)
def test_sizes(name: str) -> None:
    """A module is at most 300 lines long unless it is excused, a function at most 50."""
    path = MODULES[name]
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= (LONGEST if name in EXCUSED else MOST_LINES)
    assert name not in EXCUSED or lines > MOST_LINES, f"{name} needs no excuse"
    for node in functions(path):
        length = (node.end_lineno or 0) - node.lineno + 1
        assert length <= MOST_LINES_OF_A_FUNCTION, f"{node.name}: {length} lines"
