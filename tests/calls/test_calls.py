"""One call through its layers, on real sockets: retries, the repeat after a 401, one deadline over everything."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import math
from collections import Counter

import pytest
from support import CLOCK_BIT, DOCTORS, SECRET, TOKEN, RawServer, Request, answer, json_answer, settle, token_answer

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ConfigurationError,
    CredentialsRejectedError,
    DeadlineExceededError,
    DecodeError,
    Event,
    ForbiddenError,
    LimitExceededError,
    Limits,
    NotFoundError,
    RateLimitedError,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    ServiceUnavailableError,
    SessionClosedError,
    StatusError,
    Timeouts,
    TokenError,
    TokenRequestFinished,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)
from arzamed_async._http import response as _attempts

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)


def script(server: RawServer, *answers: bytes | None, token: bytes | None = None) -> None:
    """Have the server send these responses to reads in turn (None: hang up), then good ones."""
    left = list(answers)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token or token_answer())
        elif not left:
            await server.good(request, writer)
        elif (next_answer := left.pop(0)) is None:
            writer.close()
        else:
            writer.write(next_answer)

    server.handler = handler


async def test_ten_thousand_cold_token_calls_make_one_request() -> None:
    """10,000 concurrent clinic.token() on a cold cache make one token request."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        tokens = await asyncio.gather(*(session.clinic(server.credentials()).token() for _ in range(10_000)))
    assert {token.access_token for token in tokens} == {TOKEN}
    assert server.token_requests == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "requests"),
    [
        (400, {"error": "invalid_scope"}, TokenError, 1),
        (400, {"error": "invalid_client"}, CredentialsRejectedError, 1),
        (503, {}, TokenUnavailableError, 4),
    ],
)
async def test_ten_thousand_cold_token_calls_share_a_failure(
    status: int, body: dict[str, str], kind: type[TokenError], requests: int
) -> None:
    """10,000 concurrent calls share one refusal, or one series of retries; each raises an instance of its own."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, token=json_answer(status, body))
        clinic = session.clinic(server.credentials())
        errors = await asyncio.gather(*(clinic.token() for _ in range(10_000)), return_exceptions=True)
    assert {type(error) for error in errors} == {kind}
    assert len({id(error) for error in errors}) == 10_000
    assert server.token_requests == requests
    assert {error.attempts for error in errors if isinstance(error, TokenError)} == {requests}


async def test_a_crowd_of_401s_refreshes_once() -> None:
    """A hundred reads that get HTTP 401 for one stale token cause one refresh, and all succeed."""
    stale = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer(f"token-{server.token_requests}"))
        elif request.headers["authorization"] == "Bearer token-1" and stale.is_set():
            writer.write(json_answer(401, {"error": "expired"}))
        else:
            writer.write(json_answer(200, DOCTORS))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.token()
        stale.set()
        lists = await asyncio.gather(*(clinic.doctors.list() for _ in range(100)))
    assert [len(doctors) for doctors in lists] == [3] * 100
    assert server.token_requests == 2
    assert server.api_requests <= 200


async def test_a_server_that_refuses_every_token() -> None:
    """HTTP 401 for every new token: one retry, then the error; further calls request no token and retry nothing."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
        script(server, *[json_answer(401, {"error": "no"})] * 20)
        clinic = session.clinic(server.credentials())
        for _ in range(5):
            with pytest.raises(UnauthorizedError) as caught:
                await clinic.doctors.list()
        assert server.token_requests == 2
        assert server.api_requests == 2 + 4
    assert caught.value.attempts == 1
    assert caught.value.path == "equipe/doctors"


async def test_forbidden_is_never_repeated() -> None:
    """403 costs one request, and its error names clinic, path, the API's message and the remedy."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, json_answer(403, {"error": "key revoked"}, "X-Request-Id: r-77\r\n"))
        with pytest.raises(ForbiddenError) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert server.api_requests == 1
    assert str(caught.value) == (
        "Milano: GET equipe/doctors: HTTP 403 (key revoked) [request r-77]. The key is revoked, expired, not"
        " registered, or belongs to another equipe: contact the clinic's administrator (Equipe Settings, API Keys)"
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_passing_faults_are_retried(status: int) -> None:
    """A request with a retryable status is retried until another comes."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, *[answer(status)] * 3)
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    assert server.api_requests == 4


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [
        (429, RateLimitedError, 4),
        (503, ServiceUnavailableError, 4),
        (500, StatusError, 1),
        (404, NotFoundError, 1),
        (418, StatusError, 1),
        (302, StatusError, 1),
    ],
)
async def test_lasting_faults(status: int, kind: type[StatusError], requests: int) -> None:
    """A status that stays becomes its own class, after as many requests as the policy allows."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, *[answer(status, b"", "Location: http://127.0.0.1:9/elsewhere\r\n")] * 4)
        with pytest.raises(kind) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.attempts) == (status, requests)
    assert server.api_requests == requests
    assert ("after 4 attempts" in str(caught.value)) == (requests == 4)


async def test_a_lost_connection_is_one_attempt() -> None:
    """A connection lost before the response is one attempt and one wire request: aiohttp resends nothing."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, *[None] * 10)
        with pytest.raises(TransportError, match="lost before the response .* after 4 attempts"):
            await session.clinic(server.credentials()).doctors.list()
    assert server.api_requests == 4


