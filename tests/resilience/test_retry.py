"""Retries under any policy: how often, after how long, and when not. The event loop's time is the test's: nothing sleeps."""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import math
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import pytest
from attrs import frozen
from hypothesis import event, given
from hypothesis import strategies as st

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ClinicCredentials,
    DeadlineExceededError,
    Event,
    RetryPolicy,
    RetryScheduled,
    StatusError,
    Timeouts,
    TokenError,
    TokenUnavailableError,
    TransportError,
)
from arzamed_async._concurrency.cancel_scope import PAUSE_SECONDS
from arzamed_async._http.outgoing import Outgoing
from arzamed_async._http.response import HttpResponse
from arzamed_async._resilience.retry import SPREAD, Retries, delay_seconds, retry

R = TypeVar("R")
CREDENTIALS = ClinicCredentials("id", "invented", "https://auth.invented.example/token", name="Milano")
GOOD = {"GET": b"[]", "POST": b'{"access_token": "invented", "token_type": "Bearer", "expires_in": 3600}'}
WALL = 1_700_000_000
STATUSES = [408, 429, 500, 502, 503, 504]


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: where others would sleep, its clock jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = selectors.DefaultSelector()
        self._wait = selector.select
        selector.select = self._jump  # type: ignore[method-assign]
        super().__init__(selector)

    def _jump(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everything waits, and nothing will wake it"
        if timeout > 0:
            timer = next((each for each in sorted(self._scheduled) if not each.cancelled()), None)
            assert timer is not None
            self.now = max(self.now, timer.when())
        return self._wait(0)

    def time(self) -> float:
        return self.now


def in_no_time(main: Callable[[JumpingLoop], Coroutine[Any, Any, R]]) -> R:
    """Run a coroutine whose sleeps cost nothing."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@frozen
class Try:
    """What the server does with one request: a status (0: it is lost), and how long it takes."""

    status: int = 0
    lasting: bool = False
    asked: float | None = None  # the wait that its Retry-After asks for
    header: str | None = None
    seconds: float = 0.0
    date: str | None = None


class Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_nowait(self) -> bytes:
        data, self._data = self._data, b""
        return data

    async def readany(self) -> bytes:
        return self.read_nowait()

    def at_eof(self) -> bool:
        return not self._data


class Script:
    """Stands where the HTTP pool stands: one method's requests are answered by script, then well."""

    def __init__(self, method: str, tries: list[Try], loop: JumpingLoop) -> None:
        self.method = method
        self.left = list(tries)
        self.loop = loop
        self.began: list[float] = []
        self.ended: list[float] = []

    async def acquire_slot(self) -> None:
        pass

    async def open(self, outgoing: Outgoing, _headers: Mapping[str, str], scope: Any) -> HttpResponse:
        current = Try(200)
        method = outgoing.method
        if method == self.method:
            self.began.append(self.loop.time())
            current = self.left.pop(0) if self.left else current
            await asyncio.sleep(current.seconds)
            self.ended.append(self.loop.time())
        if not current.status:
            raise TransportError("an invented fault", transient=not current.lasting)
        given = {"Retry-After": current.header, "Date": current.date}
        sent = {name: value for name, value in given.items() if value is not None}
        content = Body(GOOD[method] if current.status == 200 else b"{}")
        return HttpResponse(
            current.status,
            sent,
            content,
            lambda: None,
            "invented",
            scope,
            lambda *_: TransportError(),
            (outgoing.clinic_slot,),
        )


def retry_after(seconds: float, form: str) -> tuple[float | None, str | None]:
    """Return what a Retry-After asks for, and its text. (A date counts from the wall clock, which stands still here.)"""
    if form == "date":
        whole = int(seconds) - 50
        return max(0.0, float(whole)), email.utils.formatdate(WALL + whole, usegmt=True)
    if form == "garbage":
        return None, "soon"
    return float(f"{seconds:.3f}"), f"{seconds:.3f}"


@st.composite
def tries(draw: st.DrawFn) -> Try:
    asked, header = None, None
    status = draw(st.sampled_from([0, *STATUSES, 503, 503]))
    if status and draw(st.booleans()):
        asked, header = retry_after(draw(st.floats(0, 100)), draw(st.sampled_from(["seconds", "date", "garbage"])))
    seconds = draw(st.sampled_from([0.0, 0.0, 0.01, 1.0]))
    return Try(status, draw(st.sampled_from([False, False, True])), asked, header, seconds)


policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 9),
    initial_backoff_seconds=st.floats(1e-6, 5),
    max_backoff_seconds=st.floats(1e-6, 200),
    max_retry_after_seconds=st.floats(0, 120),
    budget=st.just(math.inf),
    statuses=st.sampled_from([STATUSES, STATUSES, STATUSES, [503], []]),
    token_statuses=st.sampled_from([STATUSES, STATUSES, STATUSES, [503], []]),
)


