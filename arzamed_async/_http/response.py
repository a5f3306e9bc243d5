"""An HTTP answer, its body in pieces. It is made of what the HTTP library gives, and does not know that library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.semaphore import FairSemaphore
from ..errors import ArzamedError, TransportError
from ..models import Headers
from .decompress import Inflater, inflater
from .status import ERROR_BODY_BYTES

__all__ = ["ERROR_BODY_SECONDS", "Answer", "Content", "read_body", "read_some", "silence"]


class Content(Protocol):
    """A body's bytes, as they arrive: what is used of an aiohttp.StreamReader."""

    def read_nowait(self) -> bytes:
        """Return what has come, which may be nothing."""
        ...

    async def readany(self) -> bytes:
        """Return what has come, and wait if that is nothing; empty at the end."""
        ...

    def at_eof(self) -> bool:
        """Tell whether all has come and been read."""
        ...


def silence(host: str) -> TransportError:
    """Return the error for a server from which no byte came within read_seconds."""
    return TransportError(f"no byte within read_seconds ({host})")


class Answer:
    """An HTTP answer whose body is still on the way. Close it in any case: it holds slots.

    `scope` is what ends a read that waits too long; a stream has a new one for each step.
    """

    __slots__ = (
        "_checked", "_close", "_content", "_fault", "_headers", "_host", "_inflater", "_pieces", "_slots",
        "scope", "status",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: Content,
        close: Callable[[], None],
        host: str,
        scope: CancelScope,
        fault: Callable[[Exception, str], TransportError],
        slots: tuple[FairSemaphore | None, ...],
    ) -> None:
        self._content = content
        self._close = close
        self._headers = headers
        self._host = host
        self._fault = fault
        self._pieces: Iterator[bytes] | None = None
        self._inflater: Inflater | None = None
        self._checked = False
        self.scope = scope
        self._slots = slots
        self.status = status

    @property
    def headers(self) -> Headers:
        """The answer's headers."""
        return Headers(list(self._headers.items()))

    def header(self, name: str) -> str | None:
        """Return the value of a header that is sent once, None where it is not sent."""
        return self._headers.get(name)

    def read_within(self, scope: CancelScope) -> None:
        """Let this scope end the reads from now on."""
        self.scope = scope

    async def read(self) -> bytes:
        """Return the next piece of the body, decompressed; empty at its end.

        Raises TransportError (cut, corrupt, reset, timed out), DecodeError (a coding never asked for).
        """
        if not self._checked:
            if self._headers.get("Transfer-Encoding", "chunked").lower() not in ("chunked", "identity"):
                raise TransportError("the body has a transfer coding that was not asked for")  # and is not undone
            if "Content-Encoding" in self._headers:
                self._inflater = inflater(self.headers["Content-Encoding"])  # all of them, if it is sent twice
            self._checked = True
        if self._inflater is None:
            return await self._read_raw()
        while True:
            if self._pieces is not None:
                piece = next(self._pieces, None)
                if piece is not None:
                    return piece
                self._pieces = None
            data = await self._read_raw()
            if not data:
                self._inflater.finish()
                return b""
            self._pieces = self._inflater.feed(data)

    def ended(self) -> bool:
        """Tell whether the body is known to have been read to its end. (Of a compressed one that is not known.)"""
        return self._checked and self._inflater is None and self._content.at_eof()

    async def _read_raw(self) -> bytes:
        content = self._content
        scope = self.scope
        try:
            data = content.read_nowait()  # a small body has often come with its headers
            if data or content.at_eof():
                return data
            scope.expect_bytes()
            while True:
                data = await content.readany()
                if data or content.at_eof():
                    return data
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            fault = silence(self._host)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends here
            fault = self._fault(error, self._host)
            self._close()  # a body that has failed may look as if it had ended
        finally:
            scope.got_bytes()
        raise fault

    def close(self) -> None:
        """Let the connection go, back to the pool if the body was read to its end, else closed; and the slots."""
        if not self._content.at_eof():  # else it has gone back already
            self._close()
        slots, self._slots = self._slots, ()
        for slot in slots:
            if slot is not None:
                slot.release()


#: An error's status has said enough: its words are not waited for longer than this, however they drip.
ERROR_BODY_SECONDS = 2.0


async def read_some(answer: Answer, *, strict: bool = False) -> bytes:
    """Return the first 64 KiB of an answer and close it; of one that breaks, or drips, what came, unless `strict`."""
    body = bytearray()
    try:
        async with asyncio.timeout(None if strict else ERROR_BODY_SECONDS):
            while len(body) < ERROR_BODY_BYTES and (piece := await answer.read()):
                body += piece
                if answer.ended():
                    break
    except (ArzamedError, TimeoutError):
        if strict:
            raise
        # The status has said enough.
    finally:
        answer.close()
    return bytes(body[:ERROR_BODY_BYTES])


async def read_body(answer: Answer, limit_bytes: int) -> bytes | None:
    """Return the whole body, or None if it is longer than the limit; then the answer is closed."""
    body = bytearray()
    while piece := await answer.read():
        body += piece
        if len(body) > limit_bytes:
            answer.close()
            return None
    return bytes(body)
