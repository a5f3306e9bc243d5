"""An HTTP response whose body is read piece by piece. It knows no HTTP library: the transport hands it a body stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from .._concurrency.cancel_scope import CancelScope
from ..errors import ArzamedError, TransportError
from .decompress import Decompressor, decompressor_for
from .inbound import Inbound
from .status import ERROR_BODY_BYTES

if TYPE_CHECKING:
    from ..models import Headers

__all__ = [
    "ERROR_BODY_SECONDS",
    "BodyStream",
    "HttpResponse",
    "Releasable",
    "WholeBody",
    "not_final",
    "read_body",
    "read_prefix",
    "read_timed_out",
]


class BodyStream(Protocol):
    """A body's bytes as they arrive: the methods used of an aiohttp.StreamReader."""

    def read_nowait(self) -> bytes:
        """Return the bytes received, which may be none."""
        ...

    async def readany(self) -> bytes:
        """Return the bytes received, or wait for some; empty at the end."""
        ...

    def at_eof(self) -> bool:
        """Return whether the whole body has been received and read."""
        ...


class Releasable(Protocol):
    """What is released when a response is closed."""

    def release(self) -> None:
        """Release it."""
        ...


def read_timed_out(host: str) -> TransportError:
    """Return the error for a server that sent no data within read_seconds."""
    return TransportError(f"read timed out: no data within read_seconds ({host})", read_timed_out=True)


def not_final(status: int, host: str) -> TransportError:
    """Return the error for a status below 200 that is not followed by a final response."""
    return TransportError(f"HTTP {status}, which is not a final response ({host})")


