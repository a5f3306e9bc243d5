"""A stream that is half-way when its process forks."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from support import RawServer, Request, token_answer

from arzamed_async import ArzamedSession, ConfigurationError, Doctor, RecordStream

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
RECORDS = [{"name": f"Dr. Inventata {number}", "profileImage": None} for number in range(2_000)]


async def rest(doctors: RecordStream[Doctor]) -> list[Doctor]:
    """Read what is left."""
    return [doctor async for doctor in doctors]


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_the_parent_reads_on_and_the_child_is_told_that_it_cannot() -> None:
    """The parent receives every record once, by one request; the child's step fails at once, and leaves the socket alone."""
    go_on = asyncio.Event()

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        body = json.dumps(RECORDS).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
        await writer.drain()
        await go_on.wait()
        writer.write(body[len(body) // 2 :])

    async with RawServer(respond) as server, ArzamedSession(base_url=server.base_url) as session:
        async with session.clinic(server.credentials()).doctors.stream() as doctors:
            received = [await anext(doctors) for _ in range(10)]
            reads, writes = os.pipe()
            if not (child := os.fork()):  # pragma: no cover - in a process of its own
                outcome = b"nothing was raised"
                try:
                    rest(doctors).send(None)  # nothing runs a loop here: the first wait would return
                    outcome = b"it waits"
                except ConfigurationError as error:
                    outcome = str(error).encode()
                except BaseException as error:  # noqa: BLE001 - it is reported
                    outcome = repr(error).encode()
                os.write(writes, outcome)
                os._exit(0)
            os.close(writes)
            outcome = await asyncio.to_thread(os.read, reads, 4096)
            os.close(reads)
            await asyncio.to_thread(os.waitpid, child, 0)
            go_on.set()
            received += await rest(doctors)
        assert [doctor.name for doctor in received] == [each["name"] for each in RECORDS]
        assert len([request for request in server.requests if not request.is_token]) == 1
        assert b"forked" in outcome, outcome
