"""A few faults by the clock on the wall: that the others' time passes quickly is not what ends their calls."""

from __future__ import annotations

import asyncio
import time

import pytest
from fault_server import DOCTORS_JSON, TOKEN_JSON, Act, Side
from faults_connection import drip_body, silence, within_body
from support import SECRET

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ClinicCredentials,
    DeadlineExceededError,
    RetryPolicy,
    Timeouts,
    TransportError,
)

BY_READ = Timeouts(read_seconds=0.2)
BY_DEADLINE = Timeouts(total_seconds=0.3)


@pytest.mark.parametrize(
    ("act", "at_once", "timeouts", "kind", "seconds"),
    [
        (silence, True, BY_READ, TransportError, 0.2),
        (silence, True, BY_DEADLINE, DeadlineExceededError, 0.3),
        (silence, False, BY_DEADLINE, DeadlineExceededError, 0.3),
        (within_body("silence"), False, BY_READ, TransportError, 0.2),
        (drip_body, False, BY_DEADLINE, DeadlineExceededError, 0.3),
    ],
    ids=["silence: read", "silence: total", "request: total", "body: read", "drip: total"],
)
@pytest.mark.asyncio
async def test_silence_and_drips_end_in_real_time(
    act: Act, at_once: bool, timeouts: Timeouts, kind: type[ArzamedError], seconds: float
) -> None:
    """Silence ends by read_seconds, and a drip by the deadline: not before, and not long after."""
    async with Side(TOKEN_JSON) as tokens, Side(DOCTORS_JSON) as api, asyncio.timeout(60):
        base_url = f"http://127.0.0.1:{api.port}"
        async with ArzamedSession(base_url=base_url, retry=RetryPolicy.none()) as session:
            clinic = session.clinic(ClinicCredentials("id", SECRET, f"http://127.0.0.1:{tokens.port}/token"))
            await clinic.token()
            api.arm(act, at_once=at_once)
            started = time.monotonic()
            with pytest.raises(kind) as caught:
                await clinic.with_options(timeouts=timeouts).doctors.list()
            assert type(caught.value) is kind
            assert time.monotonic() - started >= seconds - 0.01
            assert session.stats().pool.in_use == 0
