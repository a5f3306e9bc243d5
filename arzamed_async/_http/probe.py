"""Tries what the direct lane does with aiohttp's parser, on responses in memory. No I/O.

aiohttp promises neither its parser of one response nor its request. Where a version has changed them, requests take the
ordinary lane, which is slower and needs less of aiohttp.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .._concurrency.byte_budget import ByteBudget
from .inbound import Flow, Inbound
from .parsed import Parsed, Received

__all__ = ["parser_works"]

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_WHOLE = _HEAD + b"2\r\n[]\r\n0\r\n\r\n"
_CUT = _HEAD + b"9\r\n[1,"
_LAST = (_WHOLE * 2, _WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), b"not HTTP\r\n\r\n")
_BUDGET_BYTES = 65_536


class _Still(asyncio.Transport):
    """A transport that is open and does nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def is_closing(self) -> bool:
        """Return False."""
        return False

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""


class _Witness:
    """Keeps what the parser reports of one response."""

    def __init__(self, loop: asyncio.AbstractEventLoop, data: bytes) -> None:
        self.outcome: Received | BaseException | None = None
        self.reader: Any = None
        self.returned = self.closed = False
        self.parser = Parsed(loop, self, _Still())
        self.parser.data_received(data)

    def forget(self) -> None:
        """Drop the outcome, and the tracebacks of its errors."""
        if isinstance(self.outcome, BaseException):
            _without_frames(self.outcome)
        if self.reader is not None:
            _without_frames(self.reader.exception())
        self.outcome = None

    def inbound(self, reader: Any, flow: Flow) -> Inbound:
        """Return the body that a reader receives."""
        self.reader = reader
        return Inbound(reader, ByteBudget(_BUDGET_BYTES, 1), flow)

    def end(self, outcome: Received | BaseException) -> None:
        """Keep the outcome."""
        self.outcome = outcome

    def give_back(self) -> None:
        """Note that the line would be released."""
        self.returned = True

    def give_back_soon(self) -> None:
        """Note that the line would be released."""
        self.returned = True

    def close(self) -> None:
        """Note that the line would be closed."""
        self.closed = True


def _without_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and of the errors that it is chained to: their frames hold those of the caller."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def parser_works(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether aiohttp's parser does what the direct lane needs. Whatever it raises propagates.

    It has to deliver a whole response, and to fail a body that was cut. After a response that ends the connection, one with
    bytes after it, and after what is not HTTP, the connection has to be closed.
    """
    whole, cut, *ends = witnesses = [_Witness(loop, data) for data in (_WHOLE, _CUT, *_LAST)]
    try:
        return _delivers(whole) and _fails_cut(cut) and all(each.closed and not each.returned for each in ends)
    finally:
        for witness in witnesses:
            witness.forget()


def _delivers(witness: _Witness) -> bool:
    if not isinstance(witness.outcome, tuple) or not witness.returned:
        return False
    status, headers, body, _ = witness.outcome
    return (status, headers["transfer-encoding"], body.read_nowait(), body.at_eof()) == (200, "chunked", b"[]", True)


def _fails_cut(witness: _Witness) -> bool:
    if not isinstance(witness.outcome, tuple) or witness.returned:
        return False
    body = witness.outcome[2]
    waits = body.read_nowait() == b"[1," and not body.at_eof()
    witness.parser.connection_lost(None)
    try:
        body.read_nowait()
    except Exception:  # noqa: BLE001 - a cut body has to raise: which class, `response` decides
        return waits
    return False
