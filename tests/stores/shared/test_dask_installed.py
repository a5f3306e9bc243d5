"""A Dask cluster of which a part lacks the package: the caller gets an error that names it, and the cluster goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dask_support import Clinics, Gate, bounded, names

from arzamed_async import Clinic, ClinicCredentials, ConfigurationError, __version__
from arzamed_async.dask import _cluster, fan_out_dask
from arzamed_async.testing import FakeArzamed

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.asyncio

#: A scheduler, or a worker of one, in which the package is as it is, is missing, or is another one.
PROGRAM = """
import asyncio, sys
package, kind, folder, *scheduler = sys.argv[1:]
if package == "missing":
    sys.modules["arzamed_async"] = None
elif package == "other":
    import arzamed_async
    arzamed_async.__version__ = "99.0"
import distributed

async def main():
    if kind == "scheduler":
        part = distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False)
    else:
        part = distributed.Worker(*scheduler, host="127.0.0.1", nthreads=1, dashboard=False, local_directory=folder)
    async with part:
        print(part.address, flush=True)
        await part.finished()

asyncio.run(main())
"""


class Part:
    """A process of a cluster."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process, self.address = process, address


@asynccontextmanager
async def part(package: str, kind: str, folder: Path, *scheduler: str) -> AsyncIterator[Part]:
    """Start a process of a cluster, and stop it at the end."""
    folder.mkdir(exist_ok=True)
    messages = folder / f"{kind}-{package}.log"
    with messages.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, package, kind, str(folder), *scheduler,
            stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "DASK_TEMPORARY_DIRECTORY": str(folder)},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with bounded():
            address = (await process.stdout.readline()).decode().strip()
        assert address, messages.read_text()
        yield Part(process, address)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def outcomes(client: Any, fake: FakeArzamed, clinics: list[ClinicCredentials]) -> list[bool]:
    """Fan out over the clinics, within the bound."""
    fan_out = fan_out_dask(client, clinics, names, shard_size=1, base_url=fake.base_url)
    async with bounded(), fan_out as found:
        return [outcome.ok async for outcome in found]


@pytest.mark.parametrize(
    ("package", "text"),
    [
        ("missing", "arzamed_async cannot be imported by the {}: install it"),
        ("other", "is installed for the {} (99.0): install " + __version__),
    ],
)
@pytest.mark.parametrize("where", ["worker", "scheduler"])
async def test_the_part_that_lacks_the_package_is_named(where: str, package: str, text: str, tmp_path: Path) -> None:
    """Before anything is sent; the workers are still there, and serve once it has gone."""
    packages = {"scheduler": "here", "worker": "here", where: package}
    async with FakeArzamed() as fake, part(packages["scheduler"], "scheduler", tmp_path / "s") as scheduler:
        clinics = Clinics(fake, tmp_path)(3)
        async with (
            distributed.Client(scheduler.address, asynchronous=True) as client,
            part("here", "worker", tmp_path / "w1", scheduler.address) as good,
            part(packages["worker"], "worker", tmp_path / "w2", scheduler.address) as other,
        ):
            place = "scheduler" if where == "scheduler" else f"worker {other.address}"
            with pytest.raises(ConfigurationError) as caught:
                await outcomes(client, fake, clinics)
            assert text.format(place) in str(caught.value)
            assert set(await client.nthreads()) == {good.address, other.address}
            if where == "worker":
                other.process.kill()
                async with bounded():
                    while len(await client.nthreads()) > 1:
                        await asyncio.sleep(0.02)
                assert await outcomes(client, fake, clinics) == [True] * 3


async def test_a_worker_that_joins_later_is_checked_as_well(tmp_path: Path) -> None:
    """The fan-out ends with the address of the newcomer, and does not wait for what it cannot read."""
    gate = Gate(tmp_path / "open")

    async def read_later(clinic: Clinic) -> list[str]:
        await gate.passed()
        return await names(clinic)

    async with FakeArzamed() as fake, part("here", "scheduler", tmp_path / "s") as scheduler:
        clinics = Clinics(fake, tmp_path)(12)
        async with (
            distributed.Client(scheduler.address, asynchronous=True) as client,
            part("here", "worker", tmp_path / "w1", scheduler.address),
        ):
            fan_out = fan_out_dask(client, clinics, read_later, shard_size=1, base_url=fake.base_url)
            async with bounded(), fan_out as found:
                first = asyncio.create_task(anext(found))
                while not any((await client.processing()).values()):
                    await asyncio.sleep(0.02)
                async with part("missing", "worker", tmp_path / "w2", scheduler.address) as late:
                    gate.open()
                    with pytest.raises(ConfigurationError, match="cannot be imported by") as caught:
                        await first
                        async for _ in found:
                            pass
                    assert late.address in str(caught.value)


class Answering:
    """A client of a cluster whose workers have the versions given; one without a version is busy until it has one."""

    def __init__(self, **versions: object) -> None:
        self.versions = versions
        self.changed = asyncio.Event()
        self.asked: list[str] = []

    async def run(self, _function: object, _text: str, *, workers: list[str], on_error: str) -> dict[str, object]:
        """Ask workers, as distributed's client does."""
        assert on_error == "return"
        self.asked += workers
        while any(worker not in self.versions for worker in workers):
            await self.changed.wait()
        return {worker: self.versions[worker] for worker in workers}

    def respond(self, worker: str, version: object) -> None:
        """Let a busy worker respond."""
        self.versions[worker] = version
        self.changed.set()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "RESPONSE_SECONDS", 0.02)


@pytest.mark.usefixtures("brief")
async def test_a_busy_worker_hides_no_other() -> None:
    """Each is asked by itself: the one that lacks the package is named, though another does not respond."""
    installed = _cluster.Installed(Answering(a=__version__, c=ImportError("no arzamed_async")))
    with pytest.raises(ConfigurationError, match="cannot be imported by the worker c: install it"):
        await installed.check_workers(["a", "busy", "c"])
    await installed.aclose()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("version", [__version__, "99.0"])
async def test_a_busy_worker_is_looked_at_again(version: str) -> None:
    """What it responds at last is seen by a later check; those that have responded are not asked again."""
    client = Answering(a=__version__)
    installed = _cluster.Installed(client)
    await installed.check_workers(["a", "busy"])
    await asyncio.gather(*installed._asked.values())  # it has not responded in time
    client.respond("busy", version)
    async with bounded():
        try:
            while "busy" not in installed._checked:
                await installed.check_workers(["a", "busy"])
                await asyncio.sleep(0)
        except ConfigurationError as error:
            assert "for the worker busy (99.0)" in str(error)
            assert version == "99.0"
        else:
            assert version == __version__
    assert client.asked.count("a") == 1
    await installed.aclose()


async def test_only_the_first_check_waits_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later check asks again and goes on; a worker that has left, or the end, cancels the question."""
    installed = _cluster.Installed(Answering())
    monkeypatch.setattr(_cluster, "RESPONSE_SECONDS", 0.02)
    await installed.check_workers(["busy", "other"])
    await asyncio.gather(*installed._asked.values())
    await installed.check_workers([])
    monkeypatch.setattr(_cluster, "RESPONSE_SECONDS", 3600.0)
    async with bounded():
        await installed.check_workers(["busy", "other"])
        left, kept = installed._asked["other"], installed._asked["busy"]
        await installed.check_workers(["busy"])
        await asyncio.wait([left])
        await installed.aclose()
    assert left.cancelled()
    assert kept.cancelled()
