"""`arzamed token`: shows when a clinic's token expires, and its claims."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from datetime import datetime, timezone
from itertools import islice
from typing import Any, cast

from arzamed_async import Clinic, ConfigurationError, Failure, Outcome, Token

from .failures import FailureLines
from .messages import StderrReporter, StdoutReport, cut
from .request import Request
from .running import code_of, run
from .session import open_session

__all__ = ["claims_of", "claims_table", "show_tokens"]

_TIMES = {"exp", "iat", "nbf", "auth_time"}
#: What is shown of a token: an issuer's are far below these.
_MOST_CLAIMS, _NAME_LENGTH, _VALUE_LENGTH = 64, 64, 1000


def show_tokens(request: Request, reporter: StderrReporter, *, reveal: bool) -> int:
    """Write each clinic's expiry and claims; return the exit code."""
    if reveal and len(request.clinics) > 1:
        raise ConfigurationError("--reveal writes one token: choose the clinic with --clinic")
    try:
        return run(_show(request, reporter, reveal=reveal))
    except KeyboardInterrupt:
        reporter.message("interrupted: not all tokens were requested")
        raise


async def _token(clinic: Clinic) -> Token:
    return await clinic.token()


async def _show(request: Request, reporter: StderrReporter, *, reveal: bool) -> int:
    report = _Report(request, reporter, reveal=reveal)
    try:
        async with (
            open_session(request, reporter, reads_api=False) as session,
            session.fan_out(
                request.clinics, _token, concurrency=request.concurrency, deadline_seconds=request.deadline_seconds
            ) as outcomes,
        ):
            async for outcome in outcomes:
                report.add(outcome)
    finally:
        report.write_rest()
    return code_of(report.worked, report.failed)


class _Report:
    """Writes outcomes in the order of the clinics, each as soon as all earlier ones are written."""

    def __init__(self, request: Request, reporter: StderrReporter, *, reveal: bool) -> None:
        self.worked = self.failed = 0
        self._names = iter([clinic.display_name for clinic in request.clinics])
        self._next = next(self._names, None)
        self._early: dict[str, Outcome[Token]] = {}
        self._lines, self._reveal = StdoutReport(), reveal
        self._failures = FailureLines(reporter, each=request.verbose)

    def add(self, outcome: Outcome[Token]) -> None:
        """Write the outcome, or keep it until its turn."""
        self._early[outcome.clinic] = outcome
        while self._next in self._early:
            self._write(self._early.pop(self._next))
            self._next = next(self._names, None)

    def write_rest(self) -> None:
        """Write the outcomes that still wait for their turn, where a signal has ended the run."""
        for name in self._names:
            if name in self._early:
                self._write(self._early.pop(name))
        self._failures.finish()

    def _write(self, outcome: Outcome[Token]) -> None:
        if isinstance(outcome, Failure):
            self.failed += 1
            self._failures.add(outcome.clinic, outcome.error)
            return
        self.worked += 1
        if self._reveal:
            sys.stdout.write(outcome.value.access_token + "\n")  # as it is, never wrapped
            sys.stdout.flush()
            return
        for line in _about(outcome.clinic, outcome.value):
            self._lines.write(line)


def _about(clinic: str, token: Token) -> list[str]:
    left = (token.expires_at - datetime.now(timezone.utc)).total_seconds()
    expires = f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC (in {max(0, left) / 60:.0f} min)"
    lines = [clinic, f"  expires  {expires}"]
    claims = claims_of(token.access_token)
    if claims is None:
        lines.append("  claims   none: the token is opaque")
    else:
        lines.append("  claims   (read from the token, its signature is not verified)")
        lines += claims_table(claims)
    lines.append("  token    hidden (--reveal shows it)")
    return lines


def claims_table(claims: dict[str, Any]) -> list[str]:
    """Return a line for each claim, the values in one column. A token cannot make it long or wide."""
    shown = [(cut(name, _NAME_LENGTH), _claim(name, value)) for name, value in islice(claims.items(), _MOST_CLAIMS)]
    width = max((len(name) for name, _ in shown), default=0)
    lines = [f"    {name:<{width}}  {value}" for name, value in shown]
    if len(claims) > len(shown):
        lines.append(f"    … and {len(claims) - len(shown):,} more")
    return lines


def _claim(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return f"{value} ({datetime.fromtimestamp(value, timezone.utc):%Y-%m-%d %H:%M:%S} UTC)"
        except (OverflowError, OSError, ValueError):  # no moment that a calendar has
            pass
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"
    return cut(text, _VALUE_LENGTH)


def claims_of(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT (RFC 7519 section 3) without verifying anything; None if it is not a JWT."""
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
