"""The token cache, with a fetch that the test holds in its hands and a clock that it moves."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Coroutine

import pytest
from support import settle
from support.tokens import CREDENTIALS, POLICY, Clock, Endpoint

from arzamed_async import (
    ConfigurationError,
    CredentialsRejectedError,
    SessionClosedError,
    TokenError,
    TokenPolicy,
    TokenUnavailableError,
)
from arzamed_async._concurrency.single_flight import SingleFlight
from arzamed_async._tokens.cache import TokenCache, TokenSource
from arzamed_async._tokens.oauth2 import IssuedToken

pytestmark = pytest.mark.asyncio


async def value(cache: TokenCache) -> str:
    return (await cache.get()).token().access_token


async def test_cold_crowd_makes_one_request(cache: TokenCache, endpoint: Endpoint) -> None:
    """Any number of callers of a cold cache cause one request and get the same token."""
    tokens = await asyncio.gather(*(value(cache) for _ in range(10_000)))
    assert set(tokens) == {"token-1"}
    assert endpoint.calls == 1


async def test_cold_crowd_shares_the_failure(cache: TokenCache, endpoint: Endpoint) -> None:
    """A failure is shared: one request, and each waiter raises an instance of its own."""
    endpoint.error = lambda: TokenError(status=400, error="invalid_scope")
    errors = await asyncio.gather(*(cache.get() for _ in range(1000)), return_exceptions=True)
    assert endpoint.calls == 1
    assert {type(error) for error in errors} == {TokenError}
    assert len({id(error) for error in errors}) == 1000
    assert {error.error for error in errors if isinstance(error, TokenError)} == {"invalid_scope"}


async def test_failure_is_shared_one_second_more(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """Who comes up to a second behind a failure gets it too; then the endpoint is asked again."""
    endpoint.error = lambda: TokenUnavailableError(status=503)
    with pytest.raises(TokenUnavailableError):
        await cache.get()
    clock.advance(0.9)
    with pytest.raises(TokenUnavailableError):
        await cache.get()
    assert endpoint.calls == 1
    clock.advance(0.2)
    endpoint.error = None
    assert await value(cache) == "token-2"


async def test_rejected_credentials_are_remembered(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """Refused credentials are not tried again for rejected_seconds."""
    endpoint.error = lambda: CredentialsRejectedError(status=401)
    for _ in range(3):
        with pytest.raises(CredentialsRejectedError):
            await cache.get()
        clock.advance(19)
    assert endpoint.calls == 1
    clock.advance(4)
    endpoint.error = None
    assert await value(cache) == "token-2"


async def test_cancelling_the_first_waiter_leaves_the_others_with_a_token(
    cache: TokenCache, endpoint: Endpoint
) -> None:
    """The request belongs to the cache: cancelling the caller that started it disturbs nobody else."""
    endpoint.gate = asyncio.Event()
    tasks = [asyncio.create_task(value(cache)) for _ in range(100)]
    await settle()
    tasks[0].cancel()
    await settle()
    endpoint.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == ["token-1"] * 99
    assert endpoint.calls == 1


async def test_token_nobody_waits_for_any_more_is_kept(cache: TokenCache, endpoint: Endpoint) -> None:
    """With every waiter gone the request runs on, and its token, which may be billed, is kept."""
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(cache.get())
    await settle()
    task.cancel()
    await settle()
    endpoint.gate.set()
    await settle()
    assert cache.current() is not None
    assert endpoint.calls == 1


async def test_refresh_runs_in_the_background(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """From refresh_ahead_seconds before expiry one request runs while callers go on with the valid token."""
    await cache.get()
    clock.advance(3299)
    assert await value(cache) == "token-1"
    await settle()
    assert endpoint.calls == 1
    clock.advance(2)
    endpoint.gate = asyncio.Event()
    assert [await value(cache) for _ in range(50)] == ["token-1"] * 50
    endpoint.gate.set()
    await settle()
    assert endpoint.calls == 2
    assert await value(cache) == "token-2"


async def test_failed_background_refresh_is_never_noticed(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """A background refresh that fails costs callers nothing, and the next try is refresh_retry_seconds away."""
    await cache.get()
    clock.advance(3301)
    endpoint.error = lambda: TokenUnavailableError(status=503)
    for _ in range(29):
        assert await value(cache) == "token-1"
        await settle()
        clock.advance(1)
    assert endpoint.calls == 2
    clock.advance(2)
    assert await value(cache) == "token-1"
    await settle()
    assert endpoint.calls == 3


async def test_failed_background_refresh_is_not_shared_at_the_margin(
    cache: TokenCache, endpoint: Endpoint, clock: Clock
) -> None:
    """A caller that enters the margin right behind a failed background refresh has a request of its own."""
    await cache.get()
    clock.advance(3569.5)
    endpoint.error = lambda: TokenUnavailableError(status=503)
    assert await value(cache) == "token-1"
    await settle()
    clock.advance(0.6)
    endpoint.error = None
    assert await value(cache) == "token-3"


async def test_within_the_margin_callers_wait(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """Within margin_seconds of expiry callers wait for the new token, even while the old one is valid."""
    await cache.get()
    clock.advance(3571)
    assert cache.current() is None
    assert await value(cache) == "token-2"


async def test_short_lives_shrink_both_windows(clock: Clock) -> None:
    """For a life of 40 s callers wait only in its last quarter, and the refresh begins at its half."""
    endpoint = Endpoint(clock, life=40.0)
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
    held = await cache.get()
    assert (held.refresh_at, held.wait_at, held.expires_at) == (1020.0, 1030.0, 1040.0)


async def test_age_counts_from_before_the_request(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """A token that took ten seconds to come lives ten seconds less."""
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(cache.get())
    await settle()
    clock.advance(10)
    endpoint.gate.set()
    assert (await task).expires_at == 4600.0


async def test_token_expired_on_arrival_is_an_error(clock: Clock) -> None:
    """A token whose life ended on the way is never handed out."""
    endpoint = Endpoint(clock, life=5.0)
    endpoint.gate = asyncio.Event()
    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall), CREDENTIALS)
    task = asyncio.create_task(cache.get())
    await settle()
    clock.advance(6)
    endpoint.gate.set()
    with pytest.raises(TokenError, match="expired before it arrived"):
        await task


async def test_token_expired_before_its_waiter_wakes_is_not_handed_out(clock: Clock) -> None:
    """A waiter that wakes too late for its token gets the next one, and gives up behind the second."""
    endpoint = Endpoint(clock, life=5.0)

    class Late(Clock):
        calls = itertools.count()

        def __call__(self) -> float:
            return 1000.0 + 4 * next(self.calls)

    endpoint.clock = late = Late()
    cache = TokenCache(TokenSource(endpoint, POLICY, late, clock.wall), CREDENTIALS)
    with pytest.raises(TokenError):
        await cache.get()
    assert endpoint.calls <= 2


async def test_a_day_of_calls_costs_a_token_an_hour(clock: Clock) -> None:
    """In 24 hours with a call every second there are at most 32 requests, and once warm no call waits."""
    endpoint = Endpoint(clock)
    cache = TokenCache(TokenSource(endpoint, TokenPolicy(), clock, clock.wall), CREDENTIALS)
    await cache.get()
    for _ in range(24 * 3600):
        clock.advance(1)
        if cache.current() is None:
            pytest.fail("a call had to wait")
        if endpoint.concurrent or cache._source.flights._flights:
            await settle()
    assert 24 <= endpoint.calls <= 32


async def test_401s_for_one_stale_token_cause_one_refresh(cache: TokenCache, endpoint: Endpoint) -> None:
    """A hundred concurrent 401s for the current token replace it once."""
    stale = await cache.get()

    async def refused() -> str:
        assert cache.reject(stale)
        return await value(cache)

    assert set(await asyncio.gather(*(refused() for _ in range(100)))) == {"token-2"}
    assert endpoint.calls == 2


async def test_late_401_of_an_old_token_costs_nothing(cache: TokenCache, endpoint: Endpoint, clock: Clock) -> None:
    """A 401 for a token that has been replaced since asks the endpoint for nothing."""
    old = await cache.get()
    clock.advance(3590)
    await cache.get()
    assert cache.reject(old)
    assert await value(cache) == "token-2"
    assert endpoint.calls == 2


async def test_401_for_every_token_costs_two_requests_a_minute(
    cache: TokenCache, endpoint: Endpoint, clock: Clock
) -> None:
    """If a token fetched for a 401 is answered 401 itself, none is replaced for rejected_seconds."""
    counts = []
    for _ in range(180):
        held = await cache.get()
        if cache.reject(held):
            cache.reject(await cache.get())
        counts.append(endpoint.calls)
        clock.advance(1)
    for start in range(180 - 60):
        assert counts[start + 59] - (counts[start - 1] if start else 0) <= 2
    assert endpoint.calls >= 3


async def test_repr_hides_the_token(cache: TokenCache) -> None:
    """The repr of what the cache holds shows no token."""
    held = await cache.get()
    assert "token-1" not in repr(held)
    assert held.headers() == {"Authorization": "Bearer token-1"}


async def test_a_request_that_is_cancelled_ends_who_waits(clock: Clock, endpoint: Endpoint) -> None:
    """When the session cancels the request on its way nobody waits forever, and the next caller starts anew."""
    tasks: list[asyncio.Task] = []

    def spawn(work: Coroutine) -> asyncio.Task:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall, SingleFlight(spawn)), CREDENTIALS)
    endpoint.gate = asyncio.Event()
    task = asyncio.create_task(cache.get())
    await settle()
    tasks[0].cancel()
    with pytest.raises(SessionClosedError):
        await task
    impatient = asyncio.create_task(cache.get())
    await asyncio.sleep(0)
    tasks[1].cancel()  # before its first step
    impatient.cancel()
    await asyncio.wait([impatient, tasks[1]])
    endpoint.gate = None
    assert (await cache.get()).token().access_token


async def test_a_request_cancelled_before_its_first_step_leaves_nobody_waiting(
    clock: Clock, endpoint: Endpoint
) -> None:
    """Who waits for a request that is cancelled before it has even begun is told, and the next caller starts anew."""
    tasks: list[asyncio.Task] = []

    def spawn(work: Coroutine) -> asyncio.Task:
        tasks.append(asyncio.Task(work))  # not by the loop's factory: an eager task has begun by now
        tasks[-1].cancel()
        return tasks[-1]

    cache = TokenCache(TokenSource(endpoint, POLICY, clock, clock.wall, SingleFlight(spawn)), CREDENTIALS)
    waiting = asyncio.create_task(cache.get())
    with pytest.raises(SessionClosedError):
        await waiting
    assert endpoint.calls == 0
    cache._source = TokenSource(endpoint, POLICY, clock, clock.wall)
    assert await value(cache) == "token-1"


async def test_a_bug_in_a_background_refresh_costs_no_request_a_call(
    cache: TokenCache, endpoint: Endpoint, clock: Clock
) -> None:
    """Whatever a background refresh dies of, an exception nobody foresaw included, the next is refresh_retry_seconds away."""
    told: list[type] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(type(context["exception"])))
    await cache.get()
    clock.advance(3301)
    endpoint.error = lambda: ZeroDivisionError("an invented bug")  # type: ignore[assignment, return-value]
    for _ in range(29):
        assert await value(cache) == "token-1"
        await settle()
        clock.advance(1)
    assert endpoint.calls == 2
    clock.advance(2)
    endpoint.error = None
    await cache.get()
    await settle()
    assert await value(cache) == "token-3"
    gc.collect()
    assert told == [ZeroDivisionError]  # by asyncio, as for any task that nobody awaits


async def test_a_margin_wider_than_the_refresh(clock: Clock, endpoint: Endpoint) -> None:
    """With a margin wider than refresh_ahead callers wait all the same: the margin has the last word."""
    cache = TokenCache(
        TokenSource(endpoint, TokenPolicy(refresh_ahead_seconds=0, jitter_seconds=0), clock, clock.wall), CREDENTIALS
    )
    await cache.get()
    clock.advance(3571)
    assert await value(cache) == "token-2"


async def test_a_fetch_that_fails_in_an_eager_task_is_told(clock: Clock) -> None:
    """Where tasks take their first step at once (asyncio.eager_task_factory) a fetch may fail before it is awaited."""

    async def fetch(*_: object) -> IssuedToken:
        raise ConfigurationError("invented")

    def eager(work: Coroutine) -> asyncio.Task:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with pytest.raises(StopIteration):
            work.send(None)
        over.set_result(None)
        return over  # type: ignore[return-value]

    cache = TokenCache(TokenSource(fetch, POLICY, clock, clock.wall, SingleFlight(eager)), CREDENTIALS)
    async with asyncio.timeout(60):
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="invented"):
                await cache.get()
