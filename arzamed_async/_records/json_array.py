"""Parses a JSON array that arrives in pieces, in windows of complete elements. Bytes in, values out; no I/O.

There are two ways to find a cut. The fast one looks for the bytes that stand between two elements (learnt from
the first window, `},{"name"` perhaps) and lets orjson judge the window before them. The exact one
keeps count of brackets outside strings, each byte once, at C speed.

Why a judged window is right: its first byte stands where an element begins, and a JSON lexer's state
is a function of the bytes before. If `[` + window + `]` is valid, every string and bracket opened in
it is closed in it, and its last byte, a closing bracket (or whatever stands before a comma), ends an
element there and nowhere else. A window that orjson refuses on the fast way was cut inside an element,
and the exact way takes over; one refused on the exact way is not JSON.
"""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from ..errors import DecodeError, LimitExceededError, TransportError
from .json_cuts import DELTAS, comes_down, last_end, learn_separator

__all__ = ["MAX_DEPTH", "WINDOW_BYTES", "Digest", "JsonArrayParser", "parse_small_array"]

#: The deepest nesting that is read, the list itself included: orjson's own limit.
MAX_DEPTH = 1024

WINDOW_BYTES = 16_384
#: Fewer new bytes than this are scanned only if the last of them may end an element.
SMALL_BYTES = 512
FIRST_STEP_BYTES = 2048
#: After this many wrong guesses the fast way is given up for the rest of the list.
MOST_MISSES = 4

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\n\r"
_ENDS = frozenset(b"},] \t\n\r")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

# What may come next, seen from between two elements.
_START, _FIRST, _NEXT, _AFTER, _END = range(5)


class Digest(Protocol):
    """A hash object, as of hashlib."""

    def update(self, data: bytes | bytearray, /) -> None:
        """Add bytes."""


def parse_small_array(body: bytes) -> list[Any] | None:
    """Return the elements of a complete body; None if it is not a list (JsonArrayParser then raises the reason)."""
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return values if values.__class__ is list else None


class JsonArrayParser:
    """Parses a JSON array fed in pieces: feed bytes, take windows of decoded elements until there are none, feed again.

    A window is about `window_bytes` long, so that what a consumer does between two of them is never
    far away. `digest` is updated with exactly the bytes up to `delivered_bytes`.
    """

    def __init__(self, *, record_bytes: int, window_bytes: int = WINDOW_BYTES, digest: Digest | None = None) -> None:
        self._record_bytes = record_bytes
        self._window_bytes = min(window_bytes, record_bytes)
        self._digest = digest
        self._buffer = bytearray()
        self._state, self._count = _START, 0
        self._separator = b""
        self._misses, self._locates = 0, True
        self._looked = 0  # the bytes of the buffer that were searched in vain
        self._scanned = 0  # the bytes counted; the next two hold the state after them
        self._depth = 0
        self._in_string = False
        self.delivered_bytes = self.received_bytes = 0

    @property
    def complete(self) -> bool:
        """Whether the list's closing bracket has been read."""
        return self._state == _END

    def feed(self, chunk: bytes | bytearray) -> None:
        """Add bytes of the body."""
        self._buffer += chunk
        self.received_bytes += len(chunk)

    def next_window(self) -> list[Any] | None:
        """Return the next elements, or None: feed more, or `finish`.

        Raises DecodeError (not a list, not JSON) and LimitExceededError (an element over record_bytes).
        """
        if self._state != _NEXT:
            self._between()
        size = len(self._buffer)
        new = size - self._looked
        if new <= 0 or self._state not in (_FIRST, _NEXT):
            return None
        if new < SMALL_BYTES:
            last = self._buffer[-1]
            if last not in _ENDS and size <= self._record_bytes:
                return None
            if self._scanned == size - 1 and not self._in_string and self._count_one(last):
                self._looked = size
                return None
        elif self._separator:
            values = self._guess()
            if values is not None:
                return values
        values = self._exact()
        if values is None:
            self._looked = len(self._buffer)
        return values

    def finish(self) -> None:
        """Record the end of the body. Raises TransportError if it was cut, DecodeError if it is not a list."""
        if self._state != _NEXT:
            self._between()
        if self._state == _START:
            raise DecodeError("the body is empty")
        if self._state != _END:
            rest = JsonArrayParser(record_bytes=len(self._buffer) + 2)  # raises if what is left is not JSON
            rest._state, rest._count = self._state, self._count
            rest.feed(self._buffer + b" ")
            rest._drained()
            raise TransportError("the body ends before the list does")

    def rewind(self) -> None:
        """Forget what has not been delivered: the next bytes fed are those from `delivered_bytes` on."""
        self._buffer.clear()
        self._start_over()
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
                raise DecodeError("the body is not a JSON array")
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
        values = _decode(bytes(self._buffer[: cut + 1]))
        if values is None:
            self._misses += 1
            if self._misses >= MOST_MISSES:
                self._separator = b""
            return None
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
        if b"\\" in step:
            step = step.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        parts = step.split(b'"')
        inside = self._in_string
        brackets = b"".join(parts[inside::2]).translate(None, _NOT_BRACKETS)
        depth = self._depth
        opened = brackets.count(b"[") + brackets.count(b"{")
        closed = len(brackets) - opened
        self._scanned += len(step)
        self._in_string = inside ^ (len(parts) % 2 == 0)
        self._depth = depth + opened - closed
        if self._depth > MAX_DEPTH:
            raise DecodeError(f"nested more than {MAX_DEPTH} deep", record_index=self._count)
        if depth > 0 and not comes_down(brackets, depth, closed):
            return None
        # Strings become zeros of the same length, so that positions stay the same.
        start = 1 - inside
        parts[start::2] = map(bytes, map(len, parts[start::2]))
        return last_end(b'"'.join(parts), self._depth)

    def _deliver(self, end: int) -> list[Any] | None:
        window = bytes(self._buffer[:end])
        values = _decode(window)
        if values is None:
            raise DecodeError("not JSON", record_index=self._first_bad(window) if self._locates else None)
        if not values:  # nothing but white space before a comma or the closing bracket
            if self._state == _NEXT and self._buffer[end : end + 1] == b"]":
                raise DecodeError("a comma after the last record", record_index=self._count)
            raise DecodeError("a record is missing before a comma", record_index=self._count)
        self._count += len(values)
        if not self._separator and self._misses < MOST_MISSES:
            self._separator = learn_separator(bytes(self._buffer[: end + 256]))
        self._consume(end)
        self._state = _AFTER
        return values

    def _first_bad(self, window: bytes) -> int:
        """Return the index of the first element that is not JSON. It is searched for in steps that become finer."""
        start = good = 0
        for step in (4096, 256, 16, 1):
            probe = JsonArrayParser(record_bytes=len(window) + 2)
            probe._misses, probe._locates = MOST_MISSES, False
            probe.feed(b"[" + window[:start])
            good, probe._window_bytes = probe._drained(), step
            try:
                while start < len(window):
                    probe.feed(window[start : start + step])
                    good, start = good + probe._drained(), start + step
            except (DecodeError, LimitExceededError):
                continue  # search the bytes from `start` on in finer steps
            break
        return self._count + good

    def _drained(self) -> int:
        return sum(map(len, iter(self.next_window, None)))


def _decode(window: bytes) -> list[Any] | None:
    try:
        values: list[Any] = orjson.loads(b"[%b]" % window)
    except orjson.JSONDecodeError:
        return None  # its `doc` holds the window: nothing may chain to it
    return values
