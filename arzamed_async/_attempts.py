"""What the attempts of a read and of a token request have in common."""

from __future__ import annotations

import asyncio

from ._answers import Answer
from ._protocol import ERROR_BODY_BYTES
from .config import RetryPolicy
from .errors import ArzamedError

__all__ = ["read_body", "read_some", "too_long"]

#: An error's status has said enough: its words are not waited for longer than this, however they drip.
ERROR_BODY_SECONDS = 2.0


def too_long(asked_seconds: float | None, policy: RetryPolicy, deadline: float | None) -> bool:
    """Tell whether the wait a server asked for is beyond the policy's cap, or would outlast the deadline."""
    if asked_seconds is None:
        return False
    late = deadline is not None and asyncio.get_running_loop().time() + asked_seconds >= deadline
    return late or asked_seconds > policy.retry_after_cap_seconds


async def read_some(answer: Answer, *, strict: bool = False) -> bytes:
    """Return the first 64 KiB of an answer and close it; of one that breaks, or drips, what came, unless `strict`."""
    body = bytearray()
    try:
        async with asyncio.timeout(None if strict else ERROR_BODY_SECONDS):
            while len(body) < ERROR_BODY_BYTES and (piece := await answer.read()):
                body += piece
                if answer.ended():
                    break
    except (ArzamedError, TimeoutError):
        if strict:
            raise
        # The status has said enough.
    finally:
        answer.close()
    return bytes(body[:ERROR_BODY_BYTES])


async def read_body(answer: Answer, limit_bytes: int) -> bytes | None:
    """Return the whole body, or None if it is longer than the limit; then the answer is closed."""
    body = bytearray()
    while piece := await answer.read():
        body += piece
        if len(body) > limit_bytes:
            answer.close()
            return None
    return bytes(body)
