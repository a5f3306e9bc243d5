"""How much a server may send that is no byte of a body: headers, interim responses, trailers, chunk extensions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support import RawServer, Request, token_answer
from support.raw_server import take_ordinary_lane

from arzamed_async import ArzamedSession, RetryPolicy, Timeouts, TransportError
from arzamed_async._http.handler import HEAD_BYTES

pytestmark = pytest.mark.asyncio

TOO_LONG = r"headers of the response, with interim responses and trailers, are longer than the limit of 65,536 bytes \("
START, OF_BODY = b"HTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"
LARGE = b"".join(b"X-Invented-%02d: %b\r\n" % (n, b"x" * 8000) for n in range(100))
TRAILERS = CHUNKED + b"1\r\n]\r\n0\r\n" + LARGE
EXTENSION = CHUNKED + b"1;x=" + b"y" * 800_000

#: What is sent, and then nothing: each of these must fail at once.
STALLS = {
    "headers": START + LARGE,
    "interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000,
    "large interim responses": (b"HTTP/1.1 103 X\r\n" + LARGE[:80_000] + b"\r\n") * 8,
    "trailers": TRAILERS,
    "an extension of a chunk": EXTENSION,
}


@pytest.fixture(params=["direct", "aiohttp"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "direct":
        take_ordinary_lane(monkeypatch)
    return str(request.param)


def head(size: int) -> bytes:
    """Return a head of this many bytes, with one interim response."""
    start = b"HTTP/1.1 103 X\r\nX-Invented: y\r\n\r\n" + START
    left = size - len(start) - len(OF_BODY)
    lines = [b"X-%02d: " % n + b"x" * 4000 + b"\r\n" for n in range(left // 4008 - 1)]
    left -= sum(map(len, lines))
    return start + b"".join(lines) + b"X-Last: " + b"x" * (left - 10) + b"\r\n" + OF_BODY


def sending(*pieces: bytes, stall: bool) -> Callable[[Request, asyncio.StreamWriter], Awaitable[None]]:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if stall:
            await asyncio.sleep(600)

    return handler


async def body_of(server: RawServer, lane: str) -> bytes:
    async with ArzamedSession(
        base_url=server.base_url, retry=RetryPolicy.none(), timeouts=Timeouts(total_seconds=60, read_seconds=60)
    ) as session:
        clinic = session.clinic(server.credentials())
        await clinic.token()
        assert session.stats().pool.lane.startswith(lane)
        async with asyncio.timeout(60):
            return (await clinic.get("equipe/doctors")).body


@pytest.mark.parametrize("sent", STALLS.values(), ids=STALLS)
async def test_what_is_no_body_is_bounded(lane: str, sent: bytes) -> None:
    """More than 64 KiB of headers, interim responses, trailers or extensions end a call at once, with the limit's name."""
    async with RawServer(sending(sent, stall=True)) as server:
        with pytest.raises(TransportError, match=TOO_LONG) as failure:
            await body_of(server, lane)
        assert not failure.value.transient
        assert server.api_requests == 1


@pytest.mark.parametrize("cut", [1, 700, 16_384, 65_536, 1_000_000])
async def test_the_limit_does_not_depend_on_how_the_bytes_arrive(lane: str, cut: int) -> None:
    """A head of 64 KiB is read, and one of a byte more is not, in pieces of any size."""
    for size in (HEAD_BYTES, HEAD_BYTES + 1):
        sent = head(size)
        assert len(sent) == size
        sent += b"[]"
        edge = len(sent) - 3000 if cut == 1 else 0  # byte by byte where it matters
        pieces = [sent[:edge]] + [sent[start : start + cut] for start in range(edge, len(sent), cut)]
        async with RawServer(sending(*pieces, stall=False)) as server:
            if size == HEAD_BYTES:
                assert await body_of(server, lane) == b"[]"
            else:
                with pytest.raises(TransportError, match=TOO_LONG):
                    await body_of(server, lane)


async def test_small_chunks_are_no_head(lane: str) -> None:
    """A body in chunks of one byte has more framing than body, and is read however long it is."""
    body = b"[" + b" " * 60_000 + b"]"
    chunks = b"".join(b"1;x=invented\r\n%c\r\n" % byte for byte in body)
    sent = START + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: y\r\n\r\n"
    async with RawServer(sending(sent, stall=False)) as server:
        assert await body_of(server, lane) == body
