"""Fixtures of the recipes: a page's program over two clinics of a fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipe_pages import import_page
from support.clinics_files import milano_and_bari

from arzamed_async.testing import FakeArzamed


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake_arzamed: FakeArzamed) -> Path:
    """A working folder with a clinics file: Milano and, revoked, Bari. The environment names their fake."""
    milano_and_bari(fake_arzamed, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARZAMED_BASE_URL", fake_arzamed.base_url)
    monkeypatch.setenv("CELERY_BROKER", "memory://")
    return tmp_path


@pytest.fixture
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[Any]:
    """The module that a page shows first."""
    module = import_page(request.param, monkeypatch)
    yield module
    if hasattr(module, "SessionThread"):
        module.arzamed.close()
