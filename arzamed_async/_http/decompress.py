"""Decompresses a body piece by piece, so that a small response cannot fill the memory."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator

from ..errors import DecodeError, TransportError

__all__ = ["ACCEPT_ENCODING", "Decompressor", "decompressor_for"]

#: Only codings that can be decompressed with a bound on memory.
ACCEPT_ENCODING = "gzip, deflate"
PIECE_BYTES = 65_536
SLICE_BYTES = 4096
#: A body with more empty gzip members in a row is refused: each costs time and yields nothing.
MOST_EMPTY_MEMBERS = 64

_GZIP_OR_ZLIB = 47  # window bits: 32 + 15, the header decides
_RAW_DEFLATE = -15


class Decompressor:
    """Decompresses gzip (RFC 1952) or deflate (RFC 1950, and the raw RFC 1951 that some servers send)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._empty_members = 0
        self._head: bytes | None = b""  # input before the first output: a raw stream is recognised only there

    def whole(self, data: bytes) -> bytes | None:
        """Return all of a small body that has been received completely; None: it has to be fed.

        Most compressed bodies are such: one stream of at most one piece, with nothing after it.
        """
        stream, self._stream = self._stream, zlib.decompressobj(_GZIP_OR_ZLIB)
        piece = None
        if len(data) <= PIECE_BYTES:
            with contextlib.suppress(zlib.error):
                piece = stream.decompress(data, PIECE_BYTES)
        return piece if stream.eof and not stream.unused_data else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed pieces of `data`, each at most 64 KiB; TransportError if it is corrupt."""
        for start in range(0, len(data), SLICE_BYTES):  # zlib copies the rest of a slice for each gzip member in it
            yield from self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        full = False  # more may follow a full piece, though all input is consumed
        while data or full:
            if self._stream.eof:  # a further gzip member (RFC 1952 section 2.2), or zeros to fill up a block
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                self._empty_members += 1
                if self._empty_members > MOST_EMPTY_MEMBERS:
                    raise TransportError("the compressed body is corrupt", incomplete_body=True)
            piece = self._decompress(data)
            data = self._stream.unconsumed_tail or self._stream.unused_data
            full = len(piece) == PIECE_BYTES and not self._stream.eof
            if piece:
                self._empty_members = 0
                yield piece

    def _decompress(self, data: bytes) -> bytes:
        piece = None
        try:
            piece = self._stream.decompress(data, PIECE_BYTES)
        except zlib.error:
            if self._head is not None:
                raw = zlib.decompressobj(_RAW_DEFLATE)
                try:
                    piece = raw.decompress(self._head + data, PIECE_BYTES)
                except zlib.error:
                    pass
                else:
                    self._stream = raw
        if piece is None:
            raise TransportError("the compressed body is corrupt", incomplete_body=True)
        if piece or self._head is None or len(self._head) > 1024:
            self._head = None
        else:
            self._head += data
        return piece

    def finish(self) -> None:
        """Check the end of the body. Raises TransportError if the stream is incomplete, its trailer missing for instance."""
        if not self._stream.eof and self._head != b"":
            raise TransportError("the compressed body was cut", incomplete_body=True)


def decompressor_for(content_encoding: str | None) -> Decompressor | None:
    """Return a decompressor for a Content-Encoding, None if there is none. Raises DecodeError for a coding not requested."""
    coding = (content_encoding or "identity").strip().lower()
    if coding in ("identity", ""):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Decompressor()
    raise DecodeError("the body has a content coding that was not requested")