async def test_a_cut_list_starts_over() -> None:
    """A list whose body is cut is read again from its start, and comes whole."""
    cut = b'HTTP/1.1 200 X\r\nContent-Length: 500\r\nConnection: close\r\n\r\n[{"name": "Dr. X", "profileImage": null},'

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token or server.api_requests > 1:
            await server.good(request, writer)
        else:
            writer.write(cut)
            writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    assert server.api_requests == 2


async def test_retry_after_in_seconds_is_obeyed() -> None:
    """The delay is that of Retry-After and a quarter more at most, and an event reports it."""
    events: list[Event] = []
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[events.append]) as session,
    ):
        script(server, answer(503, b"", "Retry-After: 0.04\r\n"))
        await session.clinic(server.credentials()).doctors.list()
    (wait,) = [event.delay_seconds for event in events if isinstance(event, RetryScheduled)]
    assert 0.04 <= wait <= 0.05


async def test_retry_after_as_a_date_is_obeyed() -> None:
    """An HTTP date counts from the session's wall clock."""
    now = 1_800_000_000.0
    date = email.utils.formatdate(now - 5, usegmt=True)
    events: list[Event] = []
    async with (
        RawServer() as server,
        ArzamedSession(
            base_url=server.base_url, retry=QUICK, wall_clock=lambda: now, observers=[events.append]
        ) as session,
    ):
        script(server, answer(503, b"", f"Retry-After: {date}\r\n"))
        await session.clinic(server.credentials()).doctors.list()
        (wait,) = [event.delay_seconds for event in events if isinstance(event, RetryScheduled)]
        assert 0 <= wait <= 2 * QUICK.initial_backoff_seconds
        script(server, answer(503, b"", f"Retry-After: {email.utils.formatdate(now + 90, usegmt=True)}\r\n"))
        with pytest.raises(ServiceUnavailableError) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert caught.value.retry_after_seconds == 90.0


@pytest.mark.parametrize(("asked", "total"), [(21, 30.0), (10, 5.0)])
async def test_a_long_retry_after_fails_at_once(asked: int, total: float) -> None:
    """A Retry-After beyond the policy's cap or the deadline fails at once and reports the delay."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, timeouts=Timeouts(total_seconds=total)) as session,
    ):
        script(server, answer(429, b"", f"Retry-After: {asked}\r\n"))
        with pytest.raises(RateLimitedError, match=f"retry after {asked} s"):
            await session.clinic(server.credentials()).doctors.list()
    assert server.api_requests == 1


async def test_retry_waits_are_full_jitter() -> None:
    """The waits lie between nothing and the doubling ceiling, and differ."""
    events: list[Event] = []
    policy = RetryPolicy(max_attempts=4, initial_backoff_seconds=0.002, max_backoff_seconds=0.004)
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, retry=policy, observers=[events.append]) as session,
    ):
        clinic = session.clinic(server.credentials())
        for _ in range(8):
            script(server, *[answer(503)] * 3)
            await clinic.doctors.list()
    waits = [event.delay_seconds for event in events if isinstance(event, RetryScheduled)]
    assert len(waits) == 24
    assert len(set(waits)) > 12
    for attempt, ceiling in enumerate([0.002, 0.004, 0.004]):
        assert all(0 <= wait <= ceiling for wait in waits[attempt::3])


async def test_no_retry_under_none() -> None:
    """RetryPolicy.none() makes one attempt; the repeat after a 401 stays."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session:
        clinic = session.clinic(server.credentials())
        script(server, answer(503))
        with pytest.raises(ServiceUnavailableError):
            await clinic.doctors.list()
        assert server.api_requests == 1
        script(server, answer(401))
        assert len(await clinic.doctors.list()) == 3


