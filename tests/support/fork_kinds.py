"""A program that forks many times while its session works. Run as: fork_kinds.py JSON (see `Plan`); prints JSON.

One parent and one session; each run draws how much is under way at the fork, and how its child reads and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import multiprocessing
import os
import random
import ssl
import sys
import threading
import warnings
from collections.abc import Coroutine
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from raw_server import take_ordinary_lane

from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, RetryPolicy, Timeouts

#: A call that the fork has disturbed waits for this long.
SECONDS = 60.0
#: A child that takes longer hangs.
CHILD_SECONDS = 60


@dataclass
class Plan:
    """What to do: `how` the process forks, the `lane` and the `store` of its session, and how many `runs`."""

    how: str
    url: str
    lane: str = "direct"
    store: str = ""
    runs: int = 10
    seed: int = 0
    ca: str | None = None
    loop: str = "asyncio"

    def session(self) -> ArzamedSession:
        """Return the session that parent and children use."""
        tls = None if self.ca is None else ssl.create_default_context(cafile=self.ca)
        more: dict[str, Any] = {"ssl_context": tls}
        if self.lane in {"callable", "given"}:

            def make() -> aiohttp.ClientSession:
                return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True))

            more = {"http": make if self.lane == "callable" else make()}
        return ArzamedSession(
            base_url=self.url,
            retry=RetryPolicy.none(),
            timeouts=Timeouts(total_seconds=SECONDS),
            token_store=self.token_store(),
            **more,
        )

    def token_store(self) -> Any:
        """Return the token store, if there is one."""
        kind, _, place = self.store.partition("=")
        if kind == "file":
            from arzamed_async.stores import FileTokenStore

            return FileTokenStore(place)
        if kind == "redis":
            from arzamed_async.stores import RedisTokenStore

            return RedisTokenStore(place)
        if kind == "client":
            from redis.asyncio import Redis

            from arzamed_async.stores import RedisTokenStore

            return RedisTokenStore(Redis.from_url(place))
        return None

    def clinic(self, name: str) -> ClinicCredentials:
        """Return the credentials of a clinic whose token and doctors have its name."""
        return ClinicCredentials(name, "invented", f"{self.url}/token/{name}", name=name)


@dataclass
class Found:
    """What one process has seen."""

    foreign: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """Count what another process has seen."""
        self.foreign += other["foreign"]
        self.failed += other["failed"]


async def read(plan: Plan, session: ArzamedSession, name: str, times: int, found: Found) -> None:
    """Read a clinic some times."""
    for _ in range(times):
        try:
            doctors = await session.clinic(plan.clinic(name)).doctors.list()
        except ArzamedError as error:
            found.failed.append(f"{type(error).__name__}: {error}")
            return
        found.foreign += [doctor.name for doctor in doctors] != [name]


@dataclass
class Run:
    """One fork."""

    plan: Plan
    session: ArzamedSession
    number: int
    dice: random.Random
    found: Found
    work: list[asyncio.Task[None]] = field(default_factory=list)

    async def prepare(self) -> None:
        """Have tokens and idle connections, and calls and a token request that have gone some steps on their way."""
        plan, session, found, number = self.plan, self.session, self.found, self.number
        await asyncio.gather(*(read(plan, session, name, 1, found) for name in ("a", f"kept{number}")))
        names = [f"a{self.dice.randrange(4)}" for _ in range(self.dice.randrange(5))]
        names += [f"flight{number}"] * self.dice.randrange(2)
        self.work = [asyncio.create_task(read(plan, session, name, 3, found)) for name in names]
        for _ in range(self.dice.choice((0, 1, 2, 5, 10, 20, 40))):
            await asyncio.sleep(0)
        if self.dice.random() < 0.5:
            await asyncio.sleep(self.dice.random() * 0.004)

    async def in_parent(self, over: Any) -> None:
        """Go on while the child does, and after its end: `over` returns when it has ended."""
        reads = [read(self.plan, self.session, f"a{n}", 5, self.found) for n in range(self.dice.randrange(1, 4))]
        await asyncio.gather(*self.work, *reads, asyncio.to_thread(over))
        await asyncio.gather(*(read(self.plan, self.session, f"a{n}", 1, self.found) for n in range(3)))

    async def in_child(self, found: Found, *, close: bool) -> None:
        """Read clinics whose token the parent has, one of which it has none, and one whose token it is requesting."""
        if self.plan.lane == "given":  # refused here: the parent must not notice anything
            await read(self.plan, self.session, "a", 1, refused := Found())
            found.failed += [] if "belongs to the process" in str(refused.failed) else ["not refused"]
            return
        names = [f"kept{self.number}", f"new{self.number}", f"flight{self.number}", "a"]
        self.dice.shuffle(names)
        await asyncio.gather(*(read(self.plan, self.session, name, 3, found) for name in names))
        if close:
            await self.session.aclose()

    def child(self, start: Any, report: int, *, leave: bool = False) -> None:
        """Be the child: read, report and end in one of the ways; with `leave`, the caller unwinds instead."""
        found, ending = Found(), self.dice.choice(("_exit", "exit", "exception", "close", "freed"))
        try:
            start(self.in_child(found, close=ending == "close"))
        except BaseException as error:  # noqa: BLE001 - reported
            found.failed.append(f"child: {type(error).__name__}: {error}")
        if ending == "freed":
            self.session = None  # type: ignore[assignment]
            gc.collect()
        os.write(report, json.dumps(vars(found)).encode())
        os.close(report)
        if ending == "_exit" or sys.version_info >= (3, 14):  # there, no copy of a loop of asyncio ends well
            os._exit(0)
        if leave and ending == "exception":
            raise ChildEndedError
        if ending == "exception":
            quiet()
            raise RuntimeError("a child ends by this")
        sys.exit()


class ChildEndedError(Exception):
    """Unwinds the child."""


def quiet() -> None:
    """Let a child end by an exception without a word."""
    sys.excepthook = lambda *_: None


def forked(run: Run, start: Any, *, leave: bool = False, twice: bool = False) -> tuple[int, int]:
    """Fork; return the child's id and where it reports."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # of threads, from Python 3.12 on
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
        if not pid and twice:
            start(read(run.plan, run.session, "a", 1, Found()))
            if middle := os.fork():
                os._exit(os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]))
    if not pid:
        os.close(reader)
        run.child(start, writer, leave=leave)
    os.close(writer)
    return pid, reader


