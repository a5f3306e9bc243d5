"""A response that is whole in one read and plain, recognised by one pattern. Bytes in, values out; no I/O.

The pattern is strict: anything that could be read in two ways is left to the parser of the HTTP library. It takes
HTTP/1.1 with a final status that has a body, headers of printable ASCII without continuation lines, exactly one
Content-Length, no Transfer-Encoding, no Upgrade, and no Connection but `keep-alive`; and then exactly that number of
bytes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import ItemsView, Iterator, Mapping

__all__ = ["RawHeaders", "scan"]

#: A longer head is left to the library, which limits lines and headers.
HEAD_BYTES = 8000
#: The number of headers allowed on each side of Content-Length: together below the library's limit.
_SOME = rb"{0,60}+"

_TEXT = rb"[\t\x20-\x7e]*+"
_NAMED = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:"
_SPECIAL = (
    rb"(?i:content-length|transfer-encoding|connection|proxy-connection|upgrade|content-encoding|sec-websocket-key1)"
)
# Most headers begin with a letter that none of the special ones does: one look, and no further.
_PLAIN = rb"(?:(?![CcTtPpUuSs])|(?!" + _SPECIAL + rb":))" + _NAMED + _TEXT + rb"\r\n"
_KEPT = rb"(?i:connection):[\t ]*+(?i:keep-alive)[\t ]*+\r\n"
_CODED = rb"(?i:content-encoding)(:)" + _TEXT + rb"\r\n"
_HEADERS = rb"(?>" + _PLAIN + rb"|" + _KEPT + rb"|" + _CODED + rb")" + _SOME


@functools.cache
def _response() -> re.Pattern[bytes]:
    """Return the pattern, compiled when it is first needed: that takes as long as a module's import."""
    return re.compile(
        rb"HTTP/1\.1 (20[0-35-9]|2[1-9][0-9]|30[0-35-9]|3[1-9][0-9]|[45][0-9][0-9]) "
        + _TEXT
        + rb"\r\n"
        + _HEADERS
        + rb"(?i:content-length):[\t ]*+(0|[1-9][0-9]{0,8}+)[\t ]*+\r\n"
        + _HEADERS
        + rb"\r\n"
    )


class RawHeaders(Mapping[str, str]):
    """The headers of a head that `scan` has taken, parsed lazily. Names in any case; the first counts."""

    __slots__ = ("_head", "_pairs")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._pairs: list[tuple[str, str]] | None = None

    def _read(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            lines = self._head.decode("ascii").split("\r\n")[1:-2]
            parts = (line.partition(":") for line in lines)
            self._pairs = [(name, value.strip(" \t")) for name, _, value in parts]
        return self._pairs

    def __getitem__(self, key: str) -> str:
        wanted = key.lower()
        for name, value in self._read():
            if name.lower() == wanted:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._read()])

    def __len__(self) -> int:
        return len(self._read())

    def items(self) -> ItemsView[str, str]:
        """Return all of them, including those sent more than once."""
        return self._read()  # type: ignore[return-value]


def scan(data: bytes) -> tuple[int, bytes, bytes, bool] | None:
    """Return status, head, body, and whether the body has a coding; None: this is not whole, or not plain."""
    match = _response().match(data)
    if match is None:
        return None
    end = match.end()
    if len(data) - end != int(match[3]) or end > HEAD_BYTES:
        return None
    return int(match[1]), data[:end], data[end:], match[2] is not None or match[4] is not None
