"""Faults of the body: what is in it, and in which characters; and the content codings."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable

from fault_model import END_MISSING, Fault, Outcome, broken, failed, fatal, good, reads, themed, works
from fault_server import DOCTORS_JSON, Act, Wire

from arzamed_async import (
    DecodeError,
    ForbiddenError,
    LimitExceededError,
    StatusError,
    StreamInterruptedError,
    TokenError,
)

HTML = b"<!doctype html><title>Invented gateway</title><h1>Please log in</h1>"
BOM = b"\xef\xbb\xbf"


def with_body(change: Callable[[bytes], bytes], *headers: str, status: str = "200 X") -> Act:
    """Return the act of a server whose good body is changed so, or replaced."""

    async def act(wire: Wire) -> None:
        await wire.answer(change(wire.body), *headers, status=status)

    return act


def body(name: str, change: Callable[[bytes], bytes], *headers: str, status: str = "200 X") -> Fault:
    """Return the fault of a body that is no JSON, or none as it should be; `get` hands it on as it is."""
    expect = fatal(DecodeError, get=good(change(DOCTORS_JSON)))
    return Fault(name=name, act=with_body(change, *headers, status=status), expect=expect)


def bodiless(status: str) -> Act:
    """Return the act of a server that answers so, with no body and no length."""

    async def act(wire: Wire) -> None:
        await wire.head(status)

    return act


def told(name: str, change: Callable[[bytes], bytes], *headers: str) -> Fault:
    """Return the fault of a body that is right, and sent in an odd way."""
    return Fault(name=name, act=with_body(change, *headers), expect=works(change(DOCTORS_JSON)))


def same(data: bytes) -> bytes:
    return data


EMPTY = fatal(DecodeError, get=good(b""))

BODIES = themed(
    "What is in the body",
    Fault(name="200 with an empty body", act=with_body(lambda _: b""), expect=EMPTY),
    Fault(name="204", act=bodiless("204 No Content"), expect=EMPTY),
    Fault(name="204 with a body", act=with_body(same, status="204 No Content"), expect=broken()),
    Fault(name="205", act=with_body(lambda _: b"", status="205 Reset Content"), expect=EMPTY),
    Fault(name="304", act=bodiless("304 Not Modified"), expect=fatal(StatusError)),
    body("HTML with 200", lambda _: HTML, "Content-Type: text/html"),
    body("HTML with 200, declared as JSON", lambda _: HTML, "Content-Type: application/json"),
    body("XML", lambda _: b'<?xml version="1.0"?><doctors/>'),
    body("a form's encoding", lambda _: b"access_token=invented&token_type=bearer&doctors=none"),
    body("white space alone", lambda _: b" \r\n\t "),
    body("cut JSON after a good one", lambda data: data + b"[{"),
    body("UTF-16", lambda data: data.decode().encode("utf-16")),
    body(
        "UTF-16, declared",
        lambda data: data.decode().encode("utf-16-le"),
        "Content-Type: application/json; charset=utf-16le",
    ),
    body("UTF-32", lambda data: data.decode().encode("utf-32")),
    body("invalid UTF-8", lambda data: data.replace(b"canary", b"c\xff\xfe")),
    body(
        "Latin-1, declared",
        lambda data: data.replace(b"canary", "canàrino".encode("latin-1")),
        "Content-Type: application/json; charset=iso-8859-1",
    ),
    body("an overlong UTF-8 form", lambda data: data.replace(b"canary", b"\xc0\xaf")),
    body("a NUL before it", lambda data: b"\0" + data),
    body("NULs after it", lambda data: data + b"\0" * 100),
    told("a wrong Content-Type", same, "Content-Type: text/plain"),
    told("no Content-Type that could be read", same, "Content-Type: ;;=;"),
    told("a wrong charset", same, "Content-Type: application/json; charset=utf-16"),
    told("a charset nobody knows", same, "Content-Type: application/json; charset=invented"),
    told("a byte order mark", lambda data: BOM + data),
    told("white space around it", lambda data: b"\r\n " + data + b" \r\n" * 200),
)

# Content codings

BITS = {"gzip": 31, "deflate": 15, "raw deflate": -15}
TRAILERS = {"gzip": 8, "deflate": 4}
BOMB_BYTES = 16 * 1024 * 1024


@functools.lru_cache(maxsize=64)
def squeezed(coding: str, first: bytes, rest: bytes, *, finish: bool = True) -> tuple[bytes, bytes]:
    """Return the two parts compressed as one body; the first can be undone by itself."""
    press = zlib.compressobj(wbits=BITS[coding])
    start = press.compress(first) + press.flush(zlib.Z_SYNC_FLUSH)
    return start, press.compress(rest) + press.flush(zlib.Z_FINISH if finish else zlib.Z_SYNC_FLUSH)


def good_coding(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    return squeezed(coding, first, rest)


def wrong_checksum(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    start, end = squeezed(coding, first, rest)
    trailer = TRAILERS[coding]
    return start, end[:-trailer] + bytes([end[-trailer] ^ 1]) + end[len(end) - trailer + 1 :]


def cut(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    return squeezed(coding, first, rest)[0], b""


def no_trailer(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    if coding == "raw deflate":
        return squeezed(coding, first, rest, finish=False)
    start, end = squeezed(coding, first, rest)
    return start, end[: -TRAILERS[coding]]


def garbage(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    return squeezed(coding, first, rest)[0], b"\xff" * 50


def bomb(coding: str, first: bytes, rest: bytes) -> tuple[bytes, bytes]:
    return squeezed(coding, first, b" " * BOMB_BYTES)


Damage = Callable[[str, bytes, bytes], tuple[bytes, bytes]]

WHOLE_BUT_UNSURE = {**END_MISSING, "later": failed(StreamInterruptedError, 4, delivered=3)}
TOO_LARGE = {**fatal(LimitExceededError), "later": failed(LimitExceededError)}
DAMAGES: dict[str, tuple[Damage, dict[str, Outcome]]] = {
    "good": (good_coding, works(body=True)),
    "its checksum is wrong": (wrong_checksum, broken(body=True)),
    "cut": (cut, broken(body=True)),
    "without its trailer": (no_trailer, WHOLE_BUT_UNSURE),
    "garbage in it": (garbage, broken(body=True)),
    "1000:1 bomb": (bomb, TOO_LARGE),
}


def coded(coding: str, damage: Damage) -> Act:
    """Return the act of a server whose body is compressed, and damaged so."""

    async def act(wire: Wire) -> None:
        start, end = damage(coding, *wire.parts)
        await wire.head("200 X", f"Content-Encoding: {coding.rpartition(' ')[2]}", length=len(start) + len(end))
        await wire.begin(start)
        if end:
            await wire.send(end)

    return act


ERROR_TEXT = "invented reason"
ERROR_JSON = json.dumps({"error": ERROR_TEXT}).encode()


def coded_error(coding: str, damage: Damage) -> Act:
    """Return the act of a server whose refusal has a body that is compressed, and damaged so."""

    async def act(wire: Wire) -> None:
        start, end = damage(coding, ERROR_JSON[:10], ERROR_JSON[10:])
        header = f"Content-Encoding: {coding.rpartition(' ')[2]}"
        await wire.answer(start + end, header, status="403 Forbidden")

    return act


def refused(damage: str) -> dict[str, Outcome]:
    """Return what calls make of a 403: its status says enough; its words are read where they can be."""
    if damage != "good":
        return fatal(ForbiddenError)
    return reads(failed(ForbiddenError, message=ERROR_TEXT), token=failed(TokenError, error=ERROR_TEXT, status=403))


def foreign(name: str, *headers: str) -> Fault:
    """Return the fault of a coding that was never asked for."""
    return Fault(name=name, act=with_body(same, *headers), expect=fatal(DecodeError))


def pressed_twice(data: bytes) -> bytes:
    return zlib.compress(zlib.compress(data, wbits=31), wbits=31)


PAIRS = [
    (coding, damage)
    for coding in BITS
    for damage in DAMAGES
    if (coding, damage) != ("raw deflate", "its checksum is wrong")
]

CODINGS = themed(
    "Compressed bodies",
    *(
        Fault(name=f"{coding}: {damage}", act=coded(coding, DAMAGES[damage][0]), expect=DAMAGES[damage][1])
        for coding, damage in PAIRS
    ),
    Fault(name="gzip declared, not compressed", act=with_body(same, "Content-Encoding: gzip"), expect=broken()),
    Fault(name="deflate declared, not compressed", act=with_body(same, "Content-Encoding: deflate"), expect=broken()),
    Fault(name="gzip declared, empty", act=with_body(lambda _: b"", "Content-Encoding: gzip"), expect=EMPTY),
    Fault(name="identity declared", act=with_body(same, "Content-Encoding: identity"), expect=works()),
    foreign("br, not requested", "Content-Encoding: br"),
    foreign("zstd, not requested", "Content-Encoding: zstd"),
    foreign("a coding nobody knows", "Content-Encoding: invented"),
    Fault(
        name="gzip twice, in one header",
        act=with_body(pressed_twice, "Content-Encoding: gzip, gzip"),
        expect=fatal(DecodeError),
    ),
    Fault(
        name="gzip twice, in two headers",
        act=with_body(pressed_twice, "Content-Encoding: gzip", "Content-Encoding: gzip"),
        expect=fatal(DecodeError),
    ),
)
CODED_ERRORS = themed(
    "Compressed bodies of a 403",
    *(
        Fault(name=f"403, {coding}: {damage}", act=coded_error(coding, DAMAGES[damage][0]), expect=refused(damage))
        for coding, damage in PAIRS
    ),
    Fault(
        name="403, br, not requested",
        act=with_body(lambda _: ERROR_JSON, "Content-Encoding: br", status="403 X"),
        expect=fatal(ForbiddenError),
    ),
)
