"""The site as people see it: each page in Chromium, on a desk, a tablet and a telephone, light and dark, with a keyboard and with axe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from chromium_support import LOOK, PAGES, RULES_OF_FORM, RUN_AXE, SCHEMES, WIDTHS
from playwright.async_api import Browser, Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The frame has two forms: without navigation beside the page, and with sections that have pages of their own.
FRAMES = ["./", "api/session/"]
#: Where axe looks at a page's own part, and with which rules; None: all of them.
AXE_RULES = {(1280, "light"): None, (390, "dark"): RULES_OF_FORM}
#: How long a busy machine may take for a step: nothing here depends on it.
PATIENCE_MS = 120_000
#: How often a page is looked at again, with a pause of 100 ms between, before what is wrong counts.
LOOKS = 100


@asynccontextmanager
async def opened(browser: Browser, url: str, scheme: str, width: int = 1280) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page in a new profile; give it, and the addresses beyond the site and the complaints of its console."""
    context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    wrong: list[str] = []
    origin = "/".join(url.split("/")[:3]) + "/"
    page.on("request", lambda each: each.url.startswith((origin, "data:", "blob:" + origin)) or wrong.append(each.url))
    page.on("console", lambda each: each.type not in {"error", "warning"} or wrong.append(each.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        await page.goto(url)
        yield page, wrong
    finally:
        await context.close()


async def look(page: Page) -> list[str]:
    """Return what a reader could not see or use once the page has settled: scripts lay it out anew at another width."""
    found: list[str] = await page.evaluate(LOOK)
    for _ in range(LOOKS):
        if not found:
            break
        await page.wait_for_timeout(100)
        found = await page.evaluate(LOOK)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_can_be_read_at_each_width(browser: Browser, site: str, axe: str, path: str, scheme: str) -> None:
    """Nothing is clipped or wider than its page, code can be copied, nothing comes from elsewhere, and axe finds no violation.

    axe looks at what the page itself holds: with all its rules where it is light, on a desk, and with those that colours and the
    width decide where it is dark, on a telephone. The frame around it is the same on all pages, and has its own test.
    """
    async with opened(browser, site + path, scheme) as (page, wrong):
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            assert (width, await look(page)) == (width, [])
            if (width, scheme) in AXE_RULES:
                await page.evaluate(axe)
                rules = AXE_RULES[width, scheme]
                assert await page.evaluate(RUN_AXE, {"part": "article", "rules": rules}) == []
        assert wrong == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", FRAMES)
async def test_the_frame_of_a_page_passes_axe(
    browser: Browser, site: str, axe: str, path: str, width: int, scheme: str
) -> None:
    """Header, tabs, navigation, table of contents and footer have names, an order and enough contrast."""
    async with opened(browser, site + path, scheme, width) as (page, _):
        await page.evaluate(axe)
        frame = {"exclude": ["article > *"]}
        assert await page.evaluate(RUN_AXE, {"part": frame}) == []


async def search(page: Page, text: str) -> list[str]:
    """Type a text into the search field and return the first addresses that it finds."""
    await page.keyboard.press("/")
    field = page.get_by_role("textbox", name="Search")
    await field.fill(text)
    # The theme reads the field when a key goes up. Filled without a key, it is read only where the index comes later than the text.
    await field.press("End")
    links = page.locator(".md-search-result__item a.md-search-result__link")
    await expect(links.first).to_be_visible(timeout=PATIENCE_MS)
    return [str(await each.get_attribute("href")) for each in (await links.all())[:3]]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("circuit breaker", "#request-not-sent-circuit-breaker-is-open"),
        ("FileTokenStore", "api/stores/"),
        ("read timed out: no data within read_seconds", "reference/troubleshooting/"),
        ("token request not sent: the token endpoint requires a pause", "reference/troubleshooting/"),
        ("no response within 30 s", "#no-response-within-30-s-deadline-of-30-s-exceeded-while"),
        ("deadline of 30 s exceeded", "#no-response-within-30-s-deadline-of-30-s-exceeded-while"),
        ("the token endpoint rejected the clinic's credentials", "reference/troubleshooting/"),
    ],
)
async def test_the_search_finds_a_term_and_the_exact_text_of_an_error(
    browser: Browser, site: str, text: str, path: str
) -> None:
    """A page on the term, or the entry of the error, is one of the first three that the search shows."""
    async with opened(browser, site, "light") as (page, wrong):
        assert any(path in each for each in await search(page, text))
        assert wrong == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_results_of_a_search_pass_axe(browser: Browser, site: str, axe: str, scheme: str) -> None:
    """The dialog, its field and its results have names and enough contrast."""
    async with opened(browser, site, scheme) as (page, _):
        await search(page, "token")
        await page.evaluate(axe)
        assert await page.evaluate(RUN_AXE, {"part": ".md-search"}) == []


async def tab_until(page: Page, selector: str, limit: int = 60) -> bool:
    """Press Tab until the element has the focus, with what has it visible at each step."""
    for _ in range(limit):
        await page.keyboard.press("Tab")
        box = await page.evaluate("(({left, right}) => [left, right])(document.activeElement.getBoundingClientRect())")
        assert box[1] > 0, await page.evaluate("document.activeElement.outerHTML")
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return True
    return False


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_keyboard_opens_the_navigation_and_the_search(browser: Browser, site: str, width: int) -> None:
    """Tab reaches a link of the navigation and the search field, on each width; Escape leads out again."""
    async with opened(browser, site + "api/session/", "light", width) as (page, _):
        if width == 1280:
            assert await tab_until(page, ".md-search__input")
            assert await tab_until(page, ".md-tabs__link")
            assert await tab_until(page, ".md-sidebar--primary a.md-nav__link")
            return
        assert await tab_until(page, "button[for=__drawer]")
        await page.keyboard.press("Enter")
        await expect(page.locator("#__drawer")).to_be_checked(timeout=PATIENCE_MS)
        assert await page.evaluate("document.activeElement.closest('.md-sidebar--primary') !== null")
        await page.keyboard.press("Escape")
        await expect(page.locator("#__drawer")).not_to_be_checked(timeout=PATIENCE_MS)
        assert await tab_until(page, "button[for=__search]")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("textbox", name="Search")).to_be_focused(timeout=PATIENCE_MS)


async def test_the_keyboard_is_not_trapped(browser: Browser, site: str) -> None:
    """Tab goes through the whole page and out of it: the footer's links come after the code, the tables and the filter."""
    async with opened(browser, site + "reference/fault-matrix/", "light") as (page, _):
        assert await tab_until(page, "#filter", 150)
        await page.keyboard.type("redirect")
        await expect(page.get_by_role("status")).to_contain_text("faults shown", timeout=PATIENCE_MS)
        assert await tab_until(page, ".md-footer__link", 150)
    async with opened(browser, site + "how-to/errors/", "light") as (page, _):
        assert await tab_until(page, "article button.md-code__button", 150)
        assert await tab_until(page, ".md-footer__link", 300)
