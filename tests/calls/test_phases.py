"""An error for a deadline says what the call was doing then, and who has to be woken: over sockets, in quick time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support import RawServer, Request, answer, json_answer, token_answer
from support.quick_loop import quickly, until
from support.raw_server import take_ordinary_lane

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    DeadlineExceededError,
    Doctor,
    Failure,
    Finished,
    PoolLimits,
    Record,
    RetryPolicy,
    Timeouts,
)


class Silent:
    """A port of loopback that takes connections, and never responds."""

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port: int = self._listener.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._listener.close()


async def failure_of(call: Awaitable[Any]) -> ArzamedError:
    with pytest.raises(ArzamedError) as caught:
        await call
    return caught.value


async def hang(_request: Request, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def hang_api(request: Request, writer: asyncio.StreamWriter) -> None:
    if not request.is_token:
        await hang(request, writer)
    writer.write(token_answer())


async def hang_body(request: Request, writer: asyncio.StreamWriter) -> None:
    if request.is_token:
        writer.write(token_answer())
        return
    writer.write(answer(200, b"[" + b" " * 99)[:-10])
    await hang(request, writer)


def played(
    handler: Callable[[Request, asyncio.StreamWriter], Awaitable[None]],
    call: Callable[[ArzamedSession, Clinic], Awaitable[Any]],
    **options: Any,
) -> tuple[ArzamedError, RawServer]:
    """Return the error that a call at the end of `call` raises, and the server."""

    async def play() -> tuple[ArzamedError, RawServer]:
        async with RawServer(handler) as server:
            options.setdefault("timeouts", Timeouts(read_seconds=100))
            options.setdefault("retry", RetryPolicy.none())
            async with ArzamedSession(base_url=server.base_url, **options) as session:
                return await failure_of(call(session, session.clinic(server.credentials()))), server

    return quickly(play())


async def held(clinic: Clinic, server_has: Callable[[], bool]) -> asyncio.Task[Any]:
    """Start a call that holds its slot until it is cancelled."""
    task = asyncio.create_task(
        clinic.with_options(timeouts=Timeouts(total_seconds=1000, read_seconds=1000)).doctors.list()
    )
    await until(server_has, "the first call holds the slot")
    return task


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def read(_session: ArzamedSession, clinic: Clinic) -> None:
    """Read with a deadline of 5 s."""
    await clinic.with_options(timeouts=Timeouts(total_seconds=5)).doctors.list()


async def read_behind_another(session: ArzamedSession, clinic: Clinic) -> None:
    """Do so while another call holds the only slot."""
    await clinic.token()
    first = await held(clinic, lambda: session.stats().pool.in_use == 1)
    try:
        await read(session, clinic)
    finally:
        await cancelled(first)


def what_failed(error: BaseException | None) -> str:
    """Return the first sentence of an error, without what it advises."""
    return str(error).partition(". ")[0]


def test_a_slow_token_endpoint_is_named() -> None:
    """A call that has no token by its deadline says so with the token endpoint's host, and not "no response"."""
    error, server = played(hang, read)
    assert str(error).startswith(
        f"Milano: GET equipe/doctors: deadline of 5 s exceeded while waiting for a token from 127.0.0.1:{server.port}"
    )
    assert server.api_requests == 0


def test_a_wait_for_a_token_says_what_its_request_does() -> None:
    """The error of a caller that waits for a token names what the token request does, and how it failed last."""
    tries = 0

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        if tries > 1:
            await hang(request, writer)
        writer.write(json_answer(503, {}))

    error, server = played(handler, read, retry=RetryPolicy(initial_backoff_seconds=0.001))
    assert what_failed(error).endswith(
        f"while waiting for a token from 127.0.0.1:{server.port} (waiting for the response (last failure: HTTP 503))"
    )


