"""A stream that broke off is taken up again: the request is repeated, and what was delivered is checked and skipped."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from ._answers import Answer
from ._calls import Call, Target
from ._engine import Engine, Options
from ._json_array import ArrayWindows
from ._scope import Scope
from .errors import ArzamedError, StreamInterruptedError, TransportError

__all__ = ["DIGEST", "Resume", "replay"]

#: It only has to tell one list from another; SHA-256 does so in hardware, faster than the bytes are decoded.
DIGEST = hashlib.sha256
#: How many pieces are skipped before other tasks are let in.
PIECES_A_TURN = 4


class Resume(Call[None]):
    """The call that repeats a broken one. What broke it counts as its first attempt, so that it waits before the next.

    `tries_left` is how many requests the stream may still make.
    """

    __slots__ = ("tries_left",)

    def __init__(
        self,
        engine: Engine,
        target: Target,
        options: Options,
        use: Callable[[Answer], Awaitable[None]],
        broken: TransportError,
        tries_left: int,
    ) -> None:
        super().__init__(engine, target, options, use, keep=True)
        self.attempts = broken.attempts
        self.tries = 1
        self.tries_left = tries_left

    async def attempt(self) -> None:
        """See Attempts."""
        self.tries_left -= 1
        await super().attempt()

    def wait_for(self, error: ArzamedError) -> float | None:
        """See Attempts."""
        if self.tries_left <= 0:
            raise error
        return super().wait_for(error)


async def replay(answer: Answer, windows: ArrayWindows, digest: Any, scope: Scope, seconds: float) -> None:
    """Read past what was delivered, and leave `windows` at what comes next.

    Each piece that arrives is progress, and sets the scope's deadline anew. Raises
    StreamInterruptedError if these are not the bytes that were delivered, TransportError if they break off.
    """
    seen = DIGEST()
    left = windows.delivered_bytes
    rest = b""
    pieces = 0
    while left:
        piece = await answer.read()
        pieces += 1
        if pieces % PIECES_A_TURN == 0:  # one chunk of a compressed body may hold thousands
            await asyncio.sleep(0)
        scope.extend_by(seconds)
        if not piece:
            break
        seen.update(piece[:left])
        rest = piece[left:]
        left -= min(left, len(piece))
    if left or seen.digest() != digest.digest():
        raise StreamInterruptedError("asked for again, the list was another")
    windows.rewind()
    if rest:
        windows.feed(rest)
