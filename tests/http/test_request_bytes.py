"""The bytes of a request against aiohttp's parser, and against what aiohttp sends itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st
from support.raw_server import RawServer, Request, take_ordinary_lane

from arzamed_async import ArzamedSession
from arzamed_async._http.request_bytes import common_part, request_bytes, split_url, target_at

NAMES = st.text("abcXYZ-0", min_size=1, max_size=9).map(lambda name: f"X{name}")
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.strip)
TARGETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, blacklist_characters="?#"), max_size=30)


@given(st.sampled_from(["GET", "POST"]), TARGETS, st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=40))
def test_a_parser_reads_what_was_asked_for(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    """Method, target, headers and body come out of a parser as they went in, and nothing is left over."""
    origin, target = split_url(f"http://host:8080/{path}")
    assert (origin, target) == ("http://host:8080", f"/{path}")
    content = body if method == "POST" else None
    data = request_bytes(method, target, common_part("host:8080", {"Accept": "x"}), headers, content)
    loop = asyncio.new_event_loop()
    try:
        protocol: Any = type("Server", (), {"resume_reading": lambda *_, **__: None})()
        parser = HttpRequestParser(protocol, loop, 2**16)
        ((message, payload),), upgraded, tail = parser.feed_data(data)
    finally:
        loop.close()
    assert (message.method, message.path, upgraded, tail) == (method, target, False, b"")
    wanted = {"host": "host:8080", "accept": "x", **{name.lower(): value for name, value in headers.items()}}
    if content is not None:
        wanted["content-length"] = str(len(content))
        assert payload.is_eof()
        assert payload.read_nowait() == content
    assert {name.lower(): value for name, value in message.headers.items()} == wanted


@pytest.mark.parametrize("bad", ["a\r\nb: c", "a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize("where", ["name", "value", "target"])
def test_nothing_breaks_out_of_a_header(bad: str, where: str) -> None:
    """A line break or a null character anywhere in a head is an error, which shows nothing of it in its frames."""
    headers = {bad if where == "name" else "X": bad if where == "value" else "invented-canary"}
    target = f"/{bad}" if where == "target" else "/"
    with pytest.raises(ValueError, match="a line break or a null") as caught:
        request_bytes("GET", target, common_part("host", {}), headers, None)
    frame = caught.tb.tb_next
    assert frame is not None
    shown = {name: value for name, value in frame.tb_frame.f_locals.items() if name not in ("headers", "target")}
    assert "invented-canary" not in repr(shown)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://host", ("http://host", "/")),
        ("https://host/", ("https://host", "/")),
        ("https://host?a=b", ("https://host", "/?a=b")),
        ("http://[::1]:80/a?b#c", ("http://[::1]:80", "/a?b")),
        ("http://host/a b\u00e9\n%41", ("http://host", "/a%20b%C3%A9%0A%41")),
    ],
)
def test_where_a_url_is_cut(url: str, parts: tuple[str, str]) -> None:
    """A URL is cut into origin and target, without its fragment; what cannot be in a request line is percent-encoded."""
    assert split_url(url) == parts
    assert target_at(url, parts[0]) in (parts[1], None)


@pytest.mark.parametrize(
    "url", ["", "host/a", "ftp://host/", "http:///a", "http://user@host/", "http://a b/", "http://"]
)
def test_what_is_no_http_url(url: str) -> None:
    """What has no host, another scheme, or credentials in it is refused."""
    with pytest.raises(ValueError, match="not an http URL"):
        split_url(url)


def facts(request: Request) -> tuple[Any, ...]:
    return request.method, request.target, request.headers, request.body


@pytest.mark.asyncio
async def test_both_lanes_send_the_same_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot tell the lanes apart: method, target, headers and body of every request are the same."""
    seen: list[list[Any]] = []
    lanes: list[str] = []
    async with RawServer() as server:
        for _ in range(2):
            async with ArzamedSession(base_url=server.base_url) as session:
                clinic = session.clinic(server.credentials())
                await clinic.doctors.list()
                await clinic.doctors.list({"day": "2026-01-02", "text": "a b&\u00e9", "several": ["1", "2"]})
                await clinic.get("equipe/r\u00f2oms")
                lanes.append(session.stats().pool.lane.partition(":")[0])
            seen.append([facts(request) for request in server.requests])
            server.requests.clear()
            take_ordinary_lane(monkeypatch)
    assert lanes == ["direct", "aiohttp"]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4
