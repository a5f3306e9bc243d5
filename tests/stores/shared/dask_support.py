"""What the tests of the fan-out on Dask need; workers import it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs

from arzamed_async import Clinic, ClinicCredentials, SecretFromFile
from arzamed_async.testing import FakeArzamed


class Clinics:
    """Invented clinics, whose secrets the workers read from files."""

    def __init__(self, fake: FakeArzamed, folder: Path) -> None:
        self.fake = fake
        self.folder = folder

    def __call__(self, count: int) -> list[ClinicCredentials]:
        return [self.add(f"c{n}") for n in range(count)]

    def add(self, name: str) -> ClinicCredentials:
        given = self.fake.add_clinic(name, doctors=[f"Dr. Inventata {name}"])
        path = self.folder / f"{name}.secret"
        path.write_text(str(given.client_secret))
        return attrs.evolve(given, client_secret=SecretFromFile(path))


class Gate:
    """A file that a fetch, in whatever process, waits for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        self.path.touch()

    async def passed(self) -> None:
        while not self.path.exists():
            await asyncio.sleep(0.01)


async def names(clinic: Clinic) -> list[str]:
    return [doctor.name for doctor in await clinic.doctors.list()]


def bounded() -> asyncio.Timeout:
    """Bound what comes about soon; a hundred seconds are for machines that are very busy."""
    return asyncio.timeout(100)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with bounded():
        while not await true():
            await asyncio.sleep(0.02)


async def cleared(cluster: Any, client: Any) -> None:
    """Wait until nothing of a fan-out is left: tasks and queues on the scheduler, tasks and sessions on the workers."""

    async def nothing() -> bool:
        queues = cluster.scheduler.extensions["queues"]
        busy = await client.run(busy_with, on_error="ignore")  # a worker may be on its way out, or in
        return not (cluster.scheduler.tasks or queues.queues or queues.client_refcount or any(busy.values()))

    await until(nothing)


def busy_with(dask_worker: Any) -> list[str]:
    """Return a worker's tasks, and the fan-outs that it has a session for."""
    sessions = [
        name for name, plugin in dask_worker.plugins.items() if name.startswith("arzamed") and plugin._open is not None
    ]
    return [*dask_worker.state.tasks, *sessions]


def sessions_of(dask_worker: Any) -> list[str]:
    return [name for name in busy_with(dask_worker) if name in dask_worker.plugins]


def set_idle_seconds(seconds: float) -> float:
    from arzamed_async.dask import _worker

    before, _worker.IDLE_SECONDS = _worker.IDLE_SECONDS, seconds
    return before


CALLER = """
import asyncio, sys
from pathlib import Path
from distributed import Client
from arzamed_async import ClinicCredentials, SecretFromFile
from arzamed_async.dask import fan_out_dask

async def main(scheduler, base_url, token_url, client_id, secret):
    async def fetch(clinic):
        await clinic.doctors.list()
        await asyncio.Event().wait()

    credentials = ClinicCredentials(client_id, SecretFromFile(secret), token_url)
    async with Client(scheduler, asynchronous=True) as client:
        await anext(fan_out_dask(client, [credentials] * 4, fetch, shard_size=1, base_url=base_url))

asyncio.run(main(*sys.argv[1:]))
"""


class Store:
    """Stands for a TokenStore."""

    made: ClassVar[list[Store]] = []

    def __init__(self) -> None:
        self.closed = False
        self.made.append(self)

    async def aclose(self) -> None:
        self.closed = True


class Session:
    """Stands for a session that takes a store."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    async def aclose(self) -> None:
        assert not self.options["token_store"].closed


def store_of_module() -> Any:
    """Create a token store, by a name that a worker imports; where that is, the variable holds its URL."""
    from arzamed_async import SecretFromEnv
    from arzamed_async.stores import RedisTokenStore

    return RedisTokenStore(SecretFromEnv("INVENTED_REDIS_URL"))


def set_variable(name: str, value: str) -> None:
    import os

    os.environ[name] = value