@frozen
class Told:
    """What came of a call under a script."""

    waits: list[float]  # as events told them
    script: Script
    error: ArzamedError | None
    seconds: float


def call(method: str, policy: RetryPolicy, script: list[Try], total: float) -> Told:
    async def main(loop: JumpingLoop) -> Told:
        events: list[Event] = []
        session = ArzamedSession(
            retry=policy, timeouts=Timeouts(total_seconds=total), observers=[events.append], wall_clock=lambda: WALL
        )
        pool = Script(method, script, loop)
        session._engine.transport.acquire_slot = pool.acquire_slot  # type: ignore[method-assign]
        session._engine.transport.open = pool.open  # type: ignore[method-assign]
        clinic = session.clinic(CREDENTIALS)
        error: ArzamedError | None = None
        try:
            await (clinic.doctors.list() if method == "GET" else clinic.token())
        except ArzamedError as failure:
            error = failure
        seconds = loop.time()
        await session.aclose()
        return Told([each.delay_seconds for each in events if isinstance(each, RetryScheduled)], pool, error, seconds)

    return in_no_time(main)


def last_word(method: str, policy: RetryPolicy, last: Try, attempts: int, left: float) -> str:
    """Return why the call may end behind this failure: "" where it has to go on."""
    if not last.status and last.lasting:
        return "lasting"
    if last.status and last.status not in (policy.statuses if method == "GET" else policy.token_statuses):
        return "status"
    if last.asked is not None and (last.asked > policy.max_retry_after_seconds or last.asked >= left):
        return "asked for too long a wait"
    return "attempts" if attempts >= policy.max_attempts else ""


@given(st.sampled_from(["GET", "POST"]), policies, st.lists(tries(), min_size=1, max_size=10), st.floats(0.5, 500))
def test_any_policy_and_any_failures(method: str, policy: RetryPolicy, script: list[Try], total: float) -> None:
    """Waits lie within their bounds, a Retry-After is kept to or fails at once, attempts never exceed the policy."""
    told = call(method, policy, script, total)
    began, ended = told.script.began, told.script.ended
    assert 1 <= len(began) <= policy.max_attempts
    for number, (wait, failed) in enumerate(zip(told.waits, script, strict=False), 1):
        assert last_word(method, policy, failed, number, total - ended[number - 1]) == ""
        ceiling = min(policy.max_backoff_seconds, policy.initial_backoff_seconds * 2 ** (number - 1))
        if failed.asked is None:
            assert 0 <= wait <= ceiling
        else:
            assert failed.asked <= wait <= max(failed.asked, ceiling) + max(ceiling, failed.asked * SPREAD)
            assert wait < total - ended[number - 1] or wait <= ceiling
        if number < len(began):
            assert began[number] == pytest.approx(ended[number - 1] + wait)
    assert told.seconds <= total + PAUSE_SECONDS
    if len(told.waits) == len(began) or len(ended) < len(began):
        assert isinstance(told.error, (DeadlineExceededError, TokenUnavailableError))
        assert total <= told.seconds
        event("the deadline passed")
        return
    assert len(told.waits) == len(began) - 1
    if len(began) > len(script):
        assert told.error is None
        event("it worked in the end")
        return
    last = script[len(began) - 1]
    why = last_word(method, policy, last, len(began), total - ended[-1])
    assert why
    assert told.error is not None
    assert told.error.attempts == len(began)
    assert told.seconds == ended[-1], "it failed at once"
    if last.status:
        assert isinstance(told.error, StatusError if method == "GET" else TokenError)
        assert told.error.status == last.status
        assert told.error.retry_after_seconds == last.asked
    else:
        assert isinstance(told.error, TransportError if method == "GET" else TokenUnavailableError)
    event(f"the last word: {why}")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("asked", "total"), [(20.001, 500.0), (10.0, 10.0), (10.0, 3.0)])
