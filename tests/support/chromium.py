"""Debian's Chromium, for the tests of the site and those of web applications."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright


@asynccontextmanager
async def headless_chromium() -> AsyncIterator[Browser]:
    """Start a headless Chromium, and close it at the end. Without one, the test is skipped."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not here (Debian: apt-get install chromium fonts-dejavu-core)")
    async with async_playwright() as playwright:
        # Root, in a container, has no sandbox to give; and a container's /dev/shm may be too small for a page.
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()
