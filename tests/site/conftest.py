"""Fixtures for the site in a browser: one Chromium (Debian's), one server, and a profile of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from chromium_support import axe_source, serving_site
from playwright.async_api import Browser, async_playwright


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
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium fonts-dejavu-core)")
    async with async_playwright() as playwright:
        # Root, in a container, has no sandbox to give; and a container's /dev/shm may be too small for a page.
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()
