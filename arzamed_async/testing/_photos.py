"""Photos of invented doctors: small pictures drawn from a name, at a URL that needs no token.

They stand for the vendor's object storage (page "Doctors": public, permanent, may be cached). Requests for them are
not API requests: they are neither counted nor recorded, and no fault applies to them.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from aiohttp import web

__all__ = ["PHOTOS_PATH", "photo_path", "photo_response"]

PHOTOS_PATH = "/photos/"
_SUFFIX = ".svg"
_HEADERS = {
    "Content-Type": "image/svg+xml",
    "Cache-Control": "public, max-age=31536000, immutable",
    # An SVG opened by itself is a document: this one may run and load nothing.
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
_WALLS = ("#dbe7ea", "#e8e1d5", "#dfe6d6", "#e6dbe3", "#d9dfee", "#efe0d4")
_SKINS = ("#f3d3bd", "#e5b895", "#c98d66", "#9a6543", "#6f4630")
_HAIRS = ("#2b2320", "#4b3324", "#7b4f2c", "#b98b53", "#8d8a86", "#d9d4cb")
_COATS = ("#ffffff", "#f7fafa", "#7fb0ac", "#8aa7c7", "#b9c8d6")
_SHIRTS = ("#3d6f78", "#56658f", "#8a5a63", "#6b7f4f", "#4a4f57")
# Drawn before the head, and after it. The head is an ellipse of 17 by 21 around (48, 42).
_CUTS = (
    ("", '<path d="M30 41c-2-17 8-25 19-24 11 0 20 8 17 24-3-9-8-12-18-13-9 1-15 4-18 13z"/>'),
    (
        '<path d="M28 74c-3-14-5-58 20-58s23 44 20 58z"/>',
        '<path d="M31 42c0-12 6-20 17-20s17 8 17 20c-5-9-10-13-20-14-6 3-11 7-14 14z"/>',
    ),
    (
        '<circle cx="48" cy="15" r="9"/>',
        '<path d="M30 42c-1-15 7-23 18-23s19 8 18 23c-4-8-10-12-18-12s-14 4-18 12z"/>',
    ),
    ("", '<path d="M31 44c-2-3-2-8 0-12 1 4 2 6 3 7zM65 44c2-3 2-8 0-12-1 4-2 6-3 7z"/>'),
    (
        '<path d="M27 56c-3-20 2-39 21-39s24 19 21 39z"/>',
        '<path d="M31 41c1-12 7-19 17-19s16 7 17 19c-8-2-14-6-17-12-3 6-9 10-17 12z"/>',
    ),
)
_GLASSES = (
    '<g fill="none" stroke="#3a3a3a" stroke-width="1.4"><circle cx="41" cy="43" r="5"/><circle cx="55" cy="43" r="5"/>'
    '<path d="M46 43h4"/></g>'
)


def photo_path(name: str) -> str:
    """Return the path at which the photo for this name is served."""
    return f"{PHOTOS_PATH}{quote(name, safe='')}{_SUFFIX}"


def photo_response(request: web.BaseRequest) -> web.Response:
    """Return the response to a request below PHOTOS_PATH."""
    if request.method not in ("GET", "HEAD"):
        return web.Response(status=405, headers={"Allow": "GET, HEAD"})
    name = request.path.removeprefix(PHOTOS_PATH).removesuffix(_SUFFIX)
    if not name or not request.path.endswith(_SUFFIX):
        return web.Response(status=404)
    return web.Response(body=_draw(name), headers=_HEADERS)


def _draw(name: str) -> bytes:
    """Return a portrait; the same name gives the same one. It does not contain the name."""
    chance = iter(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())

    def pick(choices: tuple[str, ...]) -> str:
        return choices[next(chance) % len(choices)]

    wall, skin, hair, coat, shirt = map(pick, (_WALLS, _SKINS, _HAIRS, _COATS, _SHIRTS))
    behind, over = _CUTS[next(chance) % len(_CUTS)]
    glasses = _GLASSES if next(chance) % 3 == 0 else ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96" viewBox="0 0 96 96">'
        f'<path fill="{wall}" d="M0 0h96v96H0z"/><g fill="{hair}">{behind}</g>'
        f'<path fill="{coat}" d="M12 96c0-19 12-27 25-29h22c13 2 25 10 25 29z"/>'
        f'<path fill="{shirt}" d="M37 67l11 17 11-17-6-3H43z"/>'
        f'<path fill="{skin}" d="M41 56h14v11c-2 5-12 5-14 0z"/><ellipse fill="{skin}" cx="48" cy="42" rx="17" ry="21"/>'
        f'<g fill="{hair}">{over}</g>'
        '<g fill="#3a2e2a"><circle cx="41" cy="43" r="1.7"/><circle cx="55" cy="43" r="1.7"/></g>'
        '<path d="M42 53q6 4 12 0" fill="none" stroke="#8c4f43" stroke-width="1.6" stroke-linecap="round"/>'
        f"{glasses}</svg>"
    ).encode()
