"""Fixtures for the tests in a browser: one Chromium (Debian's), one event loop for it, the servers and the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from support.chromium import headless_chromium
from web_support import Desk


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the docs' picture be written anew: without the option, nothing is written into the project."""
    parser.addoption("--picture", action="store_true", help="write docs/pictures/clinic_directory.png")


@pytest.fixture
def picture(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """Give the place for the screenshot: a temporary one, unless the docs' picture is asked for."""
    folder = pytestconfig.rootpath / "docs" / "pictures" if pytestconfig.getoption("--picture") else tmp_path
    folder.mkdir(exist_ok=True)
    return folder / "clinic_directory.png"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Give a headless Chromium."""
    async with headless_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Give a page in a browser profile of its own."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(page: Page) -> AsyncIterator[Desk]:
    """Give the page as someone at a desk sees it; at the end its console holds no error that was not expected."""
    desk = Desk(page)
    yield desk
    assert desk.complaints == []
