"""Faults of the connection: it does not come about, says nothing, or breaks off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from fault_model import Fault, Outcome, broken, failed, good, reads, reused, themed, works
from fault_server import DOCTORS_JSON, RECORD, Act, Side, Wire

from arzamed_async import DeadlineExceededError, Doctor, StreamInterruptedError


def late(tries: int = 2) -> dict[str, Outcome]:
    """Return what calls make of a server whose silence lasts until the deadline: each try waits read_seconds."""
    return reads(failed(DeadlineExceededError, tries), token=failed(DeadlineExceededError, tries))


async def reset(wire: Wire) -> None:
    wire.reset()


async def close(wire: Wire) -> None:
    wire.close()


async def silence(wire: Wire) -> None:
    await wire.silence()


async def reset_unread(wire: Wire) -> None:
    wire.writer.transport.pause_reading()
    await asyncio.sleep(0.1)  # the request has arrived, and lies unread in the system's buffer
    wire.reset()


async def close_unread(wire: Wire) -> None:
    wire.writer.transport.pause_reading()
    await asyncio.sleep(0.1)
    wire.close()


def said(data: bytes, then: str) -> Act:
    """Return the act of a server that says this much and then breaks off, or falls silent."""

    async def act(wire: Wire) -> None:
        await wire.send(data)
        await (wire.silence() if then == "silence" else asyncio.sleep(0))
        if then == "reset":
            wire.reset()
        elif then == "close":
            wire.close()

    return act


def within_body(then: str) -> Act:
    """Return the act of a server that breaks off within the body, or falls silent there."""

    async def act(wire: Wire) -> None:
        await wire.head(length=len(wire.body))
        await wire.begin()
        if then == "silence":
            await wire.silence()
        elif then == "reset":
            wire.reset()
        else:
            wire.close()

    return act


def behind_all(then: str) -> Act:
    """Return the act of a server that answers well, and then breaks the connection off."""

    async def act(wire: Wire) -> None:
        await wire.answer()
        if then == "reset":
            wire.reset()
        else:
            wire.close()

    return act


def behind_head(then: str) -> Act:
    """Return the act of a server that sends a head, and nothing of the body it tells of."""

    async def act(wire: Wire) -> None:
        await wire.head(length=len(wire.body))
        await said(b"", then)(wire)

    return act


async def closing(wire: Wire) -> None:
    await wire.answer(None, "Connection: close")
    wire.close()


async def closing_not(wire: Wire) -> None:
    await wire.answer(None, "Connection: close")
    await wire.silence()


async def keep_alive_zero(wire: Wire) -> None:
    await wire.answer(None, "Keep-Alive: timeout=0")


def stale(wire: Wire) -> bytes:
    """Return an answer nobody asked for, and nobody must take for the answer to the next request."""
    body = wire.body.replace(b"Inventata", b"Stale").replace(b"canary", b"stale")
    return b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def unasked(data: Callable[[Wire], bytes], *, at_once: bool) -> Act:
    """Return the act of a server that answers well, and then says more: at once, or when the connection is idle."""

    async def act(wire: Wire) -> None:
        if at_once:
            head = b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(wire.body)
            return await wire.send(head + wire.body + data(wire))
        await wire.answer()
        await asyncio.sleep(0.02)
        await wire.send(data(wire))
        await asyncio.sleep(0.02)

    return act


async def drip_head(wire: Wire) -> None:
    await wire.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100)


async def drip_body(wire: Wire) -> None:
    first, rest = wire.parts
    await wire.head(length=len(wire.body))
    await wire.begin(first)
    await wire.drip(rest)


def another(body: bytes) -> bytes:
    return body.replace(b"Inventata 0", b"Another one")


async def another_list(wire: Wire) -> None:
    if wire.side.struck == 1:
        return await within_body("close")(wire)
    await wire.answer(another(wire.body))


OTHER = [Doctor("Dr. Another one", RECORD), *(Doctor(f"Dr. Inventata {number}", RECORD) for number in (1, 2))]
#: What begins anew takes the list as it is now; a stream that has handed out a record of the old one cannot go on.
CHANGED = {
    **reads(good(OTHER, tries=2), get=good(another(DOCTORS_JSON), tries=2)),
    "token": good(tries=2),
    "later": failed(StreamInterruptedError, 2, delivered=1),
}
SILENT_BODY = {**late(), "later": failed(StreamInterruptedError, 4, delivered=1)}
DRIPPED_BODY = {**late(1), "later": failed(DeadlineExceededError, 1)}
#: A reused connection is given up after seconds; then a new one is waited for, in a fan-out as well, where that of the healthy
#: clinic is idle by then. (A token request is not given up.) aiohttp's lane reports no first byte: it waits.
SILENT_AGAIN = {**late(3), "token": late()["token"]}
if os.environ.get("ARZAMED_TESTS_LANE") == "aiohttp":
    SILENT_AGAIN = late()
WORKS = works()

CONNECTION = themed(
    "Connecting",
    Fault(name="connection refused", start=Side.refuse, stage="start", expect=broken(early=True)),
    Fault(name="host name not found", start=Side.lose_its_name, stage="start", tls=True, expect=broken(early=True)),
    Fault(name="connection not accepted (full queue)", start=Side.overflow, stage="start", expect=broken(early=True)),
    Fault(name="accepted, then silence", act=silence, stage="accept", expect=late()),
    Fault(name="reset on accept", act=reset, stage="accept", expect=broken(early=True)),
    Fault(name="closed on accept", act=close, stage="accept", expect=broken(early=True)),
    Fault(name="reset before the request is read", act=reset_unread, stage="accept", expect=broken(early=True)),
    Fault(name="closed before the request is read", act=close_unread, stage="accept", expect=broken(early=True)),
)

STATUS_LINE = b"HTTP/1.1 20"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"
#: How far an answer gets, and the act of a server that stops there.
PLACES: dict[str, Callable[[str], Act]] = {
    "after the request": lambda then: said(b"", then),
    "in the status line": lambda then: said(STATUS_LINE, then),
    "in the headers": lambda then: said(HEAD, then),
    "after the headers": behind_head,
    "in the body": within_body,
}


def stopping(place: str, then: str) -> Fault:
    """Return the fault of an answer that stops there: its connection is reset or closed, or falls silent."""
    in_body = place == "in the body"
    silent = SILENT_BODY if in_body else late()
    expect = silent if then == "silence" else broken(body=in_body)
    words = {"close": "closed"}.get(then, then)
    return Fault(name=f"{words} {place}", act=PLACES[place](then), expect=expect)


ANSWERING = themed(
    "The response is interrupted",
    *(stopping(place, then) for place in PLACES for then in ("reset", "close", "silence")),
    Fault(name="closed in the body, then another list", act=another_list, expect=CHANGED, differs=True),
    Fault(name="a head of one byte a second", act=drip_head, expect=late()),
    Fault(name="a body of one byte a second", act=drip_body, expect=DRIPPED_BODY),
)
KEPT_ALIVE = themed(
    "Connections kept alive",
    Fault(name="reset after the last byte", act=behind_all("reset"), expect=WORKS),
    Fault(name="closed after the last byte", act=behind_all("close"), expect=WORKS),
    Fault(name="reset under the second request", act=reset, warm=True, expect=reused(broken())),
    Fault(name="closed under the second request", act=close, warm=True, expect=reused(broken())),
    Fault(name="silence under the second request", act=silence, warm=True, expect=reused(SILENT_AGAIN)),
    Fault(name="Connection: close", act=closing, expect=WORKS),
    Fault(name="Connection: close, and left open", act=closing_not, expect=WORKS),
    Fault(name="Keep-Alive: timeout=0", act=keep_alive_zero, expect=WORKS),
    Fault(name="a second response after the first", act=unasked(stale, at_once=True), expect=WORKS),
    Fault(name="a second response, a while later", act=unasked(stale, at_once=False), expect=WORKS),
    Fault(
        name="half a response, a while later", act=unasked(lambda wire: stale(wire)[:30], at_once=False), expect=WORKS
    ),
    Fault(
        name="garbage after the response",
        act=unasked(lambda _wire: b"\0garbage\r\n\r\n", at_once=True),
        expect=broken(),
    ),
    Fault(name="garbage, a while later", act=unasked(lambda _wire: b"\0garbage\r\n\r\n", at_once=False), expect=WORKS),
)
