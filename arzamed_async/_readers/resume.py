"""A stream that broke off is taken up again: the request is repeated, and what was delivered is checked and skipped."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from .._concurrency.cancel_scope import Scope
from .._http.response import Answer
from .._records.json_array import ArrayWindows
from ..errors import StreamInterruptedError

__all__ = ["DIGEST", "replay"]

#: It only has to tell one list from another; SHA-256 does so in hardware, faster than the bytes are decoded.
DIGEST = hashlib.sha256
#: How many pieces are skipped before other tasks are let in.
PIECES_A_TURN = 4


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