class WholeBody:
    """A body that has been received completely: a BodyStream."""

    __slots__ = ("_data", "total_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.total_bytes = len(data)

    def read_nowait(self) -> bytes:
        """Return the whole body; after that, nothing."""
        data, self._data = self._data, b""
        return data

    async def readany(self) -> bytes:
        """Return the rest."""
        return self.read_nowait()

    def at_eof(self) -> bool:
        """Return whether it has been read."""
        return not self._data


class HttpResponse:
    """A response whose body is still arriving. It must be closed: it holds slots and a connection.

    The body of an `uncoded` one has no transfer or content coding. `scope` is what ends a read that waits too
    long; a stream has a new one for each step.
    """

    __slots__ = (
        "_checked", "_close", "_compressed_held", "_content", "_decompressor", "_headers", "_host", "_pieces", "_slots", "_transport_error",
        "compressed_bytes", "scope", "status",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: BodyStream,
        close: Callable[[], None],
        host: str,
        scope: CancelScope,
        transport_error: Callable[[Exception, str], TransportError],
        slots: tuple[Releasable | None, ...],
        *,
        uncoded: bool = False,
    ) -> None:
        self._content = content
        self._close = close
        self._headers = headers
        self._host = host
        self._transport_error = transport_error
        self._pieces: Iterator[bytes] | None = None
        self._decompressor: Decompressor | None = None
        self._checked = uncoded
        self.scope = scope
        self._slots = slots
        self.status = status
        self.compressed_bytes = 0  # those received of a compressed body

    @property
    def headers(self) -> Headers:
        """The response's headers."""
        from ..models import Headers

        return Headers(list(self._headers.items()))

    def header(self, name: str) -> str | None:
        """Return the value of a header that is sent once, None if it is not sent."""
        return self._headers.get(name)

    def release_with(self, end: Releasable) -> None:
        """Release this as well when the response is closed."""
        self._slots = (*self._slots, end)

    def received_bytes(self) -> int:
        """Return the bytes of the body received so far, as they were sent."""
        return getattr(self._content, "total_bytes", 0)

    def read_within(self, scope: CancelScope) -> None:
        """Let this scope end the reads from now on."""
        self.scope = scope

    def delivered(self, kept: int) -> None:
        """Record that records are delivered, and that `kept` bytes are left of what was read: see Inbound.

        The compressed bytes that are not yet decompressed are held as well.
        """
        if isinstance(self._content, Inbound):
            self._content.delivered(kept if self._pieces is None else kept + self._compressed_held)

    def received(self) -> bytes | None:
        """Return the whole body if it has been received completely, without any coding; None where `read` is needed."""
        content = self._content
        if self._checked and self._decompressor is None and content.__class__ is WholeBody:
            return content.read_nowait()
        return None

    async def read(self, kept: int = 0, most: int = 0) -> bytes:
        """Return the next piece of the body, decompressed; empty at its end.

        The caller still has `kept` bytes, of `most` that it may come to keep: see ByteBudget. Raises TransportError
        (cut, corrupt, reset, timed out), DecodeError (a coding not requested).
        """
        if not self._checked:
            if self._headers.get("Transfer-Encoding", "chunked").lower() not in ("chunked", "identity"):
                raise TransportError("the body has a transfer coding that was not requested")  # and is not decoded
            self._checked = True
            if "Content-Encoding" in self._headers:
                return await self._read_first_compressed()
        if self._decompressor is None:
            return await self._read_raw(kept, most)
        while True:
            if self._pieces is not None:
                piece = next(self._pieces, None)
                if piece is not None:
                    return piece
                self._pieces = None
            data = await self._read_raw(kept, most)
            if not data:
                self._decompressor.finish()
                return b""
            self.compressed_bytes += len(data)
            self._compressed_held = len(data)
            self._pieces = self._decompressor.feed(data)

    def at_hand(self) -> bytes:
        """Return the next piece of what has been received of a compressed body; empty if there is none."""
        piece = next(self._pieces, b"") if self._pieces is not None else b""
        if not piece:
            self._pieces = None
        return piece

    async def _read_first_compressed(self) -> bytes:
        """Return the first piece of a compressed body: all of it if it is small and has been received completely."""
        decompressor = self._decompressor = decompressor_for(
            self.headers["Content-Encoding"]
        )  # all lines, if sent twice
        data = await self._read_raw(0, 0)
        if decompressor is None:
            return data
        self.compressed_bytes = self._compressed_held = len(data)
        if self._content.at_eof() and (body := decompressor.whole(data)) is not None:
            self._decompressor = None
            return body
        if not data:
            decompressor.finish()
            return b""
        self._pieces = decompressor.feed(data)
        return await self.read()

    def ended(self) -> bool:
        """Return whether the body has been read to its end; False for a compressed one, where that is not known."""
        return self._checked and self._decompressor is None and self._content.at_eof()

    async def _read_raw(self, kept: int, most: int) -> bytes:
        content = self._content
        scope = self.scope
        try:
            data = content.read_nowait()  # a small body often arrives with its headers
            if data or content.at_eof():
                return data
            if isinstance(content, Inbound):
                await content.room(kept, most, scope, self._headers)
            scope.expect_bytes()
            while True:
                data = await content.readany()
                if data or content.at_eof():
                    return data
        except asyncio.CancelledError:
            if not scope.read_timed_out():
                raise
            failure = read_timed_out(self._host)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends here
            failure = self._transport_error(error, self._host)
            self._close()  # a body that has failed may look as if it had ended
        finally:
            scope.got_bytes()
        raise failure

    def close(self) -> None:
        """Release the slots, and the connection: to the pool if the body was read to its end, otherwise it is closed."""
        content = self._content
        if content.__class__ is not WholeBody:  # its connection is in the pool already
            if not content.at_eof():
                self._close()
            if isinstance(content, Inbound):
                content.leave()
        slots, self._slots = self._slots, ()
        for slot in slots:
            if slot is not None:
                slot.release()


#: The status of an error is enough to go on: its body is not waited for longer than this, however slowly it arrives.
ERROR_BODY_SECONDS = 2.0


async def read_prefix(response: HttpResponse, *, strict: bool = False) -> bytes:
    """Return the first 64 KiB of the body, and close the response.

    If the body is interrupted or slow, returns the bytes received; with `strict` that is raised.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(None if strict else ERROR_BODY_SECONDS):
            while len(body) < ERROR_BODY_BYTES and (piece := await response.read(len(body), ERROR_BODY_BYTES)):
                body += piece
                if response.ended():
                    break
    except (ArzamedError, TimeoutError):
        if strict:
            raise
    finally:
        response.close()
    return bytes(body[:ERROR_BODY_BYTES])


async def read_body(response: HttpResponse, limit_bytes: int) -> bytes | None:
    """Return the whole body. If it is longer than the limit, closes the response and returns None."""
    body = bytearray()
    while piece := await response.read(len(body), limit_bytes):
        body += piece
        if len(body) > limit_bytes:
            response.close()
            return None
    return bytes(body)
