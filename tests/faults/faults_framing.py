"""Faults of HTTP itself: its lines, its headers, and where a body ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fault_model import END_MISSING, Fault, broken, failed, good, reads, themed, works
from fault_server import DOCTORS_JSON, Act, Wire

from arzamed_async import DeadlineExceededError, StreamInterruptedError, TokenError

WORKS = works()
GARBLED = broken()
#: A head over a limit: the next one would be, too.
TOO_LARGE = broken(1)
MEBIBYTE = 1_048_576


def sending(*pieces: bytes | Callable[[Wire], bytes], then_close: bool = False) -> Act:
    """Return the act of a server that sends these bytes as they are, or what they are made into for the request."""

    async def act(wire: Wire) -> None:
        await wire.send(*(piece if isinstance(piece, bytes) else piece(wire) for piece in pieces))
        if then_close:
            wire.close()

    return act


def headed(*headers: str, status: str = "200 X", length: bool = True) -> Act:
    """Return the act of a server whose answer is good, but for its status line or these headers."""

    async def act(wire: Wire) -> None:
        lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(wire.body)}"] if length else []), "", ""]
        await wire.send("\r\n".join(lines).encode("latin-1") + wire.body)

    return act


def chunk(data: bytes, size: str = "") -> bytes:
    """Return a chunk, or one that lies about its size."""
    return (size or f"{len(data):x}").encode() + b"\r\n" + data + b"\r\n"


def chunked(*behind: bytes, then: str = "close", rest: bool = True) -> Act:
    """Return the act of a server whose chunked answer is good up to its first part; then comes `behind`."""

    async def act(wire: Wire) -> None:
        first, second = wire.parts
        await wire.head("200 X", "Transfer-Encoding: chunked")
        await wire.begin(chunk(first))
        await wire.send(*([chunk(second)] if rest else []), *behind)
        if then == "reset":
            wire.reset()
        elif then == "close":
            wire.close()

    return act


def to_the_end(then: str, *, whole: bool, version: str = "1.1") -> Act:
    """Return the act of a server whose body ends where the connection does."""

    async def act(wire: Wire) -> None:
        first, second = wire.parts
        await wire.send(f"HTTP/{version} 200 X\r\nContent-Type: application/json\r\n\r\n".encode())
        await wire.begin(first)
        if whole:
            await wire.send(second)
        if then == "reset":
            wire.reset()
        else:
            wire.close()

    return act


def interim(*statuses: str, times: int = 1) -> Act:
    """Return the act of a server that sends these answers before its own."""

    async def act(wire: Wire) -> None:
        heads = "".join(f"HTTP/1.1 {status}\r\n\r\n" for status in statuses).encode()
        await wire.send(heads * times)
        await wire.answer()

    return act


async def endless_interim(wire: Wire) -> None:
    while not wire.reader.at_eof():
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        await asyncio.sleep(1)


async def endless_headers(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    while not wire.reader.at_eof():
        await wire.send(b"".join(b"X-Invented-%d: 1\r\n" % number for number in range(100)))


async def endless_line(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nX-Invented: ")
    while not wire.reader.at_eof():
        await wire.send(b"1" * 1000)


async def http_1_0(wire: Wire) -> None:
    await wire.send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(wire.body) + wire.body)
    wire.close()


def wrong_length(change: int) -> Act:
    """Return the act of a server whose Content-Length is off by so much."""

    async def act(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % (len(wire.body) + change) + wire.body)

    return act


def several(length: Callable[[int], str]) -> Act:
    """Return the act of a server that tells the length so."""

    async def act(wire: Wire) -> None:
        await wire.send(f"HTTP/1.1 200 X\r\n{length(len(wire.body))}\r\n\r\n".encode("latin-1") + wire.body)

    return act


#: The list shows by itself that it is cut; a token's JSON is not complete; a body of `get` ends where it ends.
CUT_UNNOTICED = {
    **broken(body=True),
    "get": good(DOCTORS_JSON[:20]),
    "token": failed(TokenError),
}

NOT_HTTP = themed(
    "Not HTTP",
    Fault(name="binary", act=sending(bytes(range(256)) * 4 + b"\r\n\r\n", then_close=True), expect=GARBLED),
    Fault(name="HTML without a head", act=sending(b"<html>Invented</html>\r\n\r\n", then_close=True), expect=GARBLED),
    Fault(name="JSON without a head", act=sending(lambda wire: wire.body, then_close=True), expect=GARBLED),
    Fault(
        name="the greeting of an SSH server",
        act=sending(b"SSH-2.0-Invented_1.0\r\n", then_close=True),
        stage="accept",
        expect=broken(early=True),
    ),
    Fault(
        name="the greeting of a mail server",
        act=sending(b"220 mail.invented.example ESMTP\r\n", then_close=True),
        stage="accept",
        expect=broken(early=True),
    ),
    Fault(
        name="the frames of HTTP/2",
        act=sending(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64\0\4\0\1\0\0\0\5\0\0\x40\0", then_close=True),
        expect=GARBLED,
    ),
    Fault(
        name="the preface of HTTP/2", act=sending(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", then_close=True), expect=GARBLED
    ),
    Fault(
        name="HTTP/2.0 in the status line",
        act=sending(lambda wire: b"HTTP/2.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(wire.body), wire.body)),
        expect=WORKS,
    ),
    Fault(
        name="a request instead of a response",
        act=sending(b"GET / HTTP/1.1\r\nHost: invented.example\r\n\r\n"),
        expect=GARBLED,
    ),
    Fault(name="empty lines and nothing else", act=sending(b"\r\n" * 50, then_close=True), expect=GARBLED),
    Fault(name="HTTP/1.0 with a length", act=http_1_0, expect=WORKS),
    Fault(name="HTTP/1.0 without a length", act=to_the_end("close", whole=True, version="1.0"), expect=WORKS),
)
HEADS = themed(
    "Status line and headers",
    Fault(name="a status line without a reason", act=headed(status="200"), expect=WORKS),
    Fault(name="a status that is no number", act=headed(status="abc OK"), expect=GARBLED),
    Fault(name="a status of two digits", act=headed(status="20 OK"), expect=GARBLED),
    Fault(name="a status of four digits", act=headed(status="2000 OK"), expect=GARBLED),
    Fault(name="a negative status", act=headed(status="-200 OK"), expect=GARBLED),
    Fault(name="a status line of 1 MiB", act=headed(status="200 " + "X" * MEBIBYTE), expect=TOO_LARGE),
    Fault(name="a header of 1 MiB", act=headed("X-Invented: " + "x" * MEBIBYTE), expect=TOO_LARGE),
    Fault(name="a header's name of 1 MiB", act=headed("X" * MEBIBYTE + ": x"), expect=TOO_LARGE),
    Fault(name="a header line without end", act=endless_line, expect=TOO_LARGE),
    Fault(name="100 headers", act=headed(*(f"X-Invented-{number}: x" for number in range(100))), expect=WORKS),
    Fault(
        name="10,000 headers", act=headed(*(f"X-Invented-{number}: x" for number in range(10_000))), expect=TOO_LARGE
    ),
    Fault(
        name="headers of 60 KiB in all",
        act=headed(*(f"X-Invented-{number}: {'x' * 1000}" for number in range(60))),
        expect=WORKS,
    ),
    Fault(
        name="headers of 90 KiB in all",
        act=headed(*(f"X-Invented-{number}: {'x' * 1000}" for number in range(92))),
        expect=TOO_LARGE,
    ),
    Fault(name="headers without end", act=endless_headers, expect=TOO_LARGE),
    Fault(name="a header without a colon", act=headed("X-Invented"), expect=GARBLED),
    Fault(name="a header without a name", act=headed(": x"), expect=GARBLED),
    Fault(name="a space in a header's name", act=headed("X Invented: x"), expect=GARBLED),
    Fault(name="a NUL in a header", act=headed("X-Invented: x\0x"), expect=GARBLED),
    Fault(name="100 before the response", act=interim("100 Continue"), expect=WORKS),
    Fault(
        name="102 and 103 before the response",
        act=interim("102 Processing", "103 Early Hints\r\nLink: </invented.css>; rel=preload"),
        expect=WORKS,
    ),
    Fault(name="a thousand 100s before the response", act=interim("100 Continue", times=1000), expect=WORKS),
    Fault(
        name="100s without end",
        act=endless_interim,
        expect=reads(failed(DeadlineExceededError, 2), token=failed(DeadlineExceededError, 2)),
    ),
    Fault(name="100, and closed", act=sending(b"HTTP/1.1 100 Continue\r\n\r\n", then_close=True), expect=GARBLED),
    Fault(
        name="101 as the response",
        act=sending(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: invented\r\nConnection: upgrade\r\n\r\n"),
        expect=GARBLED,
    ),
    Fault(
        name="101 as the response, with a body",
        act=headed("Upgrade: invented", "Connection: upgrade", status="101 X"),
        expect=GARBLED,
    ),
)
LENGTHS = themed(
    "Where the body ends",
    Fault(name="chunked", act=chunked(b"0\r\n\r\n", then=""), expect=WORKS),
    Fault(name="chunked, with extensions", act=chunked(b"0;invented=1\r\n\r\n", then=""), expect=WORKS),
    Fault(name="chunked, with a trailer", act=chunked(b"0\r\nX-Invented: 1\r\n\r\n", then=""), expect=WORKS),
    Fault(name="chunked, reset after the last byte", act=chunked(b"0\r\n\r\n", then="reset"), expect=WORKS),
    Fault(name="chunked, closed in a chunk", act=chunked(b"ff\r\n[{", rest=False), expect=broken(body=True)),
    Fault(
        name="chunked, reset in a chunk", act=chunked(b"ff\r\n[{", rest=False, then="reset"), expect=broken(body=True)
    ),
    Fault(name="chunked, closed between two chunks", act=chunked(rest=False), expect=broken(body=True)),
    Fault(name="chunked, reset between two chunks", act=chunked(rest=False, then="reset"), expect=broken(body=True)),
    Fault(name="chunked, closed before the last chunk", act=chunked(), expect=END_MISSING),
    Fault(name="chunked, reset before the last chunk", act=chunked(then="reset"), expect=END_MISSING),
    Fault(name="chunked, closed in the last chunk", act=chunked(b"0\r\n"), expect=END_MISSING),
    Fault(
        name="a chunk size that is no number",
        act=chunked(b"zz\r\n[]\r\n", rest=False, then=""),
        expect=broken(body=True),
    ),
    Fault(name="a negative chunk size", act=chunked(b"-5\r\n[]\r\n", rest=False, then=""), expect=broken(body=True)),
    Fault(
        name="a chunk size over 64 bits",
        act=chunked(b"fffffffffffffffff\r\n[]\r\n", rest=False, then=""),
        expect=broken(body=True),
    ),
    Fault(name="an empty chunk size", act=chunked(b"\r\n[]\r\n", rest=False, then=""), expect=broken(body=True)),
    Fault(
        name="a chunk longer than declared",
        act=chunked(chunk(b"[" * 50, "1"), rest=False, then=""),
        expect=broken(body=True),
    ),
    Fault(name="a chunk extension of 16 KiB", act=chunked(b"0;" + b"x" * 16_384 + b"\r\n\r\n", then=""), expect=WORKS),
    Fault(
        name="a chunk extension of 1 MiB",
        act=chunked(b"0;" + b"x" * MEBIBYTE + b"\r\n\r\n", then=""),
        expect={**TOO_LARGE, "stream": failed(StreamInterruptedError, 1, delivered=3)},
    ),
    Fault(
        name="a trailer of 10,000 lines",
        act=chunked(b"0\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n", then=""),
        expect=END_MISSING,
    ),
    Fault(name="both lengths given", act=headed("Transfer-Encoding: chunked"), expect=GARBLED),
    Fault(name="an unknown Transfer-Encoding", act=headed("Transfer-Encoding: invented"), expect=GARBLED),
    Fault(
        name="two lengths that differ",
        act=several(lambda n: f"Content-Length: {n}\r\nContent-Length: {n + 1}"),
        expect=GARBLED,
    ),
    Fault(
        name="two lengths that are the same",
        act=several(lambda n: f"Content-Length: {n}\r\nContent-Length: {n}"),
        expect=GARBLED,
    ),
    Fault(name="two lengths in one line", act=several(lambda n: f"Content-Length: {n}, {n}"), expect=GARBLED),
    Fault(name="a negative length", act=several(lambda n: f"Content-Length: -{n}"), expect=GARBLED),
    Fault(name="a length with a plus", act=several(lambda n: f"Content-Length: +{n}"), expect=GARBLED),
    Fault(name="a length in hexadecimal", act=several(lambda n: f"Content-Length: {n:#x}"), expect=GARBLED),
    Fault(name="a length that is no number", act=several(lambda n: "Content-Length: many"), expect=GARBLED),
    Fault(name="an empty length", act=several(lambda n: "Content-Length: "), expect=GARBLED),
    Fault(name="a length over 64 bits", act=several(lambda n: f"Content-Length: {2**80}"), expect=GARBLED),
    Fault(name="a length one byte short", act=wrong_length(-1), expect=GARBLED),
    Fault(name="a length of 0, and a body", act=several(lambda n: "Content-Length: 0"), expect=GARBLED),
    Fault(name="no length, closed at the end", act=to_the_end("close", whole=True), expect=WORKS),
    Fault(name="no length, closed in the midst", act=to_the_end("close", whole=False), expect=CUT_UNNOTICED),
    Fault(name="no length, reset in the midst", act=to_the_end("reset", whole=False), expect=broken(body=True)),
)
