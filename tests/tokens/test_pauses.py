"""A token endpoint that requires a pause (429 or 503 with Retry-After): it is kept, by all processes, and lifted by `forget`."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import pytest
import pytest_asyncio
from support import DOCTORS, RawServer, Request, json_answer, settle, token_answer
from support.tokens import Clock

from arzamed_async import ArzamedSession, RetryPolicy, StoredRejection, TokenStore, TokenUnavailableError
from arzamed_async._resilience.pace import LONGEST_PAUSE_SECONDS
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio


class Pausing(RawServer):
    """Hands out t1, t2, ..., or responds to token requests with `status` and `headers`."""

    def __init__(self) -> None:
        super().__init__(self.respond)
        self.status = 429
        self.headers = "Retry-After: 600\r\n"

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.is_token:
            writer.write(json_answer(200, DOCTORS))
        elif self.headers:
            body = {"error": "slow_down", "error_description": "invented reason"}
            writer.write(json_answer(self.status, body, self.headers))
        else:
            writer.write(token_answer(f"t{self.token_requests}"))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Pausing]:
    async with Pausing() as server:
        yield server


def opened(server: RawServer, clock: Clock, store: TokenStore | None = None, **options: Any) -> ArzamedSession:
    return ArzamedSession(base_url=server.base_url, token_store=store, clock=clock, wall_clock=clock.wall, **options)


async def failure(session: ArzamedSession, server: RawServer, name: str = "Milano") -> TokenUnavailableError:
    with pytest.raises(TokenUnavailableError) as caught:
        await session.clinic(server.credentials(name)).doctors.list()
    return caught.value


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_is_kept_without_a_request(server: Pausing, clock: Clock, status: int) -> None:
    """Six polls within seven seconds cost one request; each later one fails at once with the time left, until it is over."""
    server.status = status
    async with opened(server, clock) as session:
        first = await failure(session, server)
        assert (first.status, first.retry_after_seconds, first.attempts) == (status, 600.0, 1)
        for passed in range(1, 7):
            clock.advance(1)
            later = await failure(session, server)
            assert later.retry_after_seconds == 600 - passed
            assert (later.status, later.error, later.attempts) == (status, "slow_down", 0)
            assert f"request not sent: the token endpoint requires a pause (HTTP {status}, slow_down" in str(later)
            assert f"retry after {600 - passed} s" in str(later)
            assert str(pickle.loads(pickle.dumps(later))) == str(later)
        with pytest.raises(TokenUnavailableError):
            await session.clinic(server.credentials()).token()
        assert server.token_requests == 1
        server.headers = ""
        clock.advance(593.9)
        await failure(session, server)
        clock.advance(0.2)
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3


async def test_a_pause_is_of_one_clinic_at_one_endpoint(server: Pausing, clock: Clock) -> None:
    """Another clinic, and the same key at another token endpoint, are not held up."""
    async with Pausing() as other, opened(server, clock) as session:
        await failure(session, server)
        server.headers = other.headers = ""
        assert len(await session.clinic(server.credentials("Roma")).doctors.list()) == 3
        assert (await session.clinic(other.credentials()).token()).access_token == "t1"
        await failure(session, server)


async def test_a_pause_as_a_date_is_read_by_the_servers_clock(server: Pausing, clock: Clock) -> None:
    """A date in 600 s is that far away by the response's own Date, five minutes slow or fast as it is."""
    for skew in (-300, 300):
        date, until = (formatdate(clock.wall() + skew + each, usegmt=True) for each in (0, 600))
        server.headers = f"Retry-After: {until}\r\nDate: {date}\r\n"
        async with opened(server, clock) as session:
            await failure(session, server)
            clock.advance(1)
            assert (await failure(session, server)).retry_after_seconds == 599


async def test_a_pause_has_a_cap(server: Pausing, clock: Clock) -> None:
    """An absurd Retry-After holds a clinic up for an hour and no longer; the first error still tells what was required."""
    server.headers = "Retry-After: 99999999\r\n"
    async with opened(server, clock) as session:
        assert (await failure(session, server)).retry_after_seconds == 99_999_999
        clock.advance(1)
        assert (await failure(session, server)).retry_after_seconds == LONGEST_PAUSE_SECONDS - 1 == 3599
        clock.advance(3600)
        server.headers = ""
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3


@pytest.mark.parametrize("header", ["", "Retry-After: 0\r\n", "Retry-After: soon\r\n", "Retry-After: -5\r\n"])
async def test_without_a_pause_the_next_second_is_another_try(server: Pausing, clock: Clock, header: str) -> None:
    """A 503 that requires no pause is shared for a second, as any failure."""
    server.status, server.headers = 503, f"X-Invented: 1\r\n{header}"
    async with opened(server, clock, retry=RetryPolicy.none()) as session:
        await failure(session, server)
        clock.advance(1.1)
        await failure(session, server)
        assert server.token_requests == 2