def test_a_wait_between_two_token_requests_is_no_response_that_is_late() -> None:
    """A caller whose deadline passes while the token request waits before its next attempt learns that."""

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(json_answer(503, {}))

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=5)).doctors.list()

    retry = RetryPolicy(initial_backoff_seconds=1e6, max_backoff_seconds=1e6)
    error, server = played(handler, call, retry=retry)
    assert what_failed(error).endswith(
        f"while waiting for a token from 127.0.0.1:{server.port} (waiting before attempt 2 (last failure: HTTP 503))"
    )


def test_a_wait_for_token_alone_is_named() -> None:
    """`clinic.token()` says the same."""

    async def call(session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=5)).token()

    error, server = played(hang, call)
    assert f"while waiting for a token from 127.0.0.1:{server.port}" in str(error)


def test_the_token_request_itself_says_what_it_waited_for() -> None:
    """A token request that meets its own deadline says whether the server was connected to, and did not respond."""

    async def call(session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=500)).doctors.list()

    error, _ = played(hang, call)
    assert "no token within the deadline of 30 s while waiting for the response" in str(error)


def test_the_queue_of_the_clinic_is_named() -> None:
    """A call that waits for a slot of its clinic says so, with the number of slots and the setting."""
    error, server = played(hang_api, read_behind_another, pool=PoolLimits(connections_per_clinic=1))
    assert (
        "while waiting in the clinic's queue for one of its 1 connections (PoolLimits.connections_per_clinic)"
    ) in str(error)
    assert server.api_requests == 1


def test_the_pool_is_named() -> None:
    """A call that waits for a connection of the session says so, with their number and the setting."""
    error, _ = played(hang_api, read_behind_another, pool=PoolLimits(connections=1))
    assert "while waiting for one of the session's 1 connections (PoolLimits.connections)" in str(error)


