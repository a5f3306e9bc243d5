"""The tables of docs/how-to/errors.md, held against the texts of the package."""

from __future__ import annotations

import re
from pathlib import Path

from support.sources import PACKAGE


def test_the_phases_of_a_deadline_are_those_that_are_reported() -> None:
    """Each row of the table begins with the words of a phase in the package, and each phase there has a row."""
    table = (
        (Path(__file__).parents[2] / "docs" / "how-to" / "errors.md")
        .read_text(encoding="utf-8")
        .partition("| `exceeded while ...` |")[2]
    )
    rows = re.findall(r"^\| ([a-z][^|]*) \|", table.partition("\n\n")[0], re.MULTILINE)
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    phases = set(re.findall(r'"((?:waiting|connecting|reading) [a-zA-Z\' ,]*)', source))
    words = [re.split(r"[`(\d]", row)[0].strip() for row in rows]
    assert all(any(phase.startswith(each) for phase in phases) for each in words)
    of_a_token = {
        "waiting for a turn, since the token endpoint limits the rate of requests"
    }  # within that of its caller
    assert {phase for phase in phases - of_a_token if not any(phase.startswith(each) for each in words)} == set()
