"""Processes that share a token store: `python crowd.py < PLAN`, a plan in JSON; see `Plan`.

It forks its workers before it has any thread, prints a line of JSON for each thing a worker has to say, and ends when
all of them have. A worker whose launcher is gone ends, too.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    Lease,
    PoolLimits,
    RetryPolicy,
    StoredRejection,
    StoredToken,
    TokenStore,
)
from arzamed_async._tokens import guarded_store
from arzamed_async.stores import FileTokenStore, RedisTokenStore, _folder

__all__ = ["Plan"]


@frozen
class Plan:
    """What the workers do: `callers` coroutines for each clinic at once, in each of `workers` processes."""

    base_url: str
    store: str  # a redis:// URL or a folder
    clinics: list[dict[str, str]]
    workers: int = 1
    callers: int = 1
    #: "token" asks for tokens; "list" has them first, waits for the file `gate`, then reads the doctors.
    work: str = "token"
    gate: str = ""
    #: Say so, and stand still, where a token has come and is to be kept.
    stop_at_save: bool = False


class StopsAtSave:
    """A store whose user never gets a token kept."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        say("has a token to keep")
        await asyncio.Event().wait()
        return False


def say(what: str, **facts: object) -> None:
    """Print a line."""
    line = json.dumps({"what": what, "pid": os.getpid(), **facts}).encode() + b"\n"
    assert len(line) <= select.PIPE_BUF, "a longer one may be mixed with other processes'"
    os.write(1, line)


def open_store(plan: Plan) -> TokenStore:
    store: TokenStore = RedisTokenStore(plan.store) if "://" in plan.store else FileTokenStore(Path(plan.store))
    return StopsAtSave(store) if plan.stop_at_save else store  # type: ignore[return-value]


async def ask(plan: Plan, clinic: Clinic) -> str:
    """Return a digest of the clinic's token, or the class of the error."""
    try:
        if plan.work == "list":
            await clinic.doctors.list()
        return hashlib.sha256((await clinic.token()).access_token.encode()).hexdigest()[:16]
    except ArzamedError as error:
        return f"!{type(error).__name__}"


async def crowd(plan: Plan, clinics: list[Clinic]) -> dict[str, dict[str, int]]:
    """Ask for all clinics at once; return how many callers got which token, by clinic."""
    calls = [(clinic.name, asyncio.ensure_future(ask(plan, clinic))) for clinic in clinics for _ in range(plan.callers)]
    await asyncio.wait([call for _, call in calls])
    got: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, call in calls:
        got[name][call.result()] += 1
    return {name: dict(counts) for name, counts in got.items()}


async def worker(plan: Plan) -> None:
    store = open_store(plan)
    events: list[str] = []
    options: dict[str, Any] = {
        "base_url": plan.base_url,
        "retry": RetryPolicy(initial_backoff_seconds=0.02, max_backoff_seconds=0.1),
        "pool": PoolLimits(connections=512),
        "observers": [lambda event: events.append(type(event).__name__)],
    }
    async with ArzamedSession(token_store=store, **options) as session:
        clinics = [session.clinic(ClinicCredentials(**fields)) for fields in plan.clinics]
        if plan.work == "list":
            await asyncio.gather(*(clinic.token() for clinic in clinics))
            say("has tokens")
            while not Path(plan.gate).exists():
                await asyncio.sleep(0.02)
        say("done", got=await crowd(plan, clinics), store_failures=events.count("TokenStoreFailed"))
    await store.aclose()


async def until_launcher_is_gone(launcher: int) -> None:
    while os.getppid() == launcher:
        await asyncio.sleep(0.1)
    os._exit(1)


async def work(plan: Plan, launcher: int) -> None:
    watch = asyncio.ensure_future(until_launcher_is_gone(launcher))
    await worker(plan)
    watch.cancel()


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    # A machine on which eight processes start at once is not one whose store is slow: what is shown here is who asks.
    # (What a slow store costs is shown in test_session_redis.py, with the times as they are.)
    guarded_store.ANSWER_SECONDS = guarded_store.BUDGET_SECONDS = _folder._LOCK_SECONDS = 60.0
    launcher, children = os.getpid(), []
    for _ in range(plan.workers):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                asyncio.run(work(plan, launcher))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    sys.exit(0 if not any(statuses) else 1)


if __name__ == "__main__":
    main()
