"""Each kind of call, played against one fault, and all that must hold behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Self, cast

import fault_tls
import pytest
from fault_model import LIMITS, RETRY, TIMEOUTS, Fault, Outcome
from fault_server import DOCTORS_JSON, RECORD, TOKEN_JSON, Side
from support import DOCTORS, SECRET, TOKEN
from support.quick_loop import QuickLoop, until

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    CredentialsRejectedError,
    DeadlineExceededError,
    DecodeError,
    Doctor,
    Failure,
    RateLimitedError,
    Success,
    TokenUnavailableError,
)

ALL_DOCTORS = [Doctor(str(doctor["name"]), RECORD) for doctor in DOCTORS]


class Stage:
    """A session, a clinic that meets the fault, a healthy one, and the ports they talk to."""

    def __init__(self, fault: Fault, call: str, *, times: float = math.inf) -> None:
        tls = fault_tls.good() if fault.tls else None
        self.fault = fault
        self.call = call
        self.times = times
        self.loop = cast("QuickLoop", asyncio.get_running_loop())
        self.tokens, self.api, self.spare, self.elsewhere = sides = (
            Side(TOKEN_JSON, tls),
            Side(DOCTORS_JSON, tls),
            Side(TOKEN_JSON.replace(b"canary", b"healthy"), tls),
            Side(DOCTORS_JSON),
        )
        self.sides = sides
        self.faulty = self.tokens if fault.side(call) == "token" else self.api
        self.faulty.late = call == "later"
        self.faulty.elsewhere = self.elsewhere
        self.taken: list[Doctor] = []

    async def __aenter__(self) -> Self:
        self.before = open_files()
        if self.fault.start is not None:
            self.faulty.start = self.fault.start
        for side in self.sides:
            await side.__aenter__()
        self.session = ArzamedSession(
            base_url=f"{self.scheme}://{self.api.host}:{self.api.port}/api/v1",
            retry=RETRY,
            timeouts=TIMEOUTS,
            limits=LIMITS,
            ssl_context=fault_tls.trusting() if self.fault.tls else None,
            clock=self.loop.time,
            wall_clock=self.loop.time,
        )
        self.clinic = self.session.clinic(self.credentials(self.tokens, "Faulty"))
        self.healthy = self.session.clinic(self.credentials(self.spare, "Healthy"))
        if self.fault.warm:
            assert await self.clinic.doctors.list() == ALL_DOCTORS
            if self.faulty is self.tokens:
                self.loop.skip(7200)  # the token has expired; the API's connection would have been idle for too long
            for side in self.sides:
                side.forget()
        if self.fault.act is not None:
            wanted = TOKEN if self.faulty is self.api else ""
            early = self.fault.stage == "accept"
            self.faulty.arm(self.fault.act, times=self.times, at_once=early, wanted=wanted)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.aclose()
        await until(lambda: not any(side.open for side in self.sides), "a connection is left behind the session")
        for side in self.sides:
            await side.__aexit__()

    @property
    def scheme(self) -> str:
        """How URLs begin."""
        return "https" if self.fault.tls else "http"

    def credentials(self, side: Side, name: str) -> ClinicCredentials:
        """Return credentials for a clinic whose token endpoint is there."""
        return ClinicCredentials(f"id-{name}", SECRET, f"{self.scheme}://{side.host}:{side.port}/token", name=name)

    async def run(self) -> Any:
        """Make the call. Returns what comes out, or raises what the call raises."""
        return await PLAY[self.call](self)

    def seconds_allowed(self) -> float:
        """Return the longest the call may take, by what its timeouts promise: for a broken stream, each wait anew."""
        if self.call == "later":
            return TIMEOUTS.total_seconds + RETRY.max_attempts * (TIMEOUTS.record_seconds * 2)
        return TIMEOUTS.total_seconds


def open_files() -> set[str]:
    """Return what the process has open: sockets by their inode, so that one is not taken for another."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - no path is needed
        try:
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        except OSError:  # the one this listing had open itself
            continue
    return found


async def _token(stage: Stage) -> str:
    return (await stage.clinic.token()).access_token


async def _list(stage: Stage) -> list[Doctor]:
    return await stage.clinic.doctors.list()


async def _stream(stage: Stage) -> list[Doctor]:
    async with stage.clinic.doctors.stream() as doctors:
        async for doctor in doctors:
            stage.taken.append(doctor)
            stage.faulty.taken.set()
    return stage.taken


async def _get(stage: Stage) -> bytes:
    response = await stage.clinic.get("equipe/doctors")
    assert 200 <= response.status <= 299
    with contextlib.suppress(DecodeError):
        response.json()
    return response.body


async def _fan_out(stage: Stage) -> list[Doctor]:
    async def fetch(clinic: Clinic) -> list[Doctor]:
        return await clinic.doctors.list()

    faulty, healthy = await stage.session.gather([stage.clinic, stage.healthy], fetch)
    assert isinstance(healthy, Success)
    assert healthy.value == ALL_DOCTORS
    assert len(stage.spare.requests) == 1
    assert faulty.clinic == "Faulty"
    assert isinstance(faulty, (Success, Failure))
    return faulty.unwrap()