async def test_a_pause_during_a_background_refresh(server: Pausing, clock: Clock) -> None:
    """While the token is good no call notices, and no request is sent before the pause is over."""
    headers, server.headers = server.headers, ""
    async with opened(server, clock) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        server.headers = headers.replace("600", "150")
        clock.advance(3400)
        for _ in range(14):
            assert len(await clinic.doctors.list()) == 3
            await settle_requests(session)
            clock.advance(10)
        assert server.token_requests == 2
        clock.advance(20)
        server.headers = ""
        assert len(await clinic.doctors.list()) == 3
        await settle_requests(session)
        assert server.token_requests == 3


async def settle_requests(session: ArzamedSession) -> None:
    while session._engine.clinics and any(state.tokens._source.flights._flights for state in session._engine.clinics):
        await asyncio.sleep(0.001)
    await settle()


async def test_forget_lifts_a_pause(server: Pausing, clock: Clock) -> None:
    """After `session.forget` the next call sends a request again."""
    async with opened(server, clock) as session:
        await failure(session, server)
        server.headers = ""
        await failure(session, server)
        session.forget(server.credentials())
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        assert server.token_requests == 2


# Several processes, with a token store.


async def test_a_pause_is_shared_through_a_store(server: Pausing, clock: Clock) -> None:
    """Sessions that find the pause in the store send no request, report what is left of it, and go on when it is over."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    async with opened(server, clock, store) as first:
        await failure(first, server)
    for passed in (100, 200):
        clock.advance(100)
        async with opened(server, clock, store) as later:
            for _ in range(2):
                error = await failure(later, server)
                assert error.retry_after_seconds == 600 - passed
                assert (error.status, error.error, error.description) == (429, "slow_down", "invented reason")
                assert "request not sent" in str(error)
            server_headers, server.headers = server.headers, ""
            assert len(await later.clinic(server.credentials("Roma")).doctors.list()) == 3
            server.headers = server_headers
    assert server.token_requests == 2
    server.headers = ""
    clock.advance(401)
    async with opened(server, clock, store) as last:
        assert len(await last.clinic(server.credentials()).doctors.list()) == 3


async def test_a_token_in_the_store_comes_before_a_pause(server: Pausing, clock: Clock) -> None:
    """A process that finds a token uses it, whatever pause another was told to keep."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    async with opened(server, clock, store) as first, opened(server, clock, store) as second:
        await failure(first, server)
        server.headers = ""
        first.forget(server.credentials())
        await first.clinic(server.credentials()).token()
        assert (await second.clinic(server.credentials()).token()).access_token == "t2"
    assert server.token_requests == 2


async def test_forget_lifts_a_stored_pause_for_one_request(server: Pausing, clock: Clock) -> None:
    """`forget` lets one request through although the pause is stored; what that is told counts from then on."""
    store = MemoryTokenStore(clock=clock, wall_clock=clock.wall)
    async with opened(server, clock, store) as first, opened(server, clock, store) as second:
        await failure(first, server)
        await failure(second, server)
        second.forget(server.credentials())
        await failure(second, server)
        assert server.token_requests == 2
        clock.advance(10)
        await failure(second, server)
        assert server.token_requests == 2
        server.headers = ""
        second.forget(server.credentials())
        await second.clinic(server.credentials()).token()
        assert server.token_requests == 3


@pytest.mark.parametrize(
    ("left", "paused"), [(3600, 3600), (3601, 0), (float("inf"), 0), (1e12, 0), (float("nan"), 0), (-5.0, 0)]
)
async def test_a_pause_that_was_tampered_with(server: Pausing, clock: Clock, left: float, paused: float) -> None:
    """A pause in a store holds a clinic up for an hour at most; one that is longer, no number, or over, does not at all."""

    class Tampered(MemoryTokenStore):
        async def load(self, key: str, /) -> Any:
            found = await super().load(key)
            return StoredRejection(429, "", "", left) if isinstance(found, StoredRejection) else found

    store = Tampered(clock=clock, wall_clock=clock.wall)
    async with opened(server, clock, store) as first:
        await failure(first, server)
    server.headers = ""
    async with opened(server, clock, store) as second:
        if paused:
            assert (await failure(second, server)).retry_after_seconds == paused
        else:
            assert len(await second.clinic(server.credentials()).doctors.list()) == 3
