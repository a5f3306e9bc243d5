"""Responses out of a seeded generator, and whether the scan reads each as aiohttp's parser does.

python tests/support/fuzz_responses.py CASES SEED      runs so many cases and prints what differs
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser

from arzamed_async._http.response_scan import RawHeaders, scan

VERSIONS = [b"HTTP/1.1"] * 30 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTPS/1.1", b"ICY"]
STATUSES = [b"200", b"201", b"204", b"205", b"301", b"304", b"401", b"404", b"429", b"500", b"503", b"599", b"101", b"100", b"099", b"600", b"20", b"2000", b"2x0", b"+20"]  # fmt: skip
REASONS = [b" OK", b" ", b"", b"  two", b" \xe9", b" a\tb", b" a\x00b", b" \x7f", b" a\rb"]
NAMES = [
    b"Content-Type", b"Date", b"Server", b"Set-Cookie", b"X-Request-Id", b"Connection", b"Keep-Alive", b"Upgrade", b"Trailer", b"TE",
    b"Transfer-Encoding", b"Content-Encoding", b"Content-Length", b"content-length", b"CONTENT-LENGTH", b"Proxy-Connection", b"Vary",
    b"Sec-WebSocket-Key1", b"Content-Length ", b" Content-Length", b"Content_Length", b"Content-Lengthy", b"Content-Lengt", b"", b"a b",
    b"X\x00", b"X\xe9", b"X(", b"transfer-encoding", b"connection", b"Host", b"Retry-After", b"Content-Range", b"Transfer-Encoding\t",
]  # fmt: skip
VALUES = [
    b"application/json", b"close", b"keep-alive", b"Keep-Alive", b"keep-alive, close", b"upgrade", b"chunked", b"identity", b"gzip", b"br",
    b"", b" ", b"\tx\t", b"x y", b"0", b"5", b"+5", b"-1", b"5, 5", b"05", b"99999999999999999999", b"\xe9", b"a\x00b", b"a\rb", b"a\nb", b"a\x0bb",
    b"x" * 200, b"5 ", b"keep-alive\t", b"websocket", b"gzip, chunked", b"h2c", b"\x7f", b"a\r\n b",
]  # fmt: skip
SEPARATORS = [b": "] * 20 + [b":", b":  ", b":\t", b" : ", b":\r\n ", b"", b"="]
ENDS = [b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n", b"", b"\n\r\n"]
AFTER = [b""] * 12 + [b"\r\n", b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"x", b"\0", b"HTTP/1.1 200"]


def response(chance: random.Random) -> bytes:
    """Return the bytes of a response: in many cases a plain one, in others anything."""
    usual = chance.random() < 0.5
    pick = chance.choice

    def end() -> bytes:
        return b"\r\n" if usual else pick(ENDS)

    body = chance.randbytes(pick([0, 1, 5, 30]))
    lines: list[bytes] = []
    for _ in range(pick([0, 1, 2, 3, 6])):
        name, value = (
            (pick(NAMES[:5]), pick(VALUES[:2])) if usual and chance.random() < 0.8 else (pick(NAMES), pick(VALUES))
        )
        lines.append(name + (b": " if usual else pick(SEPARATORS)) + value + end())
    for _ in range(1 if usual else pick([0, 1, 1, 1, 2])):
        length = len(body) if chance.random() < 0.9 else max(0, len(body) + pick([-1, 1, 10]))
        name = pick([b"Content-Length", b"content-length", b"Content-length"])
        sign = b"" if usual or chance.random() < 0.9 else pick([b"+", b"0", b"-", b" ", b"0x"])
        lines.insert(chance.randrange(len(lines) + 1), name + b": " + sign + str(length).encode() + end())
    start = b"HTTP/1.1 200 OK" if usual else pick(VERSIONS) + b" " + pick(STATUSES) + pick(REASONS)
    if chance.random() < 0.01:
        lines.extend([b"X-%d: y\r\n" % n for n in range(pick([55, 60, 61, 70, 120, 125, 130]))])
    if chance.random() < 0.005:
        lines.append(b"X-Long: " + b"x" * pick([7000, 8100, 8200, 9000]) + b"\r\n")
    data = bytearray(start + end() + b"".join(lines) + end() + body + pick(AFTER))
    if chance.random() < 0.3:
        for _ in range(pick([1, 1, 2])):
            place = chance.randrange(len(data) + 1)
            piece = pick(
                [
                    b"",
                    b"\r",
                    b"\n",
                    b" ",
                    b"\t",
                    b":",
                    b"\0",
                    b"\xff",
                    b"\r\n",
                    b"0",
                    b"c",
                    bytes([chance.randrange(256)]),
                ]
            )
            data[place : place + pick([0, 1, 1, 2])] = piece
    return bytes(data)


def parsed(loop: asyncio.AbstractEventLoop, data: bytes) -> Any:
    """Return what aiohttp's parser makes of it: status, headers and body of what may be reused; else None."""
    handler = ResponseHandler(loop)
    parser = HttpResponseParser(
        handler, loop, 2**18, read_until_eof=True, auto_decompress=False, max_line_size=8190, max_field_size=8190, max_headers=128
    )  # fmt: skip
    handler._parser = parser
    try:
        messages, upgraded, tail = parser.feed_data(data)
        ((message, body),) = messages
        if (
            message.code < 200
            or upgraded
            or tail
            or message.should_close
            or not body.is_eof()
            or parser.feed_eof() is not None
        ):
            return None
    except Exception:  # noqa: BLE001 - whatever it is, there is no response
        return None
    return (
        message.code,
        [(name.lower(), value.rstrip(" \t")) for name, value in message.headers.items()],
        body.read_nowait(),
    )


def compare(loop: asyncio.AbstractEventLoop, data: bytes) -> bool | None:
    """Return whether the scan reads this as aiohttp's parser does; None where it leaves it to that."""
    found = scan(data)
    if found is None:
        return None
    status, head, body, coded = found
    headers = RawHeaders(head)
    whole = (status, [(name.lower(), value) for name, value in headers.items()], body)
    return parsed(loop, data) == whole and coded is ("Content-Encoding" in headers)


def run(cases: int, seed: int) -> tuple[int, list[bytes]]:
    """Return how many of these cases the scan has taken, and those that it reads otherwise."""
    chance = random.Random(seed)
    loop = asyncio.new_event_loop()
    taken = 0
    wrong: list[bytes] = []
    try:
        for _ in range(cases):
            data = response(chance)
            same = compare(loop, data)
            taken += same is not None
            if same is False:
                wrong.append(data)
    finally:
        loop.close()
    return taken, wrong


if __name__ == "__main__":
    number, differing = run(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(
        f"{sys.argv[1]} responses, seed {sys.argv[2]}: {number} recognised, {len(differing)} read otherwise\n"
    )
    for each in differing[:10]:
        sys.stdout.write(f"{each!r}\n")
    sys.exit(bool(differing))
