"""`arzamed token`: what a clinic's token says of itself."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime, timezone
from typing import Any, cast

from arzamed_async import Clinic, Failure, Token

from .lines import Lines
from .running import Code, Request, code_of, leave, open_session, run
from .voice import Voice

__all__ = ["claims_of", "show_tokens"]

_TIMES = {"exp", "iat", "nbf", "auth_time"}


def show_tokens(request: Request, voice: Voice, *, reveal: bool) -> int:
    """Write what is known of each clinic's token; return the exit code."""
    try:
        return run(_show(request, voice, reveal=reveal))
    except KeyboardInterrupt:
        leave(Code.INTERRUPTED)


async def _token(clinic: Clinic) -> Token:
    return await clinic.token()


async def _show(request: Request, voice: Voice, *, reveal: bool) -> int:
    lines, failed = Lines(), 0
    async with open_session(request, voice) as session:
        outcomes = await session.gather(
            request.clinics, _token, concurrency=request.concurrency, deadline_seconds=request.deadline_seconds
        )
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failed += 1
            voice.failure(outcome.clinic, outcome.error)
            continue
        for line in _about(outcome.clinic, outcome.value, reveal=reveal):
            lines.write(line)
    return code_of(len(outcomes) - failed, failed)


def _about(clinic: str, token: Token, *, reveal: bool) -> list[str]:
    left = (token.expires_at - datetime.now(timezone.utc)).total_seconds()
    expires = f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC (in {max(0, left) / 60:.0f} min)"
    lines = [clinic, f"  expires  {expires}"]
    claims = claims_of(token.access_token)
    if claims is None:
        lines.append("  claims   none: the token is opaque")
    else:
        lines.append("  claims   (read from the token, its signature is not verified)")
        width = max(map(len, claims), default=0)
        lines += [f"    {name:<{width}}  {_claim(name, value)}" for name, value in claims.items()]
    lines.append(f"  token    {token.access_token}" if reveal else "  token    hidden (--reveal shows it)")
    return lines


def _claim(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return f"{value} ({datetime.fromtimestamp(value, timezone.utc):%Y-%m-%d %H:%M:%S} UTC)"
        except (OverflowError, OSError, ValueError):
            pass
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def claims_of(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT (RFC 7519 section 3) without verifying anything; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        text = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        claims = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else None
