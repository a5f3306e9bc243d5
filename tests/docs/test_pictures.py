"""The pictures of the docs can be read on a light page and on a dark one."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from support.docs_pages import ROOT

PICTURES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.svg"))
_DARK = re.compile(r"@media \(prefers-color-scheme: dark\)\s*\{(.*?\})\s*\}", re.DOTALL)
_COLOUR = r"#[0-9a-f]{6}"


def ground_of(text: str, *, dark: bool) -> str:
    """Return the colour of a picture's ground: of the first shape that is filled with one."""
    found = re.search(rf'fill(?:: (?:var\((--\w+), )?|=")({_COLOUR})', text[text.index("</style>") :])
    assert found
    light = found[2]
    if not dark:
        return light
    within = _DARK.search(text)
    assert within, "no colours for a dark page"
    by_property = re.search(rf"{found[1]}:({_COLOUR})", within[1]) if found[1] else None
    by_selector = re.search(rf'\[fill="{light}"\] {{ fill: ({_COLOUR})', within[1])
    chosen = by_property or by_selector
    assert chosen, "the ground has no colour for a dark page"
    return chosen[1]


def brightness(colour: str) -> float:
    """Return 0 for black and 1 for white."""
    return sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) / (3 * 255)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_has_a_dark_ground_on_a_dark_page(picture: str) -> None:
    """A picture in a page is no white panel in the dark scheme: its ground is light in light, dark in dark."""
    text = (ROOT / picture).read_text(encoding="utf-8")
    assert brightness(ground_of(text, dark=False)) > 0.9
    assert brightness(ground_of(text, dark=True)) < 0.25


@pytest.mark.parametrize("picture", PICTURES)
def test_no_text_or_line_of_a_picture_is_black_in_both(picture: str) -> None:
    """Nothing keeps the black that matplotlib draws with, which a dark ground hides. Text without a colour would be black, too."""
    text = (ROOT / picture).read_text(encoding="utf-8")
    assert re.findall(r"(?:fill|stroke)(?:: |=\")#(?:000000|000)\b", text) == []
    for group in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}g"):
        if (group.get("id") or "").startswith("text_"):
            assert any("fill" in (each.get("style") or "") for each in group.iter()), group.get("id")