@pytest.mark.parametrize("lane", ["direct", "aiohttp"])
def test_the_connection_is_named(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose deadline passes within the TLS handshake says which host it was connecting to."""
    if lane == "aiohttp":
        take_ordinary_lane(monkeypatch)
    with Silent() as port:

        async def play() -> ArzamedError:
            async with (
                RawServer() as server,
                ArzamedSession(
                    base_url=f"https://127.0.0.1:{port}/api",
                    retry=RetryPolicy.none(),
                    timeouts=Timeouts(total_seconds=5, connect_seconds=50),
                ) as session,
            ):
                return await failure_of(session.clinic(server.credentials()).doctors.list())

        error = quickly(play())
    assert f"deadline of 5 s exceeded while connecting to 127.0.0.1:{port}" in str(error)


@pytest.mark.parametrize(
    ("handler", "phase"),
    [(hang_api, "waiting for the response"), (hang_body, "reading the body")],
    ids=["head", "body"],
)
def test_the_response_and_its_body_are_told_apart(
    handler: Callable[[Request, asyncio.StreamWriter], Awaitable[None]], phase: str
) -> None:
    """Once the request is sent, the error says whether the response had begun."""

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=5, read_seconds=100)).doctors.list()

    error, _ = played(handler, call)
    assert what_failed(error) == f"Milano: GET equipe/doctors: deadline of 5 s exceeded while {phase}"


def test_a_later_window_of_a_stream_is_the_body() -> None:
    """A stream whose further records do not come is waiting for its body, whatever the step before waited for."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        record = b'{"name":"Dr. Inventata","profileImage":null}'
        writer.write(answer(200, b"[" + record + b"," + record * 99)[: -len(record) * 98])
        await hang(request, writer)

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        async for _ in clinic.doctors.stream():
            pass

    error, _ = played(handler, call, timeouts=Timeouts(record_seconds=7, read_seconds=100))
    assert "deadline of 7 s exceeded while reading the body" in str(error)


def test_the_wait_before_the_next_attempt_is_named() -> None:
    """A call that ends between two attempts says so, with the last failure."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else json_answer(500, {}))

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        retry = RetryPolicy(statuses={500}, initial_backoff_seconds=1e6, max_backoff_seconds=1e6)
        await clinic.with_options(timeouts=Timeouts(total_seconds=5), retry=retry).doctors.list()

    error, _ = played(handler, call)
    assert "deadline of 5 s exceeded while waiting before attempt 2 (last failure: HTTP 500)" in str(error)


def test_what_is_named_is_of_the_last_attempt() -> None:
    """A phase of an attempt that failed does not stay: the next one has its own."""
    tries = 0

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        if request.is_token:
            writer.write(token_answer())
            return
        tries += 1
        if tries > 1:
            await hang(request, writer)
        await asyncio.sleep(0)
        writer.write(answer(200, b"[" + b" " * 99)[:-10])
        writer.close()

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        retry = RetryPolicy(initial_backoff_seconds=0.001, max_backoff_seconds=0.001)
        await clinic.with_options(timeouts=Timeouts(total_seconds=5, read_seconds=100), retry=retry).doctors.list()

    error, _ = played(handler, call)
    assert isinstance(error, DeadlineExceededError)
    assert error.phase == "waiting for the response"
    assert "the body was cut" in error.last_failure


def test_the_repeat_after_a_401_waits_for_its_own_response() -> None:
    """A call that hangs after a request repeated with a new token waits for the response, not for a body."""
    sent = 0

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if request.is_token:
            writer.write(token_answer())
            return
        sent += 1
        if sent > 1:
            await hang(request, writer)
        writer.write(json_answer(401, {}))

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=5, read_seconds=100)).doctors.list()

    error, server = played(handler, call)
    assert server.api_requests == 2
    assert isinstance(error, DeadlineExceededError)
    assert error.phase == "waiting for the response"


def test_the_body_of_an_error_is_a_body() -> None:
    """A call whose deadline passes while the body of an HTTP 500 arrives says that it reads a body."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        writer.write(answer(500, b"{" + b" " * 99)[:-10])
        await hang(request, writer)

    async def call(_session: ArzamedSession, clinic: Clinic) -> Any:
        await clinic.with_options(timeouts=Timeouts(total_seconds=0.5, read_seconds=100)).doctors.list()

    error, _ = played(handler, call)
    assert isinstance(error, DeadlineExceededError)
    assert error.phase == "reading the body"


def test_a_shared_read_says_so() -> None:
    """A caller whose deadline passes while a read of several callers goes on says that it shared one."""
    error, _ = played(hang_api, read, coalesce=True)
    assert "while waiting for a response that several callers share (waiting for the response)" in str(error)


def test_the_deadline_of_a_fan_out_says_what_each_clinic_was_doing() -> None:
    """A clinic that the fan-out's deadline ends says what its fetch did; one that was not started says that."""

    async def play() -> list[str]:
        async with RawServer(hang_api) as server, ArzamedSession(base_url=server.base_url) as session:
            clinics = [session.clinic(server.credentials(name)) for name in ("Milano", "Roma")]
            outcomes = await session.gather(
                clinics, lambda each: each.doctors.list(), concurrency=1, deadline_seconds=5
            )
            return [what_failed(outcome.error) for outcome in outcomes if isinstance(outcome, Failure)]

    assert quickly(play()) == [
        "Milano: deadline of 5 s exceeded while waiting for the response",
        "Roma: deadline of 5 s exceeded while waiting to start",
    ]


def test_the_deadline_of_a_fan_out_names_a_token_endpoint() -> None:
    """A clinic that the fan-out's deadline ends while it waits for a token names the token endpoint."""

    async def play() -> tuple[str, int]:
        async with RawServer(hang) as server, ArzamedSession(base_url=server.base_url) as session:
            clinic = session.clinic(server.credentials())
            outcomes = await session.gather([clinic], lambda each: each.doctors.list(), deadline_seconds=5)
            return what_failed(outcomes[0].error), server.port

    text, port = quickly(play())
    assert text == (
        f"Milano: deadline of 5 s exceeded while waiting for a token from 127.0.0.1:{port} (waiting for the response)"
    )


def test_a_merge_does_not_count_the_wait_for_a_slot() -> None:
    """Streams of a merge wait for one another, and for its slow consumer, without a deadline that passes meanwhile."""

    async def play() -> list[str]:
        def streams(clinic: Clinic) -> AsyncIterator[Doctor]:
            return clinic.with_options(timeouts=Timeouts(total_seconds=2, record_seconds=2)).doctors.stream()

        seen: list[str] = []
        async with (
            RawServer() as server,
            ArzamedSession(
                base_url=server.base_url, pool=PoolLimits(connections=1, connections_per_clinic=1)
            ) as session,
        ):
            clinics = [session.clinic(server.credentials(name)) for name in ("Milano", "Roma", "Torino")]
            for each in clinics:
                await each.token()
            async with session.merge(clinics, streams, buffer=1) as merged:
                async for item in merged:
                    seen.append(type(item).__name__)
                    if isinstance(item, Record):
                        await asyncio.sleep(3)
        return seen

    seen = quickly(play())
    assert seen.count("Record") == 9
    assert seen.count(Finished.__name__) == 3


def test_the_deadline_of_a_merge_ends_that_wait() -> None:
    """The merge's own deadline holds for a stream that waits for a slot, too."""

    async def play() -> list[str]:
        async with (
            RawServer(hang_api) as server,
            ArzamedSession(
                base_url=server.base_url,
                timeouts=Timeouts(total_seconds=100, read_seconds=100),
                pool=PoolLimits(connections=1),
                retry=RetryPolicy.none(),  # else a reused connection that is silent is given up
            ) as session,
        ):
            clinics = [session.clinic(server.credentials(name)) for name in ("Milano", "Roma")]
            for each in clinics:
                await each.token()
            async with session.merge(clinics, lambda each: each.doctors.stream(), deadline_seconds=5) as merged:
                return sorted([what_failed(item.error) async for item in merged if isinstance(item, Failure)])

    assert quickly(play()) == [
        "Milano: deadline of 5 s exceeded while waiting for the response",
        "Roma: deadline of 5 s exceeded while waiting for one of the session's 1 connections (PoolLimits.connections)",
    ]


def test_a_call_outside_of_a_merge_keeps_its_deadline() -> None:
    """The consumer of a merge, and a task started before it, meet their own deadlines while they wait for a slot."""

    async def play() -> ArzamedError:
        async with (
            RawServer(hang_api) as server,
            ArzamedSession(
                base_url=server.base_url,
                timeouts=Timeouts(read_seconds=100),
                pool=PoolLimits(connections=1),
                retry=RetryPolicy.none(),
            ) as session,
        ):
            clinic = session.clinic(server.credentials())
            await clinic.token()
            async with session.merge([clinic], lambda each: each.doctors.stream()) as merged:
                step = asyncio.ensure_future(anext(merged))
                await until(lambda: session.stats().pool.in_use == 1, "the stream holds the connection")
                error = await failure_of(clinic.with_options(timeouts=Timeouts(total_seconds=5)).doctors.list())
                await cancelled(step)
                return error

    assert "deadline of 5 s exceeded while waiting for one of the session's 1 connections" in str(quickly(play()))


def test_credentials_do_not_show_in_a_phase() -> None:
    """The phase names the token endpoint's host, and nothing else of its URL."""

    async def play() -> ArzamedError:
        async with RawServer(hang) as server, ArzamedSession(base_url=server.base_url) as session:
            credentials = ClinicCredentials(
                "id", "x" * 9, f"http://127.0.0.1:{server.port}/invented-path-canary", name="c"
            )
            clinic = session.clinic(credentials)
            return await failure_of(clinic.with_options(timeouts=Timeouts(total_seconds=5)).doctors.list())

    assert "invented-path-canary" not in str(quickly(play()))
