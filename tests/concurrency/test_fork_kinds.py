"""Parent and children of all kinds use one session at once, from a new interleaving each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.forks import run_forks

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]


@pytest.mark.parametrize(
    ("how", "lane", "store", "tls"),
    [
        ("new", "direct", "", True),
        ("new", "given", "", False),
        ("same", "direct", "file", False),
        ("same", "callable", "", True),
        ("running", "direct", "", True),
        ("running", "ordinary", "file", False),
        ("thread", "direct", "file", True),
        ("process", "direct", "", False),
        ("executor", "callable", "", False),
        ("twice", "direct", "file", False),
        ("unused", "direct", "file", False),
    ],
)
async def test_parent_and_child_do_not_disturb_each_other(
    how: str, lane: str, store: str, tls: bool, tmp_path: Path
) -> None:
    """No record is another clinic's, no call of either fails, no token is requested twice, whichever way a child ends."""
    await run_forks(tmp_path, how, lane=lane, store=store and f"file={tmp_path / 'tokens'}", tls=tls)
