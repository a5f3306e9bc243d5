"""What the tests of commands share. A module with an environment of another kind has a fixture of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Beside, neutral_environment


@pytest.fixture
def beside() -> Iterator[Beside]:
    """A fake beside the command."""
    with Beside() as beside:
        yield beside


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, a cache and an environment of the test's own."""
    neutral_environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
