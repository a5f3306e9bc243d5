"""Fixtures for the site in a browser: one Chromium (Debian's), one server, and a profile of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from chromium_support import axe_source, serving_site
from playwright.async_api import Browser
from support.chromium import headless_chromium


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Give the address of the built site on loopback."""
    with serving_site() as url:
        yield url


@pytest.fixture(scope="session")
def axe() -> str:
    """Give axe-core's script."""
    return axe_source()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Give a headless Chromium."""
    async with headless_chromium() as browser:
        yield browser
