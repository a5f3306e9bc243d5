"""One token for many processes: real processes, a real server, a real Redis, and kill -9."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict
from crowd import Plan
from redis_server import RedisServer

from arzamed_async import ClinicCredentials
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

CLINICS, WORKERS, CALLERS = 20, 8, 100
#: What comes about soon; on a machine that is very busy, later.
BOUND_SECONDS = 100.0


class Crowd:
    """Workers at work, and what they have said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(json.loads(line))

    def pids(self, what: str) -> list[int]:
        """Return which workers have said it."""
        return [each["pid"] for each in self.said if each["what"] == what]

    async def end(self) -> list[dict[str, Any]]:
        """Wait until all have ended well; return what each got."""
        async with asyncio.timeout(BOUND_SECONDS):
            status = await self.process.wait()
            await self._reading
        assert status == 0
        done = [each for each in self.said if each["what"] == "done"]
        assert sum(each["store_failures"] for each in done) == 0
        return done

    async def children(self) -> list[int]:
        """Return the workers' process ids."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


@asynccontextmanager
async def crowd(plan: Plan) -> AsyncIterator[Crowd]:
    """Start a crowd; kill what is left of it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("crowd.py")),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(plan)).encode())
    process.stdin.close()
    running = Crowd(process)
    try:
        yield running
    finally:
        for pid in [*(await running.children() if process.returncode is None else ()), process.pid]:
            if pid != process.pid or process.returncode is None:
                os.kill(pid, signal.SIGKILL)
        await process.wait()
        await running._reading


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the place of a store that is empty."""
    if request.param == "file":
        yield str(tmp_path / "tokens")
        return
    with RedisServer(tmp_path) as server:
        yield server.url


class Issued:
    """Counts the tokens that a fake has handed out, by clinic: its successful token requests."""

    def __init__(self, fake: FakeArzamed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: collections.Counter[str] = collections.Counter()
        issue = fake._handler.tokens.issue

        def counting(clinic: Any, *rest: Any) -> str:
            self.count[clinic.name] += 1
            return issue(clinic, *rest)

        monkeypatch.setattr(fake._handler.tokens, "issue", counting)


def as_plan(credentials: list[ClinicCredentials]) -> list[dict[str, str]]:
    return [
        {
            "client_id": each.client_id, "client_secret": str(each.client_secret),
            "token_url": each.token_url, "name": each.name,
        }
        for each in credentials
    ]  # fmt: skip


def assert_one_token_each(done: list[dict[str, Any]], names: list[str], callers: int = CALLERS) -> None:
    """Assert that each caller of each process has its clinic's token, and the same one."""
    assert len(done) == WORKERS
    for name in names:
        got: collections.Counter[str] = collections.Counter()
        for each in done:
            got.update(each["got"][name])
        assert [count for token, count in got.items() if not token.startswith("!")] == [WORKERS * callers], got


async def test_a_token_that_is_refused_is_replaced_once_for_all_processes(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 processes have tokens of 20 clinics, and all of these are answered 401 at once: 20 more are asked for."""
    async with FakeArzamed() as fake:
        issued = Issued(fake, monkeypatch)
        clinics = [fake.add_clinic(f"c{n}", doctors=["Dr. Inventata"]) for n in range(CLINICS)]
        fake.token_latency_seconds = 0.05
        gate = tmp_path / "gate"
        plan = Plan(fake.base_url, place, as_plan(clinics), WORKERS, callers=5, work="list", gate=str(gate))
        async with crowd(plan) as running:
            await until(lambda: len(running.pids("has tokens")) == WORKERS)
            assert issued.count == {each.name: 1 for each in clinics}
            fake.expire_tokens()
            gate.touch()
            done = await running.end()
        assert_one_token_each(done, [each.name for each in clinics], callers=5)
        assert issued.count == {each.name: 2 for each in clinics}


async def test_one_token_request_for_all_processes(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 processes, 100 coroutines for each of 20 clinics, cold, 503s in between: 20 tokens are asked for."""
    async with FakeArzamed() as fake:
        issued = Issued(fake, monkeypatch)
        clinics = [fake.add_clinic(f"c{n}") for n in range(CLINICS)]
        for each in clinics[::2]:
            fake.fail(503, times=2, on="token", clinic=each)
        fake.token_latency_seconds = 0.2
        async with crowd(Plan(fake.base_url, place, as_plan(clinics), WORKERS, CALLERS)) as running:
            done = await running.end()
        assert_one_token_each(done, [each.name for each in clinics])
        assert issued.count == {each.name: 1 for each in clinics}
        assert fake.token_requests() == CLINICS + 2 * len(clinics[::2])  # and no more than that has failed


async def test_processes_killed_while_they_hold_the_lease(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill -9 of a process that is asking, or that has a token and has not kept it, costs the others the lease's time
    and one more token request at the most.
    """
    async with FakeArzamed() as fake:
        issued = Issued(fake, monkeypatch)
        clinics = [fake.add_clinic(f"c{n}") for n in range(CLINICS)]
        asking, keeping = clinics[:2], clinics[2:4]
        for each in asking:
            fake.set_latency(600.0, each, on="token")
        plans = [
            Plan(fake.base_url, place, as_plan([each]), stop_at_save=each in keeping) for each in [*asking, *keeping]
        ]
        async with crowd(plans[0]) as one, crowd(plans[1]) as two, crowd(plans[2]) as three, crowd(plans[3]) as four:
            victims = (one, two, three, four)
            await until(lambda: fake.token_requests() == len(victims))
            await until(lambda: bool(three.pids("has a token to keep") and four.pids("has a token to keep")))
            for each in asking:
                fake.set_latency(None, each, on="token")
            plan = Plan(fake.base_url, place, as_plan(clinics), WORKERS, CALLERS)
            async with crowd(plan) as others:
                await until(lambda: issued.count.total() == CLINICS - len(asking))
                killed_at = time.monotonic()
                for victim in victims:
                    (pid,) = await victim.children()
                    os.kill(pid, signal.SIGKILL)
                done = await others.end()
                print(f"all had their tokens {time.monotonic() - killed_at:.2f} s after the kills")  # noqa: T201 - a figure
        assert_one_token_each(done, [each.name for each in clinics])
        # Who was asking has got no token; who had one, and has not kept it, has cost one.
        assert issued.count == {each.name: 2 if each in keeping else 1 for each in clinics}


async def test_a_refusal_is_known_to_all_processes(place: str) -> None:
    """Credentials that are refused to one process are not tried by the others."""
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic("revoked"), fake.add_clinic("good")]
        fake.revoke_key(clinics[0])
        plan = Plan(fake.base_url, place, as_plan(clinics), WORKERS, CALLERS)
        async with crowd(plan) as running:
            done = await running.end()
        assert [each["got"]["revoked"] for each in done] == [{"!CredentialsRejectedError": CALLERS}] * WORKERS
        assert_one_token_each(done, ["good"])
        assert (fake.token_requests(clinics[0]), fake.token_requests(clinics[1])) == (1, 1)
