"""`arzamed check`: does each clinic's key work?"""

from __future__ import annotations

from datetime import datetime

from arzamed_async import Clinic, Success

from .lines import Lines
from .progress import Counter
from .request import Request
from .running import code_of, run
from .session import open_session
from .voice import Voice, told

__all__ = ["check_clinics"]


def check_clinics(request: Request, voice: Voice) -> int:
    """Write a line for each clinic; return the exit code."""
    try:
        return run(_check(request, voice))
    except KeyboardInterrupt:
        voice.say("interrupted: not all clinics were checked")
        raise


async def _probe(clinic: Clinic) -> datetime:
    """Ask for a token, and read as much of a list as shows that it can be read."""
    token = await clinic.token()
    async with clinic.doctors.stream() as doctors:
        async for _ in doctors:
            break
    return token.expires_at


async def _check(request: Request, voice: Voice) -> int:
    lines, failed = Lines(), 0
    counter = Counter(voice, len(request.clinics), quiet=lines.terminal)
    with counter.shown():
        async with (
            open_session(request, voice) as session,
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
                    lines.write(
                        f"ok      {outcome.clinic}: token until {outcome.value:%H:%M:%S} UTC, doctors can be read"
                    )
                else:
                    failed += 1
                    lines.write(f"failed  {told(outcome.clinic, outcome.error)}")
    total = len(request.clinics)
    lines.write(f"{total - failed} of {total} clinics work")
    return code_of(total - failed, failed)
