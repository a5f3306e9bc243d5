"""Responses that are recorded: vcrpy.md. (aioresponses.md is a test itself: test_pages.py runs it.)"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from recipe_pages import NAMES

from arzamed_async.testing import FakeArzamed


@pytest.mark.parametrize("page", ["vcrpy"], indirect=True)
def test_vcrpy(page: Any, fake_arzamed: FakeArzamed, tmp_path: Path) -> None:
    """A cassette replays without a server, and holds neither the secret nor the token."""
    cassette = tmp_path / "doctors.yaml"
    assert asyncio.run(page.names(str(cassette))) == NAMES
    fake_arzamed.close()
    assert asyncio.run(page.names(str(cassette))) == NAMES
    text = cassette.read_text(encoding="utf-8")
    assert "authorization" not in text.lower()
    assert "access_token" in text
    assert "eyJ" not in text
