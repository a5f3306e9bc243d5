"""Standard output and standard error, which keep their first write error, whichever code caught it."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from .interrupts import interrupts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Standard", "StandardStreams", "UnwrittenError"]

#: After a signal a write waits no longer than this for a pipe that nobody reads.
_LAST_WRITE_SECONDS = 1.0


class UnwrittenError(OSError):
    """Standard output cannot be written. Not a BrokenPipeError, at which Rich and Typer would end the process."""


class _Raw(Protocol):
    def write(self, data: ReadableBuffer, /) -> int | None: ...
    def fileno(self) -> int: ...
    def isatty(self) -> bool: ...


class Standard(io.RawIOBase):
    """The raw layer of a standard stream. It keeps its first error, and raises it if `raises` is set.

    A stream that was closed when the process started (`>&-`) cannot be written.
    """

    def __init__(self, raw: _Raw | None, *, raises: bool) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._raw = raw
        self._raises = raises

    @property
    def was_open(self) -> bool:
        """Whether the stream was open when the process started."""
        return self._raw is not None

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._raw.fileno() if self._raw is not None else super().fileno()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._raw is not None and self._raw.isatty()

    def discard(self) -> None:
        """Stop raising: bytes still buffered must not raise the same error again."""
        self._raises = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write part of the data; return the number of bytes written."""
        view = memoryview(data).cast("B")
        problem = self.error
        if problem is None:
            try:
                return self._write(view)
            except OSError as error:
                problem = self.error = error
        if self._raises:
            raise UnwrittenError(problem.errno, problem.strerror or type(problem).__name__)
        return len(view)

    def _write(self, view: memoryview) -> int:
        if self._raw is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        while True:
            if os.name == "posix" and (_in_main_thread() or interrupts.received is not None):
                # A signal must work while nobody reads, and must not fall between a write and its count.
                with interrupts.raising():
                    ready = _writable(self._raw, None if interrupts.received is None else _LAST_WRITE_SECONDS)
                if not ready:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                view = view[: select.PIPE_BUF]  # this much does not block
            written = self._raw.write(view)
            if written is not None:
                return written
            _writable(self._raw, None)  # another process made the pipe non-blocking


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _writable(raw: _Raw, seconds: float | None) -> bool:
    try:
        number = raw.fileno()
    except OSError:  # io.UnsupportedOperation: replaced in this process, by bytes in memory
        return True
    return bool(select.select([], [number], [], seconds)[1])


class StandardStreams:
    """A context in which sys.stdout and sys.stderr record their errors. Those of standard error are never raised."""

    def __enter__(self) -> Self:
        self._before = sys.stdout, sys.stderr
        _reserve_standard_descriptors()
        self.out, out = _guarded(sys.stdout, raises=True)
        self.err, err = _guarded(sys.stderr, raises=False)
        self._texts = sys.stdout, sys.stderr = out, err
        return self

    def flush(self) -> None:
        """Write the buffered bytes. Raises UnwrittenError."""
        for text in self._texts:
            text.flush()

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._before
        self.out.discard()
        self.flush()


def _guarded(stream: Any, *, raises: bool) -> tuple[Standard, TextIO]:
    if stream is None:
        guard = Standard(None, raises=raises)
        encoding = "utf-8"
    else:
        stream.flush()
        # Unbuffered (`python -u`), the buffer is the raw file itself.
        guard = Standard(getattr(stream.buffer, "raw", stream.buffer), raises=raises)
        encoding = stream.encoding
    text = io.TextIOWrapper(
        io.BufferedWriter(guard),
        encoding=encoding,
        errors="replace",  # a terminal with a smaller character set is no error
        line_buffering=not raises or guard.isatty(),
    )
    return guard, text


def _reserve_standard_descriptors() -> None:
    """Open the null device where 0, 1 or 2 is closed: a socket with such a number would receive messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
