"""The part that runs on a Dask worker: shards, and the session that they share.

Imported on workers, and by a run, once distributed is known to be installed.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from arzamed_async import ArzamedSession, ClinicCredentials, Outcome, TokenStore

from ._plan import Fetch, SessionOptions
from ._store import Store, create_store

__all__ = ["CancelledFromWithinError", "Job", "WorkerShare", "leave", "run_shard"]

_distributed: Any = importlib.import_module("distributed")
_cloudpickle: Any = importlib.import_module("cloudpickle")

#: A worker without a shard of a fan-out closes its session after this time: the caller may have died without notice.
#: (If not, the next shard starts with a new session.) The worker remembers for as long that a fan-out is over.
IDLE_SECONDS = 60.0


@frozen
class Job:
    """One shard, as it is sent. `name` is that of the fan-out: of its queue, and of its plugin on each worker.

    `common` is shared by all shards, and pickled: fetch, token store and session options. The scheduler, which
    unpickles jobs, needs none of their modules; and each worker has its own store, even in the caller's process.
    """

    name: str
    key: str
    number: int
    credentials: tuple[ClinicCredentials, ...] = field(repr=False)
    common: bytes = field(repr=False)
    concurrency: int


class CancelledFromWithinError(Exception):
    """A fetch raised a CancelledError itself. (Dask and task groups would take the real one for theirs.)"""


async def run_shard(job: Job) -> None:
    """Read all clinics of a shard and send their outcomes."""
    worker = _distributed.get_worker()
    share = await _share(worker, job.name)
    await share.run(worker, job)


async def leave(name: str, dask_worker: Any) -> None:
    """End a worker's shards of a fan-out, and close its session. (Dask passes `dask_worker`.)"""
    share = await _share(dask_worker, name)
    await share.end()
    share.linger(dask_worker)


async def _share(worker: Any, name: str) -> WorkerShare:
    share: WorkerShare | None = worker.plugins.get(name)
    if share is None:
        share = WorkerShare(name)
        await worker.plugin_add(share, name=name)
    return share


class WorkerShare(_distributed.WorkerPlugin):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
    """A worker's part in one fan-out: its session, and the shards that run.

    A plugin, because a worker notifies its plugins when it ends, and when a task is cancelled, which would otherwise
    continue to run although the caller has left, or is dead.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: tuple[ArzamedSession, Fetch[Any], TokenStore | None] | None = None
        self._shards: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._removal: asyncio.Task[None] | None = None
        self._over = False

    async def run(self, worker: Any, job: Job) -> None:
        """Run one shard."""
        # (The cancellation, or the end of the fan-out, may have arrived before this plugin was registered.)
        if self._over or worker.state.tasks[job.key].state == "cancelled":
            return
        if self._timer is not None:
            self._timer.cancel()
        shard = self._shards[job.key] = asyncio.create_task(self._read(worker, job))
        try:
            await asyncio.wait({shard})
        finally:
            shard.cancel()  # the worker closes
            await asyncio.wait({shard})
            del self._shards[job.key]
            if not self._shards:
                self.linger(worker)
        if not shard.cancelled():
            shard.result()
        elif not shard.cancelling():  # not cancelled from here
            raise CancelledFromWithinError

    async def _read(self, worker: Any, job: Job) -> None:
        async def put(outcomes: list[tuple[int, Outcome[Any]]]) -> None:
            await worker.scheduler.queue_put(name=job.name, data=_cloudpickle.dumps((job.number, outcomes)))

        self._open = self._open or _opened(job)
        session, fetch, _ = self._open
        sender = _Sender(put, most=job.concurrency)
        try:
            async with session.fan_out(job.credentials, fetch, concurrency=job.concurrency) as outcomes:
                while (step := await outcomes.numbered()) is not None:
                    await sender.add(step)
                    del step  # a traceback of the next clinic's bug shows this frame
            await sender.finish()
        finally:
            sender.cancel()

    def transition(self, key: Any, start: str, finish: str, **_more: Any) -> None:
        """Cancel a shard whose task was cancelled."""
        if start == "executing" and finish == "released" and key in self._shards:
            self._shards[key].cancel()

    async def end(self) -> None:
        """End all shards, close the session, and start no new ones."""
        self._over = True
        shards = set(self._shards.values())
        for shard in shards:
            shard.cancel()
        if shards:
            await asyncio.wait(shards)
        opened, self._open = self._open, None
        if opened is not None:
            session, _, store = opened
            await session.aclose()
            if store is not None:
                await store.aclose()

    def linger(self, worker: Any) -> None:
        """Remove the plugin after a while without a shard."""

        async def remove() -> None:
            if worker.plugins.get(self._name) is self:
                await worker.plugin_remove(name=self._name)

        def start_removal() -> None:
            self._removal = loop.create_task(remove())

        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(IDLE_SECONDS, start_removal)

    async def teardown(self, worker: Any) -> None:
        """End all shards: no new one arrived for a while, or the worker closes."""
        if self._timer is not None:
            self._timer.cancel()
        await self.end()


def _opened(job: Job) -> tuple[ArzamedSession, Fetch[Any], TokenStore | None]:
    common: tuple[Fetch[Any], Store | None, SessionOptions] = _cloudpickle.loads(job.common)
    fetch, given, options = common
    store = create_store(given)
    stored: dict[str, Any] = {} if store is None else {"token_store": store}
    return ArzamedSession(**options, **stored), fetch, store


class _Sender:
    """Sends outcomes in batches: those that finish during a send go into the next one."""

    def __init__(self, put: Callable[[list[tuple[int, Outcome[Any]]]], Awaitable[None]], *, most: int) -> None:
        self._put = put
        self._most = most
        self._held: list[tuple[int, Outcome[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, step: tuple[int, Outcome[Any]]) -> None:
        """Queue an outcome to be sent; wait while `most` are queued already."""
        if self._task is not None and (self._task.done() or len(self._held) >= self._most):
            await self.finish()
        self._held.append(step)
        if self._task is None:
            self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._held:
            held, self._held = self._held, []
            await self._put(held)

    async def finish(self) -> None:
        """Wait until all outcomes are sent. Raises the error of sending."""
        if self._task is not None:
            await self._task
            self._task = None

    def cancel(self) -> None:
        """Stop sending."""
        if self._task is not None:
            self._task.cancel()
