"""Content codings, undone within bounds."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import DecodeError, TransportError
from arzamed_async._http.decompress import PIECE_BYTES, Decompressor, decompressor_for

TEXT = b"[" + b'{"name": "Dr. Inventata"},' * 20_000 + b"0]"


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:]),
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


def undo(coding: str, data: bytes, size: int) -> bytes:
    stream = decompressor_for(coding)
    assert stream is not None
    pieces = [piece for start in range(0, len(data), size) for piece in stream.feed(data[start : start + size])]
    stream.finish()
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding_in_any_chunks(coding: str, size: int) -> None:
    """Gzip (several members too), zlib and raw deflate come back whole, however they are cut, in pieces of 64 KiB at most."""
    assert undo(coding, CODINGS[coding](TEXT), size) == TEXT


@given(st.binary(max_size=300), st.sampled_from(list(CODINGS)), st.binary(max_size=3), st.integers(0, 20))
def test_all_at_once_is_what_pieces_give(data: bytes, coding: str, after: bytes, cut: int) -> None:
    """A small body undone at once is what it is in pieces, and where pieces meet an error it is left to them."""
    body = CODINGS[coding](data) + after
    body = body[: len(body) - cut]
    stream = decompressor_for(coding)
    assert stream is not None
    whole = stream.whole(body)
    if whole is not None:
        assert undo(coding, body, 7) == whole
    else:
        assert "gzip" not in coding or cut or after or coding == "x-gzip"
        assert b"".join(stream.feed(CODINGS[coding](data))) == data  # it begins anew


def test_at_once_is_for_what_stays_small() -> None:
    """Neither a bomb nor a body over 64 KiB is undone at once."""
    assert Decompressor().whole(gzip.compress(b"x" * PIECE_BYTES)) == b"x" * PIECE_BYTES
    assert Decompressor().whole(gzip.compress(b"x" * (PIECE_BYTES + 1))) is None
    assert Decompressor().whole(gzip.compress(random.Random(1).randbytes(PIECE_BYTES), 0)) is None


@given(st.binary(max_size=300), st.sampled_from(list(CODINGS)), st.integers(1, 50))
def test_any_bytes(data: bytes, coding: str, size: int) -> None:
    """Any bytes survive any coding and any chunking."""
    assert undo(coding, CODINGS[coding](data), size) == data


@pytest.mark.parametrize("coding", CODINGS)
def test_a_missing_trailer_is_a_cut_body(coding: str) -> None:
    """Without its last bytes a coding is a cut body, however much was read."""
    with pytest.raises(TransportError, match="cut"):
        undo(coding, CODINGS[coding](TEXT)[:-4], 4096)


def test_a_wrong_checksum_is_corrupt() -> None:
    """A gzip body whose checksum is wrong is refused, and nothing is chained to the error."""
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1
    with pytest.raises(TransportError, match="corrupt") as caught:
        undo("gzip", bytes(data), 4096)
    assert caught.value.__context__ is None


def test_what_is_not_compressed_at_all() -> None:
    """A body that is not what its header says is corrupt."""
    with pytest.raises(TransportError, match="corrupt"):
        undo("gzip", b"[1, 2, 3]", 4096)


def test_zeros_behind_the_end_are_padding() -> None:
    """Zeros that fill up a block behind a gzip body are no part of it."""
    assert undo("gzip", gzip.compress(TEXT) + bytes(500), 100) == TEXT


def test_a_bomb_comes_in_pieces() -> None:
    """A bomb of 1000:1 is handed out piece by piece, so that a limit can stop it."""
    stream = decompressor_for("gzip")
    assert stream is not None
    pieces = stream.feed(gzip.compress(bytes(10_000_000)))
    assert len(next(pieces)) == PIECE_BYTES


def test_codings_nobody_asked_for() -> None:
    """No coding needs no undoing; one we never ask for is a DecodeError; an empty body is no cut one."""
    assert decompressor_for(None) is decompressor_for("identity") is decompressor_for("") is None
    with pytest.raises(DecodeError):
        decompressor_for("br")
    empty = decompressor_for("gzip")
    assert empty is not None
    empty.finish()


def inflating() -> Decompressor:
    made = decompressor_for("gzip")
    assert made is not None
    return made


def test_empty_members_end_in_an_error() -> None:
    """A body of gzip members that hold nothing is refused; a few between others are not."""
    empty = gzip.compress(b"", mtime=0)
    good = gzip.compress(b"[1]", mtime=0)
    few = inflating()
    assert b"".join(few.feed((empty * 60 + good) * 5)) == b"[1]" * 5
    few.finish()
    with pytest.raises(TransportError, match="corrupt"):
        list(inflating().feed(empty * 10_000))
