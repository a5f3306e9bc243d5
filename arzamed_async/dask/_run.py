"""The run of a fan-out on Dask: shards are sent as tasks, outcomes return through a queue on the scheduler.

All messages about a shard pass through that one queue and keep their order: its outcomes, sent by the worker, and
then a marker, sent from here, that its task has ended. Outcomes repeated after a worker's death are dropped.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import uuid
from collections import deque
from typing import Any, Generic, TypeVar

from attrs import define, evolve

from arzamed_async import ClinicCredentials, Failure, Outcome, TransportError
from arzamed_async._counted import counted
from arzamed_async._logs.setup import write

from ._cluster import Installed
from ._plan import Plan
from ._worker import CancelledFromWithinError, Job, leave, run_shard

__all__ = ["Run"]

T = TypeVar("T")

_distributed: Any = importlib.import_module("distributed")
_cloudpickle: Any = importlib.import_module("cloudpickle")

#: The most messages that the scheduler holds; beyond it workers wait. A caller that is killed leaves no more there.
QUEUED = 8
#: Shards in progress for each thread of the cluster: one that runs, and one that is next.
SHARDS_PER_THREAD = 2
#: The time limit for clearing up a cluster. Workers that are stopped never respond.
CLEAR_UP_SECONDS = 10.0

#: The scheduler's error for a task without a worker (distributed.scheduler.no-workers-timeout), by version.
NO_WORKER = ("NoWorkerError", "NoValidWorkerError")

_END = -1  # not the number of a shard: no more will be submitted


@define(eq=False)
class _Shard:
    first: int  # the index of its first clinic among all that are drawn
    credentials: tuple[ClinicCredentials, ...]
    future: Any
    left: set[int]
    loss: str = "no outcome of this clinic was received"
    hint: str = ""


class Run(Generic[T]):
    """The tasks of a run. They hold it, and never the DaskFanOut: one dropped half-way is noticed."""

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan
        self._client = plan.client
        self._installed = Installed(plan.client)
        self._name = f"arzamed_shard-{uuid.uuid4().hex}"
        self._shards: dict[int, _Shard] = {}
        self._ready: deque[Outcome[T]] = deque()
        self._change, self._taken, self._freed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._bug: BaseException | None = None
        self._stopping = False
        self._main = asyncio.create_task(self._work())
        self._main.add_done_callback(self._ended)

    async def get(self) -> Outcome[T] | None:
        """Wait for the next outcome and return it; None at the end, or after `stop`."""
        while True:
            if self._bug is not None:
                raise self._bug
            if self._ready and not self._stopping:
                self._taken.set()
                return self._ready.popleft()
            if self._main.done():
                return None
            self._change.clear()
            await self._change.wait()

    def cancel(self) -> None:
        """Cancel the run, without waiting for its end."""
        if not self._stopping:
            self._stopping = True
            self._main.cancel()

    async def stop(self) -> None:
        """Cancel the run and wait for its end."""
        if not self._main.done():
            self.cancel()
            await asyncio.wait({self._main})

    @property
    def running(self) -> bool:
        """Whether the run may still be in progress."""
        return not self._main.done() and not self._main.get_loop().is_closed()

    def _ended(self, main: asyncio.Task[None]) -> None:
        bug = None if main.cancelled() else main.exception()
        if isinstance(bug, CancelledFromWithinError) or (main.cancelled() and not self._stopping):
            bug = RuntimeError("CancelledError was raised on a Dask worker, and the fan-out was not cancelled")
        elif isinstance(bug, _distributed.comm.CommClosedError):
            bug = TransportError("the connection to the Dask scheduler was lost")
        elif isinstance(bug, StopAsyncIteration):  # raised by our own `__anext__`, it would look like the end
            bug = RuntimeError("StopAsyncIteration was raised here").with_traceback(bug.__traceback__)
        if not self._stopping:
            self._bug = bug
        self._change.set()

    async def _work(self) -> None:
        plan = self._plan
        await self._installed.check_scheduler()
        common = _cloudpickle.dumps((plan.fetch, plan.store, plan.options))
        queue = await _distributed.Queue(self._name, client=self._client, maxsize=QUEUED)
        bug: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._collect(queue))
                await self._submit(queue, group, common)
        except BaseExceptionGroup as bugs:
            bug = bugs.exceptions[0]
        finally:
            await self._installed.aclose()
            await plan.shards.aclose()
            await self._clear_up(queue)
        if bug is not None:
            raise bug

    async def _submit(self, queue: Any, group: asyncio.TaskGroup, common: bytes) -> None:
        plan, number, first = self._plan, 0, 0
        await self._wait_for_room()
        while credentials := await plan.shards.draw():
            key = f"{self._name}-{number}"
            job = Job(self._name, key, number, credentials, common, plan.concurrency)
            future = self._client.submit(run_shard, job, key=key, pure=False)
            shard = self._shards[number] = _Shard(first, credentials, future, set(range(len(credentials))))
            group.create_task(self._watch(queue, number, shard))
            number += 1
            first += len(credentials)
            await self._wait_for_room()
        await queue.put(_marker(_END))

    async def _wait_for_room(self) -> None:
        while True:
            workers = await self._client.nthreads()
            await self._installed.check_workers(workers)
            threads = sum(workers.values())
            if len(self._shards) < SHARDS_PER_THREAD * max(threads, 1):  # without any, an adaptive cluster grows
                return
            self._freed.clear()
            await self._freed.wait()

    async def _watch(self, queue: Any, number: int, shard: _Shard) -> None:
        error = await shard.future.exception()  # not the result, which would be fetched from a worker that may be dead
        if isinstance(error, _distributed.KilledWorker):
            shard.loss = f"{counted(error.allowed_failures + 1, 'Dask worker')} died while they read its shard"
            shard.hint = "One clinic of the shard may have caused all of it: a smaller shard_size shows which"
        elif type(error).__name__ in NO_WORKER:
            shard.loss = "no Dask worker was available to read its shard"
        elif error is not None:
            await shard.future  # raises the error with its traceback
        elif shard.future.cancelled():
            shard.loss = "its shard was cancelled on the Dask cluster"
        shard.future.release()  # else Dask would read the shard again when its worker dies
        await queue.put(_marker(number))

    async def _collect(self, queue: Any) -> None:
        all_submitted = False
        while self._shards or not all_submitted:
            number, outcomes = _cloudpickle.loads(await queue.get())  # (no frame may hold records if this fails)
            if outcomes is not None:
                self._report(self._shards.get(number), outcomes)
            elif number == _END:
                all_submitted = True
            else:
                shard = self._shards.pop(number)
                self._report(shard, [(index, _lost(shard, index)) for index in sorted(shard.left)])
                self._freed.set()
            del outcomes  # they are the consumer's now
            while len(self._ready) >= self._plan.concurrency:  # a slow consumer slows the workers
                self._taken.clear()
                await self._taken.wait()

    def _report(self, shard: _Shard | None, outcomes: list[tuple[int, Outcome[T]]]) -> None:
        for index, outcome in outcomes:
            if shard is not None and index in shard.left:  # else it was reported before its worker died
                shard.left.discard(index)
                self._ready.append(evolve(outcome, index=shard.first + index))
        self._change.set()

    async def _clear_up(self, queue: Any) -> None:
        """Remove everything from the scheduler and the workers."""
        futures = [shard.future for shard in self._shards.values()]
        self._shards.clear()
        if self._client.status != "running":
            return
        try:
            async with asyncio.timeout(CLEAR_UP_SECONDS):
                await self._client.cancel(futures)
                await self._client.run(leave, self._name, on_error="ignore")
                while await queue.get(batch=True):
                    pass  # releases the workers that wait to put
                await queue.put(_marker(_END))  # releases a cancelled get that still waits
                await queue.get(batch=True)
        except (OSError, RuntimeError) as error:  # a timeout, a lost connection, a client closed meanwhile
            write(logging.WARNING, "a Dask cluster was not cleared up after a fan-out: %s", type(error).__name__)
        queue.close()
        queue.close()  # a Queue that was awaited is counted twice


def _marker(number: int) -> bytes:
    """Return the marker that follows all outcomes of a shard."""
    marker: bytes = _cloudpickle.dumps((number, None))
    return marker


def _lost(shard: _Shard, index: int) -> Failure:
    """Return a clinic's failure: no HTTP response is known, and a later attempt may succeed."""
    name = shard.credentials[index].display_name
    return Failure(name, TransportError(shard.loss, clinic=name, hint=shard.hint), 0.0)
