"""Parses a JSON array that arrives in pieces, in windows of complete elements. Bytes in, values out; no I/O.

There are two ways to find a cut. The fast one looks for the bytes that stand between two elements (learnt from
the first window, `},{"name"` perhaps) and lets orjson judge the window before them. The exact one
keeps count of brackets outside strings, each byte once, at C speed.

Why a judged window is right: its first byte stands where an element begins, and a JSON lexer's state
is a function of the bytes before. If `[` + window + `]` is valid, every string and bracket opened in
it is closed in it, and its last byte, a closing bracket (or whatever stands before a comma), ends an
element there and nowhere else. A window that orjson refuses on the fast way was cut inside an element,
and the exact way takes over; one refused on the exact way is taken apart, so that its good elements come
out first, and the index of the bad one does not depend on how the body was cut into pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._json import Exact
from ..errors import DecodeError, LimitExceededError, TransportError
from .elements import decode_list, may_continue, take_apart
from .json_cuts import DELTAS, MAX_DEPTH, comes_down, last_end, learn_separator, masked, without_escapes

if TYPE_CHECKING:
    from .digest import Digest

__all__ = ["MAX_DEPTH", "WINDOW_BYTES", "JsonArrayParser"]

WINDOW_BYTES = 16_384
#: Fewer new bytes than this are scanned only if the last of them may end an element.
SMALL_BYTES = 512
FIRST_STEP_BYTES = 2048
#: What a window of no more than this expands to is little.
LARGE_BYTES = 2 * WINDOW_BYTES
#: After this many wrong guesses the fast way is given up for the rest of the list.
MOST_MISSES = 4
_ONE_OBJECT = "If this is one object and no list, use one()"
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\n\r"
_ENDS = frozenset(b"},] \t\n\r")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

# What may come next, seen from between two elements.
_START, _FIRST, _NEXT, _AFTER, _END = range(5)


class JsonArrayParser:
    """Parses a JSON array fed in pieces: feed bytes, take windows of decoded elements until there are none, feed again.

    A window is about `window_bytes` long, so that what a consumer does between two of them is never
    far away. `digest` is updated with exactly the bytes up to `delivered_bytes`. With `passing`, an element that
    is not JSON is a BadElement in its window, where its end can be found, instead of an error. `check_large` sees a
    window of more than LARGE_BYTES, which is one element, before it is decoded.
    """

    def __init__(
        self,
        *,
        record_bytes: int,
        window_bytes: int = WINDOW_BYTES,
        digest: Digest | None = None,
        passing: bool = False,
        check_large: Callable[[bytes], None] | None = None,
    ) -> None:
        self._record_bytes, self._check_large = record_bytes, check_large
        self._window_bytes = min(window_bytes, record_bytes)
        self._digest = digest
        self._passing = passing
        self._buffer = bytearray()
        self._state, self._count = _START, 0
        self._separator = b""
        self._misses = 0
        self._reason = ""  # why the next element is not JSON
        self._looked = 0  # the bytes of the buffer that were searched in vain
        self._scanned = 0  # the bytes counted; the next two hold the state after them
        self._depth = 0
        self._in_string = False
        self.delivered_bytes = self.received_bytes = 0
        self._source: bytes | Exact = b""  # of the last window

    @property
    def complete(self) -> bool:
        """Whether the list's closing bracket has been read."""
        return self._state == _END

    def feed(self, chunk: bytes | bytearray) -> None:
        """Add bytes of the body."""
        self._buffer += chunk
        self.received_bytes += len(chunk)

    def next_window(self, *, last: bool = False) -> list[Any] | None:
        """Return the next elements, or None: feed more, or `finish`. With `last`, nothing more will be fed.

        Raises DecodeError (not a list, not JSON) and LimitExceededError (an element over record_bytes).
        """
        if self._reason:
            raise DecodeError(self._reason, record_index=self._count)
        if self._state != _NEXT:
            self._between()
        size = len(self._buffer)
        new = size - self._looked
        if new <= 0 or self._state not in (_FIRST, _NEXT):
            return None
        if new < SMALL_BYTES:
            byte = self._buffer[-1]
            if byte not in _ENDS and size <= self._record_bytes and not last:
                return None
            if self._scanned == size - 1 and not self._in_string and self._count_one(byte):
                self._looked = size
                return None
        elif self._separator and (values := self._guess()) is not None:
            return values
        values = self._exact()
        if values is None:
            self._looked = len(self._buffer)
        return values

    def take_source(self) -> bytes | Exact:
        """Return what the last window was decoded from: see Decoder."""
        source, self._source = self._source, b""
        return source

    def finish(self) -> None:
        """Record the end of the body. Raises TransportError if it was cut, DecodeError if it is not a list."""
        while self.next_window(last=True) is not None:
            pass  # the index of the first bad element counts these
        if self._state == _START:
            raise DecodeError("the body is empty")
        if self._state != _END:
            self._check_rest()
            raise TransportError("the body ends before the list does", incomplete_body=True)

    def _check_rest(self) -> None:
        """Raise DecodeError if no further bytes could make an element of the first that have arrived."""
        if not may_continue(self._buffer[: self._record_bytes]):
            raise DecodeError("not JSON", record_index=self._count)

    def rewind(self) -> None:
        """Forget what has not been delivered: the next bytes fed are those from `delivered_bytes` on."""
        self._buffer.clear()
        self._start_over()
        self._reason = ""
        self.received_bytes = self.delivered_bytes

    def _start_over(self) -> None:
        self._looked = self._scanned = self._depth = 0
        self._in_string = False

    def _consume(self, end: int) -> None:
        """Drop the first bytes of the buffer: they are delivered."""
        if self._digest is not None:
            self._digest.update(self._buffer[:end])
        del self._buffer[:end]
        self.delivered_bytes += end
        self._start_over()

    def _between(self) -> None:
        """Consume white space, commas and the list's own brackets between two elements."""
        while True:
            if self._state == _START and self.delivered_bytes == 0 and not self._past_bom():
                return
            if self._buffer[:1].isspace():
                self._consume(len(self._buffer) - len(self._buffer.lstrip(_SPACE)))
            first = bytes(self._buffer[:1])
            if not first or self._state == _NEXT or (self._state == _FIRST and first != b"]"):
                return
            self._pass(first)

    def _past_bom(self) -> bool:
        """Skip a byte order mark (RFC 8259 section 8.1: a parser may ignore it). Return False if it may be incomplete."""
        head = bytes(self._buffer[:3])
        if head == _BOM:
            self._consume(3)
        return not (head and head != _BOM and _BOM.startswith(head))

    def _pass(self, first: bytes) -> None:
        """Consume a bracket of the list, or a comma between its elements."""
        if self._state == _END:
            raise DecodeError("the body has data after the end of the list")
        if self._state == _START:
            if first != b"[":
                raise DecodeError("the body is not a JSON array", remedy=_ONE_OBJECT * (first == b"{"))
            self._step(_FIRST)
        elif first == b"]":
            self._step(_END)
        elif first == b",":
            self._step(_NEXT)
        else:
            raise DecodeError("no comma after the record", record_index=self._count - 1)

    def _step(self, state: int) -> None:
        self._state = state
        self._consume(1)

    def _guess(self) -> list[Any] | None:
        """Take the fast way: cut at the last separator within the window, and let orjson judge."""
        separator = self._separator
        cut = self._buffer.rfind(separator, 0, self._window_bytes)
        if cut < 0:
            return None
        window = b"[%b]" % bytes(self._buffer[: cut + 1])
        values = decode_list(window)
        if values is None:
            self._misses += 1
            if self._misses >= MOST_MISSES:
                self._separator = b""
            return None
        self._source = window
        self._count += len(values)
        self._consume(self._buffer.index(b"{" if separator[:1] == b"}" else b"[", cut))
        self._state = _NEXT
        return values

    def _count_one(self, byte: int) -> bool:
        """Count one more byte. Return False if an element may end with it, which `_exact` has to examine."""
        depth = self._depth + DELTAS[byte]
        if depth <= 0 or depth > MAX_DEPTH:
            return False
        self._depth = depth
        self._scanned += 1
        return True

    def _exact(self) -> list[Any] | None:
        """Take the exact way: count the bytes not yet counted, and cut after the last element that ends there."""
        size = len(self._buffer)
        while self._scanned < size:
            if self._scanned >= self._record_bytes:
                self._check_rest()
                raise LimitExceededError(limit="record_bytes", limit_bytes=self._record_bytes)
            start = self._scanned
            # The first window is only needed to learn the separator: a short one will do.
            most = self._window_bytes if self._count or start else min(FIRST_STEP_BYTES, self._window_bytes)
            stop = min(start + most, self._record_bytes)
            step = bytes(self._buffer[start:stop])
            if (len(step) - len(step.rstrip(b"\\"))) % 2:  # an escape is counted whole
                step = step + self._buffer[stop : stop + 1] if stop < size else step[:-1]
                if not step:
                    return None
            end = self._count_step(step)
            if end is not None:
                return self._deliver(start + end)
        return None

    def _count_step(self, step: bytes) -> int | None:
        """Count one step; return where in it the last element that ends in it does, None if none does."""
        inside = self._in_string
        parts = without_escapes(step).split(b'"')
        brackets = b"".join(parts[inside::2]).translate(None, _NOT_BRACKETS)
        depth = self._depth
        opened = brackets.count(b"[") + brackets.count(b"{")
        closed = len(brackets) - opened
        self._scanned += len(step)
        self._in_string = inside ^ (len(parts) % 2 == 0)
        self._depth = depth + opened - closed
        end = None
        if depth <= 0 or comes_down(brackets, depth, closed):
            end = last_end(masked(step, inside=inside), self._depth)
        if end is None and self._depth > MAX_DEPTH:
            raise DecodeError(f"nested more than {MAX_DEPTH} deep", record_index=self._count)
        return end

    def _deliver(self, end: int) -> list[Any]:
        window = b"[%b]" % bytes(self._buffer[:end])
        if self._check_large is not None and end > LARGE_BYTES:
            self._check_large(window)
        values = decode_list(window)
        if values is None:
            return self._deliver_apart(end)
        if not values:
            raise self._nothing()
        self._source = window
        if not self._separator and self._misses < MOST_MISSES:
            self._separator = learn_separator(bytes(self._buffer[: end + 256]))
        return self._delivered(values, end)

    def _deliver_apart(self, end: int) -> list[Any]:
        if self._depth < 0:
            end = self._scanned  # with a bracket too many, the last `]` need not be that of the list
        apart = take_apart(bytes(self._buffer[:end]), passing=self._passing)
        self._reason = apart.reason
        if apart.values:
            self._source = apart.exact()
            return self._delivered(apart.values, apart.end)
        if apart.reason:
            raise DecodeError(apart.reason, record_index=self._count)
        raise self._nothing()

    def _delivered(self, values: list[Any], end: int) -> list[Any]:
        self._count += len(values)
        self._consume(end)
        self._state = _AFTER
        return values

    def _nothing(self) -> DecodeError:
        """Return the error for nothing but white space before a comma or a closing bracket."""
        what = "a comma after the last record"
        if self._buffer.lstrip(_SPACE)[:1] == b"," or self._state != _NEXT:
            what = "a record is missing before a comma"
        return DecodeError(what, record_index=self._count)
