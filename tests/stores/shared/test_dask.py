"""Fan-out on a Dask cluster: real worker processes on loopback, some of them killed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dask_support import (
    CALLER,
    Clinics,
    Gate,
    Session,
    Store,
    bounded,
    busy_with,
    cleared,
    names,
    sessions_of,
    set_idle_seconds,
    until,
)

from arzamed_async import Clinic, ClinicCredentials, ConfigurationError, Failure, ForbiddenError, TransportError
from arzamed_async.dask import DaskFanOut, fan_out_dask
from arzamed_async.testing import FakeArzamed

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.asyncio

WORKERS = 2


@pytest.fixture(scope="session")
def tracker() -> None:
    """Start Python's own process for what processes share, which older versions of dask use and which ends with Python."""
    resource_tracker.ensure_running()


@pytest.fixture(scope="module", autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each cluster here a folder for its files, whichever test comes first: dask leaves it behind."""
    with dask.config.set({"temporary-directory": str(tmp_path_factory.mktemp("dask"))}):
        yield


@pytest.fixture(scope="module")
def cluster(tracker: None, _scratch: None) -> Iterator[Any]:
    """Give a cluster of two worker processes with one thread each."""
    # Nannies start workers anew; the cluster would do so as well, and close the nannies that take too long.
    # Without a dashboard a scheduler has a port for HTTP all the same: a fixed one, if no address is given.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
    ):
        yield cluster


@pytest_asyncio.fixture
async def client(cluster: Any) -> AsyncIterator[Any]:
    """Give an asynchronous client, with all workers there."""
    async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
        await client.wait_for_workers(WORKERS)
        yield client


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeArzamed]:
    async with FakeArzamed() as fake:
        yield fake


@pytest.fixture
def clinics(fake: FakeArzamed, tmp_path: Path) -> Clinics:
    return Clinics(fake, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "open")
    yield gate
    gate.open()  # what a test that failed has left waiting goes on


@pytest_asyncio.fixture
async def impatient(client: Any) -> AsyncIterator[None]:
    """Let the workers let go of idle sessions at once."""
    before = await client.run(set_idle_seconds, 0.05)
    yield
    await client.run(set_idle_seconds, max(before.values()))


async def test_each_clinic_has_one_outcome(cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """Every clinic yields one outcome with its name and its place, an ArzamedError as a Failure; nothing is left on the cluster."""
    fake.fail(403, times=None, clinic=(all_clinics := clinics(50))[7])
    async with fan_out_dask(client, all_clinics, names, shard_size=8, base_url=fake.base_url) as outcomes:
        got = {outcome.clinic: outcome async for outcome in outcomes}
        assert len(got) == 50
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)
    assert {name: outcome.index for name, outcome in got.items()} == {f"c{n}": n for n in range(50)}
    failure = got.pop("c7")
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ForbiddenError)
    assert failure.error.clinic == "c7"
    assert {name: outcome.unwrap() for name, outcome in got.items()} == {
        name: [f"Dr. Inventata {name}"] for name in got
    }
    assert fake.api_requests() == fake.token_requests() == 50
    await cleared(cluster, client)


async def test_outcomes_come_as_they_finish(client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate) -> None:
    """A clinic that hangs holds back none of the others, not even those of its own shard."""

    async def fetch(clinic: Clinic) -> list[str]:
        if clinic.name == "c0":
            await gate.passed()
        return await names(clinic)

    async with fan_out_dask(client, clinics(12), fetch, shard_size=4, base_url=fake.base_url) as outcomes:
        async with bounded():
            first = {(await anext(outcomes)).clinic for _ in range(11)}
        assert first == {f"c{n}" for n in range(1, 12)}
        gate.open()
        assert [outcome.clinic async for outcome in outcomes] == ["c0"]


async def test_a_worker_killed_midway(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate
) -> None:
    """A worker that is killed costs a second reading of its shard; each clinic is reported once all the same."""

    async def fetch(clinic: Clinic) -> int:
        await names(clinic)
        if int(clinic.name[1:]) % 2:
            await gate.passed()
        return os.getpid()

    async with fan_out_dask(client, clinics(40), fetch, shard_size=10, base_url=fake.base_url) as outcomes:
        async with bounded():
            got = [await anext(outcomes) for _ in range(10)]  # the even ones of two shards, one at each worker
        by_pid = Counter(outcome.unwrap() for outcome in got)
        assert len(by_pid) == WORKERS
        victim = got[0].unwrap()
        os.kill(victim, signal.SIGKILL)
        gate.open()
        got += [outcome async for outcome in outcomes]
    assert sorted(outcome.clinic for outcome in got) == sorted(f"c{n}" for n in range(40))
    assert all(outcome.ok for outcome in got)
    assert [outcome.unwrap() for outcome in got].count(victim) == 5
    assert fake.api_requests() == 40 + 10
    await cleared(cluster, client)


async def test_a_shard_that_kills_its_workers(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that costs too many workers is given up: its outcomes so far are kept, its other clinics fail, no more."""
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 1)

    async def fetch(clinic: Clinic) -> None:
        if clinic.name == "c3":
            await gate.passed()
            os.kill(os.getpid(), signal.SIGKILL)
        elif clinic.name == "c2":
            await asyncio.Event().wait()

    async with fan_out_dask(client, clinics(12), fetch, shard_size=4, base_url=fake.base_url) as outcomes:
        async with bounded():
            got = [await anext(outcomes) for _ in range(10)]
        gate.open()
        got += [outcome async for outcome in outcomes]
    assert sorted(outcome.clinic for outcome in got) == sorted(f"c{n}" for n in range(12))
    failures = {outcome.clinic: outcome for outcome in got if isinstance(outcome, Failure)}
    assert set(failures) == {"c2", "c3"}
    assert isinstance(failures["c2"].error, TransportError)
    assert str(failures["c2"].error).startswith("c2: 2 Dask workers died while they read its shard. One clinic of")
    await cleared(cluster, client)


