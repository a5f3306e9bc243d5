"""Content codings undone piece by piece, so that no answer can swell beyond what the reader takes at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import DecodeError, TransportError

__all__ = ["ACCEPT_ENCODING", "Decompressor", "decompressor_for"]

#: What we ask for: only codings that we can undo with a bound on memory.
ACCEPT_ENCODING = "gzip, deflate"
PIECE_BYTES = 65_536
SLICE_BYTES = 4096
#: So many gzip members in a row that hold nothing, and the body is no honest one.
MOST_EMPTY_MEMBERS = 64

_GZIP_OR_ZLIB = 47  # window bits: 32 + 15, the header tells which
_RAW_DEFLATE = -15


class Decompressor:
    """Undoes gzip (RFC 1952) or deflate (RFC 1950; the raw RFC 1951 that some servers send is taken too)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._empty_members = 0
        self._head: bytes | None = b""  # what came before the first byte went out: a raw stream shows only there

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed pieces of `data`, each at most 64 KiB; TransportError if it is corrupt."""
        for start in range(0, len(data), SLICE_BYTES):  # what is left is copied for each member of a slice
            yield from self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        full = False  # a full piece may have more behind it, though all input is consumed
        while data or full:
            if self._stream.eof:  # a further gzip member (RFC 1952 section 2.2), or zeros to fill up a block
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                self._empty_members += 1
                if self._empty_members > MOST_EMPTY_MEMBERS:
                    raise TransportError("the compressed body is corrupt")
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
            raise TransportError("the compressed body is corrupt")
        if piece or self._head is None or len(self._head) > 1024:
            self._head = None
        else:
            self._head += data
        return piece

    def finish(self) -> None:
        """Say that the body has ended; TransportError if a stream had begun and has not (its trailer is missing)."""
        if not self._stream.eof and self._head != b"":
            raise TransportError("the compressed body was cut")


def decompressor_for(content_encoding: str | None) -> Decompressor | None:
    """Return what undoes a Content-Encoding, None where there is nothing to undo; DecodeError for one never asked for."""
    coding = (content_encoding or "identity").strip().lower()
    if coding in ("identity", ""):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Decompressor()
    raise DecodeError("the body has a content coding that was not asked for")