def ended(run: Run, pid: int, reader: int) -> None:
    """Wait for the end of a child."""
    with os.fdopen(reader, "rb") as report:
        text = report.read()
    os.waitpid(pid, 0)
    run.found.add(json.loads(text or '{"foreign": 0, "failed": ["child: no report"]}'))


async def opened(plan: Plan) -> ArzamedSession:
    """Return a session: an aiohttp session needs a running loop."""
    return plan.session()


def stopped(plan: Plan, found: Found) -> None:
    """Fork while the loop does not run; the child uses a new one, or the same."""
    with asyncio.Runner(loop_factory=loop_factory(plan)) as runner:
        session = runner.run(opened(plan))
        for each in runs(plan, session, found):
            runner.run(each.prepare())
            start = runner.run if plan.how == "same" else starter(plan)
            pid, reader = forked(each, start, twice=plan.how == "twice")
            runner.run(each.in_parent(lambda pid=pid, each=each, reader=reader: ended(each, pid, reader)))
        runner.run(session.aclose())


async def running(plan: Plan, session: ArzamedSession, found: Found) -> None:
    """Fork in a coroutine, in the ways that `how` names."""
    async with session:
        for each in runs(plan, session, found):
            await each.prepare()
            if plan.how == "running":
                pid, reader = forked(each, starter(plan), leave=True)
                await each.in_parent(lambda pid=pid, each=each, reader=reader: ended(each, pid, reader))
            else:
                await each.in_parent(lambda each=each: multiprocess(plan, each))


def multiprocess(plan: Plan, run: Run) -> None:
    """Fork in a thread, by multiprocessing."""
    global current
    current = run
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if plan.how == "executor":
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                run.found.add(pool.submit(in_process).result(CHILD_SECONDS))
            return
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=report_to, args=(theirs,))
        process.start()
    theirs.close()
    run.found.add(ours.recv())
    process.join()


current: Run


def in_process() -> dict[str, Any]:
    """Read in a process of multiprocessing."""
    found = Found()
    starter(current.plan)(current.in_child(found, close=current.dice.random() < 0.5))
    return vars(found)


def report_to(pipe: Any) -> None:
    """Read, and report."""
    pipe.send(in_process())


def beside_a_thread(plan: Plan, found: Found) -> None:
    """Fork in the main thread while the loop runs in another one."""
    loop = (loop_factory(plan) or asyncio.new_event_loop)()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def go(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop)

    session = plan.session()
    for each in runs(plan, session, found):
        go(each.prepare()).result(CHILD_SECONDS)
        more = go(each.in_parent(lambda: None))
        pid, reader = forked(each, starter(plan))
        ended(each, pid, reader)
        more.result(CHILD_SECONDS)
    go(session.aclose()).result(CHILD_SECONDS)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def unused(plan: Plan, found: Found) -> None:
    """Fork before the session is used at all, by the parent or by the children."""
    session = plan.session()
    with asyncio.Runner(loop_factory=loop_factory(plan)) as runner:
        for each in runs(plan, session, found):
            pid, reader = forked(each, starter(plan))
            ended(each, pid, reader)
        runner.run(read(plan, session, "a", 1, found))
        runner.run(session.aclose())


def runs(plan: Plan, session: ArzamedSession, found: Found) -> Any:
    """Yield each run."""
    for number in range(plan.runs):
        yield Run(plan, session, number, random.Random(plan.seed * 1000 + number), found)


def loop_factory(plan: Plan) -> Any:
    """Return what makes the event loops."""
    if plan.loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None


def starter(plan: Plan) -> Any:
    """Return what runs a coroutine in a new event loop."""

    def start(work: Coroutine[Any, Any, Any]) -> None:
        with asyncio.Runner(loop_factory=loop_factory(plan)) as runner:
            runner.run(work)

    return start


def main(plan: Plan) -> None:
    """Fork, and report."""
    found = Found()
    if plan.lane == "given":
        logging.disable()  # aiohttp's own words on a session that is not closed
    with pytest.MonkeyPatch.context() as patch:
        if plan.lane == "ordinary":
            take_ordinary_lane(patch)
        if plan.how in {"running", "process", "executor"}:

            async def work() -> None:
                await running(plan, plan.session(), found)

            with contextlib.suppress(ChildEndedError), asyncio.Runner(loop_factory=loop_factory(plan)) as runner:
                runner.run(work())
                sys.stdout.write(json.dumps(vars(found)))
        else:
            {"thread": beside_a_thread, "unused": unused}.get(plan.how, stopped)(plan, found)
            sys.stdout.write(json.dumps(vars(found)))


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))