async def test_what_has_been_read_is_not_read_again(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics
) -> None:
    """A shard that has been read is kept by no worker: the death of one costs nothing, however slow the consumer."""

    async def fetch(clinic: Clinic) -> int:
        await names(clinic)
        return os.getpid()

    async def read() -> bool:
        return not cluster.scheduler.tasks

    async with fan_out_dask(client, clinics(8), fetch, shard_size=4, concurrency=1, base_url=fake.base_url) as outcomes:
        got = [await anext(outcomes)]
        await until(read)
        os.kill(got[0].unwrap(), signal.SIGKILL)
        got += [outcome async for outcome in outcomes]
    assert len(got) == fake.api_requests() == 8


async def test_a_worker_has_one_session(client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """All shards that one worker reads share a session, and so the tokens."""
    same = clinics(4)
    async with fan_out_dask(client, same * 10, names, shard_size=4, base_url=fake.base_url) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 40
    assert max(fake.token_requests(each) for each in same) <= WORKERS
    assert fake.api_requests() == 40


async def test_literal_secrets_are_refused(client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """A secret given as text is refused, by the clinic's name, before anything is sent; unless it is allowed."""
    literal = fake.add_clinic("Milano")
    with pytest.raises(ConfigurationError, match="Milano: its secret is given as text"):
        fan_out_dask(client, [*clinics(3), literal], names, base_url=fake.base_url)
    outcomes = fan_out_dask(client, iter([literal]), names, base_url=fake.base_url)
    with pytest.raises(ConfigurationError, match="Milano: its secret is given as text") as caught:
        await anext(outcomes)
    assert str(literal.client_secret) not in str(caught.value)
    assert not fake.requests
    async with fan_out_dask(client, [literal], names, allow_literal_secrets=True, base_url=fake.base_url) as outcomes:
        assert [outcome.clinic async for outcome in outcomes if outcome.ok] == ["Milano"]


async def test_leaving_early_leaves_nothing_running(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate
) -> None:
    """Behind the block, or aclose, no task is on the cluster, no session on its workers, no request open."""

    async def fetch(clinic: Clinic) -> None:
        if clinic.name != "c0":
            await gate.passed()

    async with fan_out_dask(client, clinics(30), fetch, shard_size=3, base_url=fake.base_url) as outcomes:
        assert (await anext(outcomes)).clinic == "c0"
    assert not any((await client.run(sessions_of)).values())
    await cleared(cluster, client)
    assert not gate.path.exists()
    await outcomes.aclose()
    with pytest.raises(ConfigurationError, match="a fan-out was closed before its end"):
        await anext(outcomes)
    with pytest.raises(ConfigurationError, match="only once"):
        [outcome async for outcome in outcomes]
    await fan_out_dask(client, [], fetch).aclose()


async def test_a_cancelled_consumer_leaves_nothing_running(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate
) -> None:
    """Cancelling the task that reads ends every shard."""

    async def read(outcomes: DaskFanOut[None]) -> None:
        async with outcomes:
            async for _ in outcomes:
                started.set()

    async def fetch(clinic: Clinic) -> None:
        if clinic.name != "c0":
            await gate.passed()

    started = asyncio.Event()
    task = asyncio.create_task(read(fan_out_dask(client, clinics(6), fetch, shard_size=3, base_url=fake.base_url)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cleared(cluster, client)


async def test_a_dropped_fan_out_warns_and_cancels(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate
) -> None:
    """A fan-out dropped half-way cancels its work, with a ResourceWarning."""

    async def fetch(clinic: Clinic) -> None:
        if clinic.name != "c0":
            await gate.passed()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        async for _ in fan_out_dask(client, clinics(6), fetch, shard_size=3, base_url=fake.base_url):
            break
        gc.collect()
    assert "dropped half-way" in str(caught[0].message)
    await cleared(cluster, client)


async def test_a_bug_rises_bare(cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate) -> None:
    """An exception of a fetch that is none of ours cancels the rest and is raised as it is."""

    async def fetch(clinic: Clinic) -> None:
        if clinic.name == "c4":
            raise KeyError("a bug")
        await gate.passed()

    with pytest.raises(KeyError, match="a bug") as caught:
        async with (
            bounded(),
            fan_out_dask(client, clinics(30), fetch, shard_size=3, base_url=fake.base_url) as outcomes,
        ):
            [outcome async for outcome in outcomes]
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "fetch" in [entry.name for entry in caught.traceback]
    await cleared(cluster, client)


async def test_a_fetch_that_is_cancelled_from_within(
    cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics
) -> None:
    """A fetch that ends in CancelledError of its own ends the fan-out, loudly."""

    async def fetch(clinic: Clinic) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="CancelledError was raised"):
        await anext(fan_out_dask(client, clinics(3), fetch, base_url=fake.base_url))
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await cleared(cluster, client)


async def test_what_does_not_pickle(cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """A fetch that cannot be sent, and a value that cannot be sent back, are bugs that are raised."""
    lock = threading.Lock()

    async def unsendable(clinic: Clinic) -> bool:
        return lock.locked()

    async def returns_a_lock(clinic: Clinic) -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match="cannot pickle '_thread.lock'"):
        await anext(fan_out_dask(client, clinics(3), unsendable, base_url=fake.base_url))
    with pytest.raises(TypeError, match="cannot pickle '_thread.lock'"):
        await anext(fan_out_dask(client, [clinics.add("again")], returns_a_lock, base_url=fake.base_url))
    await cleared(cluster, client)


async def test_credentials_are_drawn_lazily(cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """Of endless credentials no more is drawn than two shards a thread, beside what has been taken; the generator is closed."""
    drawn = closed = 0
    one = clinics.add("one")

    async def endless() -> AsyncIterator[ClinicCredentials]:
        nonlocal drawn, closed
        try:
            while True:
                drawn += 1
                yield one
        finally:
            await asyncio.sleep(0)
            closed += 1

    async with fan_out_dask(client, endless(), names, shard_size=5, concurrency=2, base_url=fake.base_url) as outcomes:
        for taken in range(1, 60):
            await anext(outcomes)
            assert drawn <= taken + 5 * 2 * WORKERS + 2 + 5  # held here, and the shard that it is part of
    assert closed == 1
    await cleared(cluster, client)


async def test_shards_cancelled_by_others(client: Any, fake: FakeArzamed, clinics: Clinics, gate: Gate) -> None:
    """Where someone cancels the tasks on the cluster, their clinics fail, and the fan-out comes to its end."""

    async def fetch(clinic: Clinic) -> None:
        if clinic.name == "c1":
            await gate.passed()

    async with fan_out_dask(client, clinics(2), fetch, base_url=fake.base_url) as outcomes:
        assert (await anext(outcomes)).clinic == "c0"
        (key,) = {key for keys in (await client.processing()).values() for key in keys}
        await client.cancel([distributed.Future(key, client)])
        (failure,) = [outcome async for outcome in outcomes]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, TransportError)
    assert str(failure.error).startswith("c1: its shard was cancelled on the Dask cluster")


@pytest.mark.usefixtures("impatient")
async def test_a_caller_that_dies(cluster: Any, client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """When the caller's process is killed, its shards end, its sessions close, and the workers are free for others."""
    one = clinics.add("one")
    arguments = (fake.base_url, one.token_url, one.client_id, str(one.client_secret.path))  # type: ignore[union-attr]
    caller = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, cluster.scheduler_address, *arguments)

    async def begun() -> bool:
        assert caller.returncode is None
        return fake.api_requests() >= WORKERS

    try:
        await until(begun)
    finally:
        caller.kill()
        await caller.wait()

    async def nothing_left() -> bool:
        left = await client.run(busy_with)
        return not (any(left.values()) or cluster.scheduler.tasks)

    await until(nothing_left)
    cluster.scheduler.extensions["queues"].queues.clear()  # the one thing that a dead caller leaves there
    cluster.scheduler.extensions["queues"].client_refcount.clear()


@pytest.mark.parametrize("given", [Store, Store()], ids=["made on the worker", "pickled"])
async def test_a_token_store(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store, made or unpickled on the worker, is its session's, and is closed after it; the caller's own is not."""
    import cloudpickle

    from arzamed_async.dask import _worker

    monkeypatch.setattr(_worker, "ArzamedSession", Session)
    Store.made.clear()
    common = cloudpickle.dumps((names, given, {"coalesce": True}))
    share = _worker.WorkerShare("invented")
    share._open = _worker._opened(_worker.Job("invented", "invented-0", 0, (), common, 64))
    session, fetch, store = share._open
    assert session.options == {"coalesce": True, "token_store": store}  # type: ignore[attr-defined]
    assert fetch is names
    assert isinstance(store, Store)
    assert store is not given
    assert len(Store.made) == (given is Store)
    await share.end()
    assert store.closed
    assert given is Store or not given.closed


async def test_a_shard_after_the_end_is_not_started(client: Any, fake: FakeArzamed, clinics: Clinics) -> None:
    """A shard that reaches a worker when the fan-out has ended there requests nothing and opens no session."""
    import cloudpickle

    from arzamed_async.dask import _worker

    await client.run(_worker.leave, "invented")
    common = cloudpickle.dumps((names, None, {"base_url": fake.base_url}))
    job = _worker.Job("invented", "invented-0", 0, tuple(clinics(1)), common, 64)
    async with bounded():
        await client.submit(_worker.run_shard, job, key=job.key, pure=False)
    assert not fake.requests
    assert not any((await client.run(sessions_of)).values())


async def test_clients_that_cannot_serve(cluster: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A synchronous client, one that is not connected, and what is no client are refused with what is to be done."""
    with pytest.raises(ConfigurationError, match=r"distributed.Client, not str"):
        fan_out_dask(cluster.scheduler_address, [], names)
    with await asyncio.to_thread(distributed.Client, cluster.scheduler_address, set_as_default=False) as blocking:
        with pytest.raises(ConfigurationError, match="asynchronous=True"):
            fan_out_dask(blocking, [], names)
    await client.close()
    outcomes = fan_out_dask(client, [], names)
    with pytest.raises(ConfigurationError, match=r"not connected \(closed\)"):
        await anext(outcomes)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match=r"needs distributed, .* pip install '\.\[dask\]'"):
        fan_out_dask(client, [], names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shard_size": 0}, "shard_size"),
        ({"shard_size": True}, "shard_size"),
        ({"concurrency": 0}, "concurrency"),
        ({"base_url": "http://example.com"}, "base_url"),
        ({"observers": [print]}, "observers cannot be sent"),
        ({"retry": 5}, "retry must be of type RetryPolicy"),
    ],
)
async def test_bad_settings(options: dict[str, Any], words: str, client: Any) -> None:
    """Settings that cannot work are refused at the call."""
    with pytest.raises(ConfigurationError, match=words):
        fan_out_dask(client, [], names, **options)


async def test_bad_credentials(client: Any, clinics: Clinics) -> None:
    """Anything but credentials is reported, an error of their iterable is raised, and an empty one ends at once."""
    (one,) = clinics(1)
    with pytest.raises(ConfigurationError, match="ClinicCredentials, not NoneType"):
        fan_out_dask(client, [one, None], names)  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="iterable"):
        fan_out_dask(client, 5, names)  # type: ignore[arg-type]

    def broken() -> Iterator[ClinicCredentials]:
        yield one
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="source is gone"):
        await anext(fan_out_dask(client, broken(), names))
    assert [outcome async for outcome in fan_out_dask(client, [], names)] == []