async def test_a_token_error_is_not_retried_outside() -> None:
    """A token endpoint that is down costs one series of attempts, not one for each attempt of the read."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, token=answer(503))
        with pytest.raises(TokenUnavailableError) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert server.token_requests == 4
    assert server.api_requests == 0
    assert str(caught.value) == (
        "Milano: the token endpoint is temporarily unavailable after 4 attempts (HTTP 503)."
        " Check token_url, or retry later"
    )


async def test_an_unreachable_token_endpoint() -> None:
    """No response from the token endpoint is TokenUnavailableError, with the reason and no status."""
    async with RawServer() as server:
        credentials = server.credentials()
    async with ArzamedSession(base_url="https://127.0.0.1:9/", retry=QUICK) as session:
        with pytest.raises(TokenUnavailableError, match="connection refused .* after 4 attempts") as caught:
            await session.clinic(credentials).token()
    assert caught.value.status is None


@pytest.mark.parametrize("place", ["token", "headers", "body"])
async def test_a_drip_ends_at_the_deadline(place: str) -> None:
    """A server that drips a byte now and then cannot outlast total_seconds, wherever it drips."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token and place != "token":
            return await server.good(request, writer)
        writer.write(
            b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n" + (b"X-Slow: " if place == "headers" else b"\r\n[")
        )
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, timeouts=Timeouts(total_seconds=0.3)) as session,
    ):
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(DeadlineExceededError, match=r"Milano: GET equipe/doctors: .* 0\.3 s"):
            await session.clinic(server.credentials()).doctors.list()
        assert loop.time() >= started + 0.3 - CLOCK_BIT
        with pytest.raises(TimeoutError):
            async with session.clinic(server.credentials("Roma")).doctors.stream() as doctors:
                await anext(doctors)


async def test_the_deadline_reports_the_last_failure() -> None:
    """A deadline that passes between attempts reports the last failure."""
    policy = RetryPolicy(max_attempts=10_000, initial_backoff_seconds=0.01, max_backoff_seconds=0.01, budget=math.inf)
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, retry=policy, timeouts=Timeouts(total_seconds=0.5)) as session,
    ):
        script(server, *[answer(503)] * 10_000)
        with pytest.raises(DeadlineExceededError, match="attempts while .* .last failure: HTTP 503") as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert caught.value.attempts - server.api_requests in (0, 1)  # the last may not have got there


async def test_the_fetch_outlives_a_callers_deadline() -> None:
    """A caller's deadline ends that caller; the token it waited for arrives all the same, and is kept."""
    gate = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await gate.wait()
        await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        hasty = clinic.with_options(timeouts=Timeouts(total_seconds=0.05))
        with pytest.raises(DeadlineExceededError):
            await hasty.token()
        with pytest.raises(DeadlineExceededError):
            await hasty.doctors.list()
        gate.set()
        assert len(await clinic.doctors.list()) == 3
    assert server.token_requests == 1


async def test_the_token_request_has_the_sessions_deadline() -> None:
    """A token request that nobody gives up ends at the session's total_seconds as TokenUnavailableError."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, timeouts=Timeouts(total_seconds=0.1)) as session,
    ):
        patient = session.clinic(server.credentials()).with_options(timeouts=Timeouts(total_seconds=60))
        with pytest.raises(TokenUnavailableError, match=r"no token within the deadline of 0\.1 s"):
            await patient.token()


async def test_read_seconds_ends_one_attempt() -> None:
    """A server that falls silent costs read_seconds an attempt, and is a TransportError after the last."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        await asyncio.Event().wait()

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, timeouts=Timeouts(read_seconds=0.05)) as session,
    ):
        with pytest.raises(TransportError, match="no data within read_seconds") as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert not isinstance(caught.value, DeadlineExceededError)
    assert caught.value.attempts == 4


async def test_get_returns_the_response() -> None:
    """clinic.get gives status, headers in any case, and the body."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, json_answer(201, {"a": 1}, "X-Thing: yes\r\n"))
        response = await session.clinic(server.credentials()).get("equipe/rooms/7", {"q": [1, "b c"]})
    assert (response.status, response.headers["x-THING"], response.json()) == (201, "yes", {"a": 1})
    assert server.requests[-1].target == "/api/v1/equipe/rooms/7?q=1&q=b%20c"


async def test_get_hides_the_path() -> None:
    """Errors of clinic.get show the route, or <raw>, never a path that may hold an identifier."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, answer(404), answer(404))
        clinic = session.clinic(server.credentials())
        with pytest.raises(NotFoundError, match="GET <raw>: HTTP 404") as caught:
            await clinic.get("equipe/patients/4711")
        assert caught.value.path == "<raw>"
        with pytest.raises(NotFoundError, match="GET equipe/patients/:id"):
            await clinic.get("equipe/patients/4711", route="equipe/patients/:id")