def test_a_retry_after_beyond_cap_or_deadline_fails_at_once(method: str, asked: float, total: float) -> None:
    """A wait over the policy's cap, or to the deadline or behind it, is not begun: the error comes at once and tells it."""
    told = call(method, RetryPolicy(), [Try(503, asked=asked, header=str(asked))], total)
    assert isinstance(told.error, (StatusError, TokenError))
    assert told.error.retry_after_seconds == asked
    assert (told.seconds, told.waits, len(told.script.began)) == (0.0, [], 1)


def test_a_retry_after_at_the_cap_is_obeyed() -> None:
    """A wait of exactly the cap is kept to, and is no attempt less."""
    told = call("GET", RetryPolicy(), [Try(429, asked=20.0, header="20")] * 3, 500.0)
    assert told.error is None
    assert len(told.waits) == 3
    assert all(20.0 <= wait <= 25.0 for wait in told.waits)
    assert [ends - begins for begins, ends in itertools.pairwise(told.script.began)] == pytest.approx(told.waits)


def drawn(*shares: float) -> Callable[[float, float], float]:
    """Return a `uniform` that draws these shares of its range, one after the other."""
    left = iter(shares)

    def uniform(least: float, most: float) -> float:
        return least + (most - least) * next(left)

    return uniform


@pytest.mark.parametrize(
    ("asked", "ceiling", "left", "shares", "seconds"),
    [
        (None, 4.0, None, (0.5,), 2.0),  # no Retry-After: full jitter, and no spread
        (None, 4.0, 1.0, (0.5,), 2.0),
        (0.0, 4.0, None, (0.5, 0.0), 2.0),  # 0 is no invitation to return at once
        (0.0, 4.0, None, (0.5, 0.5), 4.0),
        (1.0, 0.25, None, (1.0, 0.0), 1.0),  # what was asked, if that is longer
        (1.0, 0.25, None, (0.0, 1.0), 1.25),
        (1.0, 4.0, None, (0.5, 0.0), 2.0),  # the own backoff, if that is longer
        (20.0, 0.25, None, (0.0, 1.0), 25.0),  # a longer wait is spread more widely
        (20.0, 0.25, 24.0, (0.0, 1.0), 22.0),  # half of the time that remains is for the request
        (1.0, 4.0, 1.5, (0.5, 1.0), 2.0),  # nothing remains
    ],
)
def test_a_delay(
    asked: float | None, ceiling: float, left: float | None, shares: tuple[float, ...], seconds: float
) -> None:
    """The delay is the longer of what was asked and the own random backoff, plus a random spread, before the deadline."""
    assert delay_seconds(asked, ceiling, left, drawn(*shares)) == seconds


