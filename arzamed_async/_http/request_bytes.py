"""The bytes of a request (RFC 9112 sections 2 and 3). Values in, bytes out; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

__all__ = ["common_part", "recordable", "request_bytes", "split_url", "target_at"]

_URL = r"(?is:(https?://[^/?#@\s]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?)"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def split_url(url: str) -> tuple[str, str]:
    """Return an http URL's origin, and its path with the query as they go into a request line.

    Raises ValueError for any other text. Characters that are not printable ASCII are percent-encoded.
    """
    match = re.fullmatch(_URL, url)  # rare: once for each origin
    if match is None:
        raise ValueError("not an http URL")
    origin, path, query = match.groups(default="")
    return origin, _encoded((path or "/") + query)


def target_at(url: str, origin: str) -> str | None:
    """Return the target that `split_url` gives for a URL of this origin, at a fraction of its cost; None: call that."""
    target = url[len(origin) :]
    return _encoded(target) if target[:1] == "/" and "#" not in target else None


def _encoded(target: str) -> str:
    if target.isascii() and target.isprintable() and " " not in target:
        return target
    return quote(target, safe=_PRINTABLE)


def common_part(host: str, headers: Mapping[str, str]) -> str:
    """Return the part that all requests to an origin share: the end of their first line, and these headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f" HTTP/1.1\r\nHost: {host}\r\n{lines}"


def request_bytes(method: str, target: str, common: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Return the whole request. Raises ValueError where a header would end early and something else begin."""
    varying = "".join([target, *headers, *headers.values()])
    sound = "\n" not in varying and "\r" not in varying and "\0" not in varying
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    parts = [method, " ", target, common, length]
    item: tuple[str, str] | None = None
    for item in headers.items():
        parts += item[0], ": ", item[1], "\r\n"
    parts.append("\r\n")
    data = "".join(parts).encode() if sound else None
    del parts, varying, item  # a traceback's frame shows no token
    if data is None:
        raise ValueError("a line break or a null character in a header")
    return data if body is None else data + body


def recordable(headers: Mapping[str, str], client: object) -> Mapping[str, str]:
    """Return the headers as a client's method takes them: vcrpy writes them to a file, and refuses subclasses of str.

    Its wrapper has the name of aiohttp's method (functools.wraps), but not the globals.
    """
    request = getattr(client, "_request", None)
    module = getattr(getattr(request, "__func__", None), "__globals__", {}).get("__name__", "")
    return {name: str(value) for name, value in headers.items()} if module.startswith("vcr.") else headers
