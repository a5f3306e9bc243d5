"""What runs on a Dask worker: shards, and the session that they have in common.

Imported on workers, and by a run: by then it is known that distributed is there.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from arzamed_async import ArzamedSession, ClinicCredentials, Outcome, TokenStore

from ._plan import Fetch, SessionOptions, Store

__all__ = ["CancelledFromWithinError", "Job", "Place", "leave", "run_shard"]

_distributed: Any = importlib.import_module("distributed")
_cloudpickle: Any = importlib.import_module("cloudpickle")

#: When a worker that has no shard of a fan-out lets go of its session: the caller may be dead, and nobody else would say
#: so. (If it lives, the next shard begins with a new session.) For so long it also remembers that a fan-out is over.
IDLE_SECONDS = 60.0


@frozen
class Job:
    """One shard, as it is sent. `name` is the fan-out's (its queue's and its place's on each worker).

    `common` is what all shards share, pickled: fetch, token store and session options. The scheduler, which unpickles
    jobs, needs none of their modules; and a store is a worker's own, also where the worker is in the caller's process.
    """

    name: str
    key: str
    number: int
    credentials: tuple[ClinicCredentials, ...] = field(repr=False)
    common: bytes = field(repr=False)
    concurrency: int


class CancelledFromWithinError(Exception):
    """A fetch has ended in a CancelledError of its own. (Dask and task groups would take the real one for theirs.)"""


async def run_shard(job: Job) -> None:
    """Read all clinics of a shard and send their outcomes."""
    worker = _distributed.get_worker()
    place = await _place(worker, job.name)
    await place.run(worker, job)


async def leave(name: str, dask_worker: Any) -> None:
    """End what a worker does for a fan-out, and close its session. (Dask fills in `dask_worker`.)"""
    place = await _place(dask_worker, name)
    await place.end()
    place.linger(dask_worker)


async def _place(worker: Any, name: str) -> Place:
    place: Place | None = worker.plugins.get(name)
    if place is None:
        place = Place(name)
        await worker.plugin_add(place, name=name)
    return place


class Place(_distributed.WorkerPlugin):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
    """A worker's part in one fan-out: its session, and the shards that run.

    A plugin, since a worker tells its plugins of tasks that are cancelled, which it would let run on (nobody wants
    them any more: the caller has left, or is dead), and of its own end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: tuple[ArzamedSession, Fetch[Any], TokenStore | None] | None = None
        self._shards: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._going: asyncio.Task[None] | None = None
        self._over = False

    async def run(self, worker: Any, job: Job) -> None:
        """Run one shard."""
        # (A cancellation may have come before its transition was listened to; the end, by another way than the task.)
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
        elif not shard.cancelling():  # by nobody here
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
        """End all, close the session, and begin nothing new."""
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
        """Be gone after a while, if no shard comes."""

        async def remove() -> None:
            if worker.plugins.get(self._name) is self:
                await worker.plugin_remove(name=self._name)

        def go() -> None:
            self._going = loop.create_task(remove())

        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(IDLE_SECONDS, go)

    async def teardown(self, worker: Any) -> None:
        """End all: nothing has come for a while, or the worker closes."""
        if self._timer is not None:
            self._timer.cancel()
        await self.end()


def _opened(job: Job) -> tuple[ArzamedSession, Fetch[Any], TokenStore | None]:
    common: tuple[Fetch[Any], Store | None, SessionOptions] = _cloudpickle.loads(job.common)
    fetch, given, options = common
    store = given() if callable(given) else given
    stored: dict[str, Any] = {} if store is None else {"token_store": store}
    return ArzamedSession(**options, **stored), fetch, store


class _Sender:
    """Sends outcomes while the next ones are read: what comes in meanwhile goes together."""

    def __init__(self, put: Callable[[list[tuple[int, Outcome[Any]]]], Awaitable[None]], *, most: int) -> None:
        self._put = put
        self._most = most
        self._held: list[tuple[int, Outcome[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, step: tuple[int, Outcome[Any]]) -> None:
        """Send it soon; wait where as many as `most` wait already."""
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
        """Wait until all has been sent. Raises what went wrong with it."""
        if self._task is not None:
            await self._task
            self._task = None

    def cancel(self) -> None:
        """Send no more."""
        if self._task is not None:
            self._task.cancel()