@given(
    st.none() | st.floats(0, 1000),
    st.floats(1e-6, 200),
    st.none() | st.floats(0, 1000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_any_delay(asked: float | None, ceiling: float, left: float | None, own: float, spread: float) -> None:
    """No delay is shorter than what was asked, or longer than the spread allows; one that fits leaves time for the request."""
    seconds = delay_seconds(asked, ceiling, left, drawn(own, spread))
    if asked is None:
        assert 0 <= seconds <= ceiling
        return
    base = max(asked, own * ceiling)
    assert base <= seconds <= base + max(ceiling, asked * SPREAD)
    if left is not None and base < left:
        assert seconds < left


def test_a_crowd_that_is_told_the_same_does_not_return_at_once() -> None:
    """Sixty callers told "1" at the same instant return over a quarter of a second, evenly, and none before the second."""
    random.seed(20_261_128)

    async def main(loop: JumpingLoop) -> list[float]:
        works = [Failing(1, asked=1.0) for _ in range(60)]
        await asyncio.gather(*(retry(work.attempt, TransportError(), work, Retries(RetryPolicy())) for work in works))
        return sorted(work.waits[0] for work in works)

    waits = in_no_time(main)
    assert 1.0 <= waits[0] < 1.02
    assert 1.23 < waits[-1] <= 1.25
    assert max(ends - begins for begins, ends in itertools.pairwise(waits)) < 0.05
    assert all(abs((wait - 1) / 0.25 - rank / 60) < 0.2 for rank, wait in enumerate(waits))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "header", ["0", "0.0", email.utils.formatdate(WALL, usegmt=True), email.utils.formatdate(WALL - 60, usegmt=True)]
)
def test_a_server_in_trouble_that_requests_no_delay_gets_none_at_once(method: str, header: str) -> None:
    """A Retry-After of 0, or a date that is now or past, leaves the backoff as it is: no four requests in one instant."""
    random.seed(20_261_128)
    seconds = [call(method, RetryPolicy(), [Try(503, asked=0.0, header=header)] * 3, 500.0).seconds for _ in range(40)]
    assert min(seconds) > 0.1
    assert 0.8 < sum(seconds) / len(seconds) < 2.6  # twice the half of 0.25 + 0.5 + 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("skew", [-300, 300, -86_400, 86_400])
def test_a_servers_clock_does_not_matter(method: str, skew: int) -> None:
    """A date in 3 s is 3 s away by the response's own Date, however slow or fast the server's clock is."""
    date, until = (email.utils.formatdate(WALL + skew + each, usegmt=True) for each in (0, 3))
    told = call(method, RetryPolicy(), [Try(503, asked=3.0, header=until, date=date)], 500.0)
    assert told.error is None
    assert 3.0 <= told.seconds <= 3.75


class Failing:
    """Work that fails so often, and keeps what it is told."""

    deadline = None

    def __init__(self, failures: int, asked: float | None = None) -> None:
        self.failures = failures
        self.asked = asked
        self.attempts = 1
        self.waits: list[float] = []

    async def attempt(self) -> str:
        self.attempts += 1
        if self.attempts > self.failures:
            return "done"
        raise TransportError

    def delay_asked_for(self, error: ArzamedError) -> float | None:
        return self.asked

    def retry_scheduled(self, error: ArzamedError, seconds: float) -> None:
        self.waits.append(seconds)


def test_the_jitter_is_full() -> None:
    """Waits are drawn from all of 0 to the ceiling, evenly, and the ceiling doubles up to the cap."""
    random.seed(20_260_611)
    policy = RetryPolicy(max_attempts=6, initial_backoff_seconds=0.5, max_backoff_seconds=3.0)
    ceilings = [0.5, 1.0, 2.0, 3.0, 3.0]

    async def main(loop: JumpingLoop) -> list[list[float]]:
        works = [Failing(5) for _ in range(1000)]
        await asyncio.gather(*(retry(work.attempt, TransportError(), work, Retries(policy)) for work in works))
        assert {work.attempts for work in works} == {6}
        return [work.waits for work in works]

    rows = in_no_time(main)
    for number, ceiling in enumerate(ceilings):
        shares = sorted(row[number] / ceiling for row in rows)
        assert 0 <= shares[0] < 0.02
        assert 0.98 < shares[-1] <= 1
        assert all(abs(share - rank / 1000) < 0.08 for rank, share in enumerate(shares))


def test_no_function_that_python_3_16_removes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is made, and retries, without `asyncio.iscoroutinefunction`: from 3.14 it emits a DeprecationWarning."""
    monkeypatch.delattr(asyncio, "iscoroutinefunction")
    assert len(call("GET", RetryPolicy(max_attempts=2), [Try(503)], 500.0).waits) == 1
