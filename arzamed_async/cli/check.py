"""`arzamed check`: reports whether each clinic's key works."""

from __future__ import annotations

from datetime import datetime

from arzamed_async import Clinic, Success
from arzamed_async._counted import counted

from .messages import StderrReporter, StdoutReport, format_failure
from .progress import Counter
from .request import Request
from .running import code_of, run
from .session import open_session
from .verbose import place_of

__all__ = ["check_clinics"]


def check_clinics(request: Request, reporter: StderrReporter) -> int:
    """Write a line for each clinic; return the exit code."""
    try:
        return run(_check(request, reporter))
    except KeyboardInterrupt:
        reporter.message("interrupted: not all clinics were checked")
        raise


async def _probe(clinic: Clinic) -> tuple[datetime, int]:
    """Request a token, and read the whole list of doctors; return when the token expires, and how many doctors there are."""
    token = await clinic.token()
    count = 0
    async with clinic.doctors.stream() as doctors:
        async for _ in doctors:
            count += 1
    return token.expires_at, count


async def _check(request: Request, reporter: StderrReporter) -> int:
    lines, failed = StdoutReport(), 0
    counter = Counter(reporter, len(request.clinics), quiet=lines.terminal)
    with counter.shown():
        async with (
            open_session(request, reporter) as session,
            session.fan_out(
                request.clinics,
                _probe,
                concurrency=request.concurrency,
                deadline_seconds=request.deadline_seconds,
                on_progress=counter.step,
            ) as outcomes,
        ):
            async for outcome in outcomes:
                if isinstance(outcome, Success):
                    until, count = outcome.value
                    lines.write(
                        f"ok      {outcome.clinic}: token until {until:%H:%M:%S} UTC, {counted(count, 'doctor')} read"
                    )
                else:
                    failed += 1
                    lines.write(f"failed  {format_failure(outcome.clinic, outcome.error)}")
    total = len(request.clinics)
    lines.write(
        f"{total - failed} of {counted(total, 'clinic')} {'works' if total == 1 else 'work'} ({place_of(request.base_url)})"
    )
    return code_of(total - failed, failed)
