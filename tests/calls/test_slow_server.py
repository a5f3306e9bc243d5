"""A server that sends nothing: what the error of the deadline advises."""

from __future__ import annotations

import asyncio

import pytest

from arzamed_async import ArzamedSession, DeadlineExceededError, RetryPolicy, Timeouts
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio


async def test_a_deadline_after_reads_that_timed_out_advises_to_raise_both() -> None:
    """More time for the call alone would be for more attempts of read_seconds each."""
    stopped = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    timeouts = Timeouts(total_seconds=1.0, read_seconds=0.05)
    patient = RetryPolicy(max_attempts=90, initial_backoff_seconds=0.01, max_backoff_seconds=0.01)
    async with FakeArzamed() as fake, ArzamedSession(base_url=url, timeouts=timeouts, retry=patient) as session:
        with pytest.raises(DeadlineExceededError, match="read timed out") as caught:
            await session.clinic(fake.add_clinic("Inventata")).doctors.list()
    stopped.set()
    server.close()
    await server.wait_closed()
    assert caught.value.read_timed_out
    assert "Timeouts.read_seconds and Timeouts.total_seconds" in str(caught.value)