PLAY: dict[str, Callable[[Stage], Awaitable[Any]]] = {
    "token": _token,
    "list": _list,
    "stream": _stream,
    "later": _stream,
    "get": _get,
    "fan-out": _fan_out,
}
USUAL: dict[str, Any] = {
    **dict.fromkeys(("list", "stream", "later", "fan-out"), ALL_DOCTORS),
    "token": TOKEN,
    "get": DOCTORS_JSON,
}


async def play(fault: Fault, call: str, outcome: Outcome, *, times: float = math.inf) -> None:
    """Make the call, hold it against the outcome, and then see that nothing is left and all works again."""
    stage = Stage(fault, call, times=times)
    async with stage:
        started = stage.loop.time()
        error: ArzamedError | None = None
        value = None
        try:
            value = await stage.run()
        except ArzamedError as caught:
            error = caught
        assert stage.loop.time() - started <= stage.seconds_allowed() + 1
        _check_outcome(stage, outcome, error, value)
        await _check_rest(stage)
        await _check_next(stage, error)
    await until(lambda: not asyncio.all_tasks() - {asyncio.current_task()}, "a task is left")
    await until(lambda: not open_files() - stage.before, "a file descriptor is left")
    assert stage.loop.complaints == []


def _check_outcome(stage: Stage, outcome: Outcome, error: ArzamedError | None, value: Any) -> None:
    """The class, its facts, what it does not say, and what was sent."""
    assert type(error) is (outcome.error or type(None)), repr(error)
    if error is None:
        assert value == (USUAL[stage.call] if outcome.value is None else outcome.value)
    else:
        assert error.__cause__ is None
        assert error.__context__ is None
        assert error.clinic == "Faulty"
        text = f"{error} {error!r} {error.args} {''.join(traceback.format_exception(error))}"
        assert not [said for said in (SECRET, TOKEN, RECORD) if said in text]
        assert {name: getattr(error, name) for name in outcome.facts} == outcome.facts
        assert all(taken == right for taken, right in zip(stage.taken, itertools.cycle(ALL_DOCTORS), strict=False))
        if not (isinstance(error, DeadlineExceededError) and stage.faulty is stage.tokens):  # a waiter's own deadline
            assert error.attempts == outcome.tries
    fault, faulty = stage.fault, stage.faulty
    if fault.stage == "start":
        arrived = 0
    else:
        assert faulty.struck == min(outcome.tries, stage.times)
        arrived = outcome.tries - (faulty.struck if fault.stage == "accept" else 0)
    sent = len(stage.tokens.requests), len([each for each in stage.api.requests if _is_faulty(each)])
    if faulty is stage.tokens:
        assert sent == (arrived, int(error is None and stage.call != "token"))
    else:
        assert sent == (outcome.tokens, arrived)
    assert stage.elsewhere.connections == 0


def _is_faulty(request: Any) -> bool:
    return TOKEN in request.headers["authorization"]


async def _check_rest(stage: Stage) -> None:
    """No slot is taken, no connection open that the pool does not know."""
    session = stage.session
    # (A token request that nobody waits for any more ends at its own deadline, a moment later.)
    await until(lambda: session.stats().pool.in_use == 0, "a slot of the pool is left taken")
    stats = session.stats()
    assert stats.pool.queued == 0
    assert all((each.in_flight, each.queued) == (0, 0) for each in stats.clinics.values())
    await until(lambda: not any(side.busy for side in stage.sides), "the server is not done")
    await until(
        lambda: sum(side.open for side in stage.sides) <= (session.stats().pool.open or 0),
        "a connection is open that is not in the pool",
    )


async def _check_shut(stage: Stage) -> None:
    """Until the pause that a 429 requires has passed, calls of this clinic fail without a request; others do not."""
    sent = len(stage.faulty.requests)
    with pytest.raises((RateLimitedError, TokenUnavailableError)) as caught:
        await PLAY["token" if stage.faulty is stage.tokens else "list"](stage)
    seconds = stage.fault.shut_seconds
    if stage.faulty is stage.tokens:
        seconds = min(seconds, 3600.0)  # longer pauses of token endpoints are not kept
    assert seconds - 1 < caught.value.retry_after_seconds <= seconds
    assert len(stage.faulty.requests) == sent
    assert await stage.healthy.doctors.list() == ALL_DOCTORS
    stage.loop.skip(stage.fault.shut_seconds)


async def _check_next(stage: Stage, error: ArzamedError | None) -> None:
    """With the server good again, the next calls on the same session work."""
    await stage.faulty.recover()
    if stage.fault.shut_seconds:
        await _check_shut(stage)
    if stage.faulty is stage.tokens:  # a failure is shared for a second, a rejection remembered for a minute
        paused = getattr(error, "retry_after_seconds", None) or 0.0  # a pause is kept, for an hour at most
        stage.loop.skip(61 if isinstance(error, CredentialsRejectedError) else 1.5 + min(paused, 3600.0))
        if stage.call == "token" and error is None:
            stage.loop.skip(7200)
    stage.faulty.late = False
    assert await stage.clinic.doctors.list() == ALL_DOCTORS
    assert (await stage.clinic.get("equipe/doctors")).body == DOCTORS_JSON
    assert (await stage.clinic.token()).access_token == TOKEN
    assert await stage.healthy.doctors.list() == ALL_DOCTORS