async def test_get_keeps_to_its_limit() -> None:
    """A body over body_bytes is LimitExceededError, and the rest of it is not read."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, answer(200, b"x" * 1001))
        clinic = session.clinic(server.credentials()).with_options(limits=Limits(body_bytes=1000))
        with pytest.raises(LimitExceededError, match="body_bytes") as caught:
            await clinic.get("big")
    assert (caught.value.limit_bytes, caught.value.clinic) == (1000, "Milano")


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../x", "a/%2e%2E/x", "a/%252e%252e/x", "//evil.example/x", "https://evil.example/x", "/x", "a//b",
     "a?b=1", "a#b", "a\\b", "a\r\nb", "a b", "", "./a", "http:x", "a/%0d%0ab", "..%2fx", "a/..;/b", "a/..%3bx/b", "%5c..%5cx"],
)  # fmt: skip
async def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    """The token goes to no path outside the base URL: such a path is refused before anything is sent."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ConfigurationError, match="path"):
            await session.clinic(server.credentials()).get(path)
    assert server.requests == []


async def test_error_bodies_are_read_to_64_kib() -> None:
    """Of an endless error body 64 KiB are read, and the error comes."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 999999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ForbiddenError) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert caught.value.message == ""


async def test_an_error_body_that_breaks_keeps_its_status() -> None:
    """An error response whose body is cut is still that status."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b'HTTP/1.1 403 X\r\nContent-Length: 99\r\n\r\n{"err')
        writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ForbiddenError):
            await session.clinic(server.credentials()).doctors.list()


async def test_an_error_body_that_drips_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal whose body does not come to its end is that refusal, to a read and to a token request, and no deadline."""
    monkeypatch.setattr(_attempts, "ERROR_BODY_SECONDS", 0.05)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token and "Roma" not in request.target:
            return await server.good(request, writer)
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ForbiddenError):
            await session.clinic(server.credentials()).doctors.list()
        with pytest.raises(TokenError, match="HTTP 403"):
            await session.clinic(server.credentials("Roma")).token()
        assert session.stats().pool.in_use == 0
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_cut_token_response_is_retried() -> None:
    """A token response that is cut half-way is retried."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if server.token_requests == 1:
            writer.write(b'HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{"access_')
            writer.close()
        else:
            await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        assert (await session.clinic(server.credentials()).token()).access_token == TOKEN
    assert server.token_requests == 2


async def test_a_long_retry_after_of_the_token_endpoint() -> None:
    """A Retry-After beyond the cap fails at once at the token endpoint too, and so does a 5xx outside the policy."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        script(server, token=answer(429, b"", "Retry-After: 3600\r\n"))
        with pytest.raises(TokenUnavailableError) as caught:
            await session.clinic(server.credentials()).token()
        assert caught.value.retry_after_seconds == 3600.0
        script(server, token=answer(501))
        with pytest.raises(TokenUnavailableError):
            await session.clinic(server.credentials("Roma")).token()
    assert server.token_requests == 2


async def test_server_words_are_masked() -> None:
    """A server that echoes token and secret finds them masked in the error, cut at 200 characters."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, json_answer(403, {"error": f"bad\x00 {TOKEN} and {SECRET[:9]}\x07{SECRET[9:]}" + "x" * 500}))
        with pytest.raises(ForbiddenError) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert caught.value.message.startswith("bad *** and ***xxx")
    assert len(caught.value.message) == 200


async def test_observers_get_events() -> None:
    """Each wire request, token request and retry is an event with clinic, path, status and attempt."""
    events: list[Event] = []
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[events.append]) as session,
    ):
        script(server, answer(503), None)
        await session.clinic(server.credentials()).doctors.list()
    assert Counter(type(event) for event in events) == {TokenRequestFinished: 1, RequestFinished: 3, RetryScheduled: 2}
    reads = [(e.clinic, e.path, e.attempt, e.status, e.error) for e in events if isinstance(e, RequestFinished)]
    assert reads == [
        ("Milano", "equipe/doctors", 1, 503, ""),
        ("Milano", "equipe/doctors", 2, None, "TransportError"),
        ("Milano", "equipe/doctors", 3, 200, ""),
    ]
    assert next(e.reason for e in events if isinstance(e, RetryScheduled)) == "HTTP 503"