@pytest.mark.parametrize("gone", ["workers", "scheduler"])
async def test_a_cluster_that_is_gone(clinics: Clinics, gone: str) -> None:
    """Where all workers are gone each clinic's failure says so, once Dask gives up; without a scheduler the fan-out ends."""
    patience = {"distributed.scheduler.no-workers-timeout": "10ms" if gone == "workers" else None}
    with (
        dask.config.set({**patience, "distributed.comm.timeouts.connect": "500ms"}),
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster,
    ):
        async with bounded(), distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
            async with fan_out_dask(client, clinics(2), names) as outcomes:
                if gone == "workers":
                    async for outcome in outcomes:
                        assert isinstance(outcome, Failure)
                        assert "no Dask worker" in str(outcome.error)
                    return
                reading = asyncio.ensure_future(anext(outcomes))
                await until_submitted(client)
                await asyncio.to_thread(cluster.close)
                with pytest.raises(TransportError, match="scheduler"):
                    await reading


async def until_submitted(client: Any) -> None:
    async def submitted() -> bool:
        return bool(client.futures)

    await until(submitted)


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("fetch", 5),
        ("credentials", "Milano"),
        ("allow_literal_secrets", "no"),
        ("token_store", "redis://a.example"),
        ("shard_size", 0),
        ("concurrency", True),
    ],
)
async def test_arguments_that_cannot_work(client: Any, argument: str, wrong: object) -> None:
    """Each is refused at the call, by its name, before anything is sent."""
    right: dict[str, Any] = {"credentials": [], "fetch": names}
    with pytest.raises(ConfigurationError, match=argument):
        fan_out_dask(client, **{**right, argument: wrong})
