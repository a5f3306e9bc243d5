"""The end of the `arzamed` process: flush the output, then decide the exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from .interrupts import interrupts
from .streams import StandardStreams, UnwrittenError

__all__ = ["Code", "end_process"]

#: The errors of writing to a pipe or socket whose other end is closed.
_BROKEN = {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN}


class Code:
    """Exit codes. (After a signal: 128 plus its number, 130 for Ctrl-C and 143 for SIGTERM.)"""

    ALL = 0
    UNWRITTEN = 1
    USAGE = 2
    SOME_FAILED = 3
    NONE_WORKED = 4
    DRIFT = 5
    BROKEN_PIPE = 141  # 128 + SIGPIPE, as for a tool that this signal ends


def end_process(work: Callable[[], object]) -> NoReturn:
    """Do the work, flush, and end the process with the exit code that reports the outcome.

    However commands, Typer and Rich end, the streams and the signals decide.
    """
    interrupts.install()
    with StandardStreams() as streams:
        try:
            code = _outcome(work, streams)
        except KeyboardInterrupt:
            code = interrupts.code
        interrupts.reset()
        if interrupts.received is not None:
            with suppress(UnwrittenError):
                streams.flush()
            os._exit(code)  # a thread may hang in a name look-up, or on a pipe that nobody reads
    raise SystemExit(code)


def _outcome(work: Callable[[], object], streams: StandardStreams) -> int:
    code = Code.ALL
    try:
        try:
            work()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        streams.flush()
    except UnwrittenError:
        pass  # streams.out.error holds it, even where other code caught it
    if interrupts.received is not None:
        return code if streams.out.error is None else interrupts.code
    # A lost message does not change the outcome of a command, except a usage error: there it is all the output.
    problem = streams.out.error or (streams.err.error if code == Code.USAGE and streams.err.was_open else None)
    if problem is None:
        return code
    if problem.errno in _BROKEN:
        return Code.BROKEN_PIPE
    reason = problem.strerror or type(problem).__name__
    print(f"arzamed: the output cannot be written ({reason})", file=sys.stderr)  # noqa: T201 - needs no extra
    return Code.UNWRITTEN