async def test_an_observer_that_raises_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An observer's exception is logged by its class, and neither the call nor the other observers notice."""
    seen: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError(SECRET)

    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, observers=[broken, seen.append]) as session,
    ):
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    assert len(seen) == 2
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


async def test_cancelling_a_call_leaves_the_pool_usable() -> None:
    """A cancelled read gives its connection up, and the next call works."""
    waiting = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.is_token and not waiting.is_set():
            waiting.set()
            await asyncio.Event().wait()
        await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic: Clinic = session.clinic(server.credentials())
        task = asyncio.create_task(clinic.doctors.list())
        await waiting.wait()
        task.cancel()
        await settle()
        assert task.cancelled()
        assert len(await clinic.doctors.list()) == 3


async def test_a_token_response_with_a_strange_coding() -> None:
    """A token response in a coding that was not requested is a TokenError of the token endpoint, and observers get it."""
    events: list[Event] = []
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, observers=[events.append]) as session:
        script(server, token=answer(200, b"{}", "Content-Encoding: br\r\n"))
        with pytest.raises(
            TokenError, match="^Milano: the token endpoint's response: the body has a content coding"
        ) as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert type(caught.value) is TokenError
    assert [type(event) for event in events] == [TokenRequestFinished]


async def test_two_codings_are_not_taken_for_one() -> None:
    """A body that two headers declare as coded twice is refused: decoded once, it would still be coded."""
    twice = gzip.compress(gzip.compress(b"[]"))
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, answer(200, twice, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"))
        with pytest.raises(DecodeError, match="coding that was not requested"):
            await session.clinic(server.credentials()).get("equipe/rooms")


async def test_token_statuses_are_taken_at_their_word() -> None:
    """A status that a policy names for the token request is tried again, refused credentials never."""
    policy = RetryPolicy(initial_backoff_seconds=0.0001, token_statuses=frozenset({408, 400}))
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=policy) as session:
        script(server, token=answer(408))
        with pytest.raises(TokenError):
            await session.clinic(server.credentials()).token()
        assert server.token_requests == 4
        script(server, token=json_answer(400, {"error": "invalid_client"}))
        with pytest.raises(CredentialsRejectedError):
            await session.clinic(server.credentials("Roma")).token()
        assert server.token_requests == 5


async def test_get_names_the_clinic_of_a_body_that_is_no_json() -> None:
    """Response.json() names the clinic and the path whose body was not JSON."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        script(server, answer(200, b"<html>"))
        response = await session.clinic(server.credentials()).get("equipe/rooms", route="equipe/rooms")
    with pytest.raises(Exception, match="^Milano: GET equipe/rooms: the body is not JSON"):
        response.json()


@pytest.mark.parametrize("params", ["a=1", b"a", 5, [("a", "1", "2")], ["ab"], {"a": b"x"}])
async def test_params_of_another_shape(params: object) -> None:
    """Params that are neither a mapping nor pairs are refused, and nothing is sent."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        with pytest.raises(ConfigurationError, match="param"):
            await session.clinic(server.credentials()).get("x", params)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="timeouts must be of type Timeouts"):
            session.clinic(server.credentials()).with_options(timeouts=5)  # type: ignore[arg-type]
    assert server.requests == []


async def test_no_timeout_at_all() -> None:
    """Timeouts may be without end."""
    endless = Timeouts(connect_seconds=float("inf"), read_seconds=float("inf"))
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, timeouts=endless) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3


async def test_closing_that_is_cancelled_can_be_done_again() -> None:
    """An aclose that was cancelled while it waited leaves nothing open after the next one."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("Roma"):
            await asyncio.Event().wait()
        await server.good(request, writer)

    async with RawServer(handler) as server:
        session = ArzamedSession(base_url=server.base_url)
        await session.clinic(server.credentials()).doctors.list()
        waiting = asyncio.create_task(session.clinic(server.credentials("Roma")).token())
        await settle()
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing, waiting])
        assert closing.cancelled()
        assert isinstance(waiting.exception(), SessionClosedError)
        await session.aclose()
        del session
        async with asyncio.timeout(60):
            while server.open_connections > 1:  # the server itself holds Roma's
                await asyncio.sleep(0.001)
