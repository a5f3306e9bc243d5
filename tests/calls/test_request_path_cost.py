"""What a warm call costs, in what does not drift: requests, tasks, memory kept, modules loaded. No test here has a clock."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio
from support import RawServer, json_answer, token_answer

from arzamed_async import ArzamedSession, Clinic, ClinicCredentials

WARMING = 50
CALLS = 200
#: What the interpreter itself keeps now and then (a longer table, a free list) is fewer blocks than this in CALLS calls.
NOISE = CALLS // 10
DOCTORS = [{"name": f"Dr. Inventata {n}", "profileImage": f"https://images.invented.example/{n}"} for n in range(20)]


async def read(clinic: Clinic) -> None:
    await clinic.doctors.list()


async def read_in_batches(clinic: Clinic) -> None:
    async for _ in clinic.doctors.batches():
        pass


async def take_token(clinic: Clinic) -> None:
    await clinic.token()


each_call = pytest.mark.parametrize("call", [read, read_in_batches, take_token])
Call = Callable[[Clinic], Awaitable[None]]


class Answers(asyncio.Protocol):
    """Responds, and keeps nothing of the requests: its memory is counted, too."""

    good = json_answer(200, DOCTORS)
    token = token_answer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            self.transport.write(self.good)
        elif data.startswith(b"POST "):  # its body may come after its head
            self.transport.write(self.token)


@pytest_asyncio.fixture
async def clinic() -> AsyncIterator[Clinic]:
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with ArzamedSession(base_url=f"{origin}/api/v1") as session:
        yield session.clinic(ClinicCredentials("invented", "invented", f"{origin}/token"))
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
async def test_a_warm_list_is_one_request() -> None:
    """A warm `list()` sends one request, fetches no token and opens no connection."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        for count in range(2, 6):
            await clinic.doctors.list()
            assert (server.api_requests, server.token_requests, server.connections) == (count, 1, 1)


@each_call
@pytest.mark.asyncio
async def test_a_warm_call_creates_no_task(clinic: Clinic, call: Call) -> None:
    """A warm call runs in its caller's task alone."""
    await call(clinic)
    await call(clinic)
    loop = asyncio.get_running_loop()
    created: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        created.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **options)

    loop.set_task_factory(factory)  # type: ignore[arg-type]
    try:
        for _ in range(5):
            await call(clinic)
    finally:
        loop.set_task_factory(None)
    assert created == []


@each_call
@pytest.mark.asyncio
async def test_a_warm_call_keeps_no_memory(clinic: Clinic, call: Call) -> None:
    """As many blocks of memory are in use after 200 warm calls as before them."""
    kept = []
    for calls in (WARMING, CALLS, CALLS, CALLS):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(calls):
            await call(clinic)
        gc.collect()
        kept.append(sys.getallocatedblocks() - before)
    assert min(map(abs, kept[1:])) < NOISE, kept  # what is kept by each call is kept in every series


@each_call
@pytest.mark.asyncio
async def test_a_warm_call_leaves_nothing_to_the_collector(clinic: Clinic, call: Call) -> None:
    """What a warm call has made goes with its end: there is no cycle for the garbage collector to find."""
    for _ in range(WARMING):
        await call(clinic)
    found = []
    for _ in range(3):
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                await call(clinic)
            found.append(gc.collect())
        finally:
            gc.enable()
    assert min(found) < NOISE, found  # what earlier tests have left may be found in one of them; each call's in all


def test_importing_loads_no_extra() -> None:
    """`import arzamed_async` loads none of its extras, nor what only they need."""
    code = "import sys, arzamed_async; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    extras = {f"arzamed_async.{extra}" for extra in ("cli", "dask", "otel", "stores", "testing")}
    libraries = {"dask", "distributed", "filelock", "opentelemetry", "platformdirs", "redis", "rich", "typer"}
    assert not loaded & (extras | libraries)
