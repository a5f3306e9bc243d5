"""The scan of plain responses against aiohttp's parser."""

from __future__ import annotations

import pytest
from support.fuzz_responses import run

from arzamed_async._http.response_scan import HEAD_BYTES, RawHeaders, scan

START = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("seed", range(2))
def test_what_the_scan_takes_is_what_the_parser_reads(seed: int) -> None:
    """Of 20,000 responses, good and damaged, each that the scan takes has status, headers and body of aiohttp's parser."""
    taken, wrong = run(10_000, seed)
    assert wrong == []
    assert taken > 1000


@pytest.mark.parametrize(
    "data",
    [
        START + b"Content-Length: 2\r\n\r\n[]",
        START + b"content-length:2\r\nX: a\tb \r\n\r\n[]",
        START + b"Connection: Keep-Alive\r\nContent-Length:\t2 \r\nDate: x\r\n\r\n[]",
        b"HTTP/1.1 503 \r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_what_is_plain_is_taken(data: bytes) -> None:
    """A whole response with one Content-Length is taken, whatever the case of its names and the order of its headers."""
    found = scan(data)
    assert found is not None
    assert (found[2], found[3]) == (b"[]", False)


@pytest.mark.parametrize(
    "data",
    [
        START + b"Content-Length: 2\r\n\r\n[",
        START + b"Content-Length: 2\r\n\r\n[]\r\n",
        START + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
        START + b"Content-Length: 2, 2\r\n\r\n[]",
        START + b"Content-Length: +2\r\n\r\n[]",
        START + b"Content-Length: 02\r\n\r\n[]",
        START + b"Content-Length : 2\r\n\r\n[]",
        START + b"Content-Length: 2\r\nTransfer-Encoding: identity\r\n\r\n[]",
        START + b"transfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n[]",
        START + b"Content-Length: 2\r\nConnection: close\r\n\r\n[]",
        START + b"Content-Length: 2\r\nConnection: keep-alive, upgrade\r\n\r\n[]",
        START + b"Content-Length: 2\r\nUpgrade: h2c\r\n\r\n[]",
        START + b"Content-Length: 2\r\nX: a\r\n b\r\n\r\n[]",
        START + b"Content-Length: 2\nX: a\r\n\r\n[]",
        START + b"Content-Length: 2\r\nX: \xe9\r\n\r\n[]",
        START + b"Content-Length: 2\r\nX: \0\r\n\r\n[]",
        START + b"X: a\r\n\r\n[]",
        START + b"Content-Length: 2\r\nX: " + b"a" * HEAD_BYTES + b"\r\n\r\n[]",
        START + b"Content-Length: 2\r\n" + b"X: a\r\n" * 61 + b"\r\n[]",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n[]",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"",
    ],
)
def test_what_is_unusual_is_left_to_the_parser(data: bytes) -> None:
    """Whatever could be read in two ways, or is not whole, is not taken."""
    assert scan(data) is None


def test_a_coding_is_reported() -> None:
    """A body with a content coding is taken, and said to have one, on whichever side of the length the header stands."""
    for head in (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"Content-Length: 2\r\ncontent-encoding: br\r\n"):
        found = scan(START + head + b"\r\n[]")
        assert found is not None
        assert found[3] is True


def test_headers_are_read_in_any_case() -> None:
    """Names count in any case, the first of several is given, and all of them are there to be joined."""
    headers = RawHeaders(START + b"X-One:  1 \r\nSet-Cookie: a\r\nset-cookie: b\r\nEmpty:\r\n\r\n")
    assert headers["x-one"] == "1"
    assert headers.get("SET-COOKIE") == "a"
    assert headers.get("none") is None
    assert "empty" in headers
    assert list(headers.items())[1:3] == [("Set-Cookie", "a"), ("set-cookie", "b")]
    assert list(headers) == ["X-One", "Set-Cookie", "set-cookie", "Empty"]
    assert len(headers) == 4
    assert headers["empty"] == ""


def test_the_scan_is_linear() -> None:
    """Heads made to be tried again and again are refused at once: the pattern never goes back."""
    for piece in (b"content-length", b"X: a\r\n", b"Content-Length: 2\r\n", b"a:", b"\t", b"Content-Encoding: x\r\n"):
        assert scan(START + piece * 40_000) is None
