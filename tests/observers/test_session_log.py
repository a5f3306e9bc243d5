"""What a session logs by itself: attempts, retries, failures, outages; under which levels, and when nothing at all."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support import RawServer, Request, answer, json_answer, token_answer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ClinicCredentials,
    DeadlineExceededError,
    Event,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    ServiceUnavailableError,
    StatusError,
    StoredRejection,
    StoredToken,
    TokenRequestFinished,
    TokenUnavailableError,
    TransportError,
)
from arzamed_async._logs import failures
from arzamed_async._logs.failures import FailureLog
from arzamed_async._logs.setup import StderrHandler, follow_environment, logger
from arzamed_async.logs import LoggingObserver
from arzamed_async.testing import MemoryTokenStore

QUICK = RetryPolicy(initial_backoff_seconds=0.001)
DEAD = "http://127.0.0.1:1/token"


def scripted(*answers: bytes) -> Any:
    """Return a handler that gives these answers to the API's requests, then good ones."""
    left = list(answers)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        else:
            writer.write(left.pop(0) if left else json_answer(200, [{"name": "Dr. Inventata", "profileImage": None}]))

    return handler


def lines(caplog: pytest.LogCaptureFixture, *levels: str) -> list[str]:
    return [f"{each.levelname} {each.getMessage()}" for each in caplog.records if each.levelname in levels]


def dead(name: str) -> ClinicCredentials:
    return ClinicCredentials("id", "invented", DEAD, name=name)


@pytest.fixture
def package_logger() -> Iterator[logging.Logger]:
    """The logger of the package: what a test adds and sets is taken back."""
    before, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.asyncio
async def test_a_call_with_a_retry_is_followed_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    """Without an observer each attempt is a line at DEBUG, each retry one at INFO, and all of a call share its id."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    unavailable = answer(503, b"", "X-Request-Id: req-7\r\n")
    async with (
        RawServer(scripted(unavailable)) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK) as session,
    ):
        await session.clinic(server.credentials()).doctors.list()
        first = [each for each in caplog.records if hasattr(each, "arzamed_call_id")]
        await session.clinic(server.credentials()).doctors.list()
    told = [(each.levelname, vars(each)["arzamed_event"], vars(each).get("arzamed_status")) for each in first]
    assert told == [
        ("DEBUG", "TokenRequestFinished", 200),
        ("DEBUG", "RequestFinished", 503),
        ("INFO", "RetryScheduled", None),
        ("DEBUG", "RequestFinished", 200),
    ]
    (call_id,) = {vars(each)["arzamed_call_id"] for each in first}
    failed, good = first[1].getMessage(), first[3].getMessage()
    assert failed.startswith("Milano: GET equipe/doctors: HTTP 503 after 0.")
    assert failed.endswith(f" s (attempt 1, request req-7, call {call_id})")
    body = len(b'[{"name":"Dr. Inventata","profileImage":null}]')
    assert vars(first[3])["arzamed_bytes_read"] in (body, body + 3)  # with or without spaces
    assert f"(attempt 2, {vars(first[3])['arzamed_bytes_read']} bytes, call {call_id})" in good
    assert "attempt 1 of GET equipe/doctors failed (HTTP 503), retrying in 0.00" in first[2].getMessage()
    assert vars(caplog.records[-1])["arzamed_call_id"] != call_id


@pytest.mark.asyncio
async def test_a_failure_that_reaches_the_caller_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a call, a stream or a token raises is one line at WARNING: class, cause, remedy, and the error's call id."""
    caplog.set_level(logging.WARNING, "arzamed_async")
    cut = b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n[" + b'{"name": "A", "profileImage": null},' * 3
    forbidden = answer(403)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        else:
            writer.write(cut if "cut" in request.target else forbidden)
            writer.close()

    async def stream(clinic: Any) -> None:
        async for _ in clinic.doctors.stream({"cut": "1"}):
            pass

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session,
    ):
        clinic = session.clinic(server.credentials())
        for read in (clinic.doctors.list, lambda: stream(clinic), session.clinic(dead("Roma")).token):
            caplog.clear()
            with pytest.raises(ArzamedError) as caught:
                await read()
            assert len(caught.value.call_id) == 16
            text = f"WARNING {type(caught.value).__name__}: {caught.value} [call {caught.value.call_id}]"
            assert lines(caplog, "WARNING", "ERROR") == [text]
            assert caught.value.host == (DEAD.split("/")[2] if caught.value.clinic == "Roma" else server.origin[7:])


@pytest.mark.asyncio
async def test_a_level_that_is_off_makes_no_event_and_a_change_is_honoured(package_logger: logging.Logger) -> None:
    """At WARNING a call that succeeds reaches no handler; set to DEBUG in between, the next call does."""
    records: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    package_logger.addHandler(Keeper())
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        for level, expected in (("WARNING", 0), ("DEBUG", 1), ("ERROR", 1)):
            package_logger.setLevel(level)
            if level == "WARNING":
                await clinic.doctors.list()  # with a token request
            await clinic.doctors.list()
            assert len(records) == expected


@pytest.mark.asyncio
async def test_a_path_with_identifiers_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Lines of `get` show its route or <raw>, never the path or the query."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    async with RawServer(scripted(answer(404), answer(404))) as server, ArzamedSession(base_url=server.base_url) as s:
        for route in (None, "patients/{id}"):
            with pytest.raises(StatusError):
                await s.clinic(server.credentials()).get("patients/mario-inventato", {"q": "inventato"}, route=route)
    text = "\n".join(f"{each.getMessage()} {vars(each)}" for each in caplog.records)
    assert "inventato" not in text
    assert "GET <raw>: HTTP 404" in text
    assert "GET patients/{id}: HTTP 404" in text


@pytest.mark.asyncio
async def test_a_logging_observer_takes_the_place_of_the_events_lines(caplog: pytest.LogCaptureFixture) -> None:
    """With a LoggingObserver, to whatever logger, no event is logged twice; failures stay the session's own lines."""
    caplog.set_level(logging.DEBUG)
    for observer in (LoggingObserver(), LoggingObserver(logging.getLogger("invented"))):
        caplog.clear()
        async with (
            RawServer(scripted(answer(404))) as server,
            ArzamedSession(base_url=server.base_url, observers=[observer]) as session,
        ):
            with pytest.raises(StatusError):
                await session.clinic(server.credentials()).doctors.list()
        events = [vars(each)["arzamed_event"] for each in caplog.records if "arzamed_event" in vars(each)]
        assert events == ["TokenRequestFinished", "RequestFinished", "CallFailed"]


@pytest.mark.asyncio
async def test_events_carry_call_request_and_size() -> None:
    """Each event of a call has its id, the server's id of the request, and the size of the body as sent."""
    events: list[Event] = []
    big = json_answer(200, [{"name": "x" * 300, "profileImage": None}] * 900, "X-Request-Id: big\r\n")
    async with (
        RawServer(scripted(answer(503, b"oops", "X-Request-Id: small\r\n"), big)) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[events.append]) as session,
    ):
        async for _ in session.clinic(server.credentials()).doctors.stream():
            pass
        await session.clinic(server.credentials()).doctors.list()
    assert [type(each) for each in events] == [
        TokenRequestFinished, RequestFinished, RetryScheduled, RequestFinished, RequestFinished,
    ]  # fmt: skip
    assert len({each.call_id for each in events[:4]}) == 1  # type: ignore[union-attr]
    reads = [(each.request_id, each.bytes_read) for each in events if isinstance(each, RequestFinished)]
    size = len(big) - big.index(b"\r\n\r\n") - 4
    assert reads[:2] == [("small", 4), ("big", size)]
    assert events[3].call_id != events[4].call_id  # type: ignore[union-attr]


@pytest.mark.asyncio
async def test_an_id_that_holds_the_token_is_no_id(caplog: pytest.LogCaptureFixture) -> None:
    """A request id in which a server repeats the token or the secret is not logged."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    echo = json_answer(200, [], "X-Request-Id: invented-token\r\n")

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer("invented-token") if request.is_token else echo)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        await session.clinic(server.credentials()).doctors.list()
    assert "invented-token" not in "".join(f"{each.getMessage()}{vars(each)}" for each in caplog.records)


@pytest.mark.asyncio
async def test_sixty_clinics_at_a_dead_host_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is a line, the other 59 are one with a count and three names; each one's own line is DEBUG."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    async with ArzamedSession(retry=RetryPolicy.none()) as session:
        outcomes = await session.gather([dead(f"c{n}") for n in range(60)], lambda clinic: clinic.doctors.list())
    assert not any(each.ok for each in outcomes)
    first, rest = lines(caplog, "WARNING")
    assert first.startswith("WARNING TokenUnavailableError: c")
    start = "WARNING 59 more clinics failed in the same way: TokenUnavailableError at 127.0.0.1:1: "
    assert rest.startswith(start + "token endpoint unreachable: connection refused (127.0.0.1:1): c")
    assert rest.endswith(", and 56 more")
    assert len([line for line in lines(caplog, "DEBUG") if "TokenUnavailableError: c" in line]) == 59


@pytest.mark.asyncio
async def test_what_is_counted_together(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of another class, status or host, of a clinic's own, or of the same clinic alone are lines of their own."""
    caplog.set_level(logging.WARNING, "arzamed_async")

    def at(host: str, clinic: str, kind: Any = TransportError, **facts: Any) -> ArzamedError:
        return kind(host=host, clinic=clinic, **facts)  # type: ignore[no-any-return]

    log = FailureLog()
    for error in (
        at("a", "A"), at("a", "A"), at("b", "A"), at("a", "A", DeadlineExceededError), at("a", "A", StatusError, status=500),
        at("a", "B", StatusError, status=502), at("a", "A", StatusError, status=404), at("a", "B", StatusError, status=404),
    ):  # fmt: skip
        log.add(error)
    assert len(caplog.records) == 8
    log.add(at("a", "B"))
    log.add(at("a", "A"))
    assert len(caplog.records) == 8
    log.flush()
    (summary,) = lines(caplog, "WARNING")[8:]
    assert summary.endswith("2 more clinics failed in the same way: TransportError at a: no usable HTTP response: B, A")
    log.flush()
    monkeypatch.setattr(failures, "WINDOW_SECONDS", 0.01)
    log.add(at("a", "C"))
    for name in ("D", "D"):
        log.add(at("a", name))
    async with asyncio.timeout(60):
        while len(caplog.records) < 11:
            await asyncio.sleep(0.005)
    assert "1 more clinic failed in the same way (2 failures)" in caplog.records[-1].getMessage()


def test_control_characters_are_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """A name from outside can neither start a line nor move a cursor: in sentences, in fields, in failures."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    LoggingObserver()(
        RetryScheduled(clinic="a\nb", method="GET", path="p", attempt=1, delay_seconds=1, reason="\x1b[2J")
    )
    FailureLog().add(StatusError(404, clinic="c\u2028d"))
    text = "".join(f"{each.getMessage()} {vars(each)['arzamed_clinic']}" for each in caplog.records)
    assert text.isprintable()
    assert len(caplog.records) == 2


PROGRAM = """
import asyncio, logging, sys
from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, RetryPolicy

async def main():
    for _ in range(2):
        async with ArzamedSession(retry=RetryPolicy.none()) as session:
            try:
                await session.clinic(ClinicCredentials("id", "invented", "http://127.0.0.1:1/token", name="Milano")).token()
            except ArzamedError:
                pass

{setup}
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("variable", "setup", "counts"),
    [
        ("", "", (0, 0, 0)),
        ("debug", "", (2, 2, 0)),
        ("INFO", "", (0, 2, 0)),
        ("loud", "", (0, 0, 1)),
        ("debug", "logging.basicConfig(level=logging.DEBUG)", (2, 2, 0)),
        ("", "logging.basicConfig(level=logging.INFO)", (0, 2, 0)),
    ],
)
def test_standard_error_is_silent_unless_the_variable_is_set(
    variable: str, setup: str, counts: tuple[int, int, int]
) -> None:
    """ARZAMED_LOG writes to standard error, each line once, whatever handler the program has; a wrong value is one line."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup)],
        env={"ARZAMED_LOG": variable, "PATH": ""}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    err = [line for line in run.stderr.splitlines() if "asyncio" not in line]
    attempts = [line for line in err if "token request: failed" in line]
    failed = [line for line in err if "TokenUnavailableError: Milano" in line]
    wrong = [line for line in err if "ARZAMED_LOG must be debug or info, not 'loud'" in line]
    assert (len(attempts), len(failed), len(wrong)) == counts, run.stderr
    assert counts != (0, 0, 0) or not err


def test_the_handler_of_the_variable(package_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is added once, lowers the level but never raises it, and leaves to a root handler what that writes already."""
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    package_logger.setLevel(logging.DEBUG)
    for _ in range(2):
        follow_environment({"ARZAMED_LOG": " Info "})
    (handler,) = [each for each in package_logger.handlers if isinstance(each, StderrHandler)]
    assert (handler.level, package_logger.level) == (logging.INFO, logging.DEBUG)
    package_logger.debug("unwanted")
    package_logger.info("wanted")
    own = logging.StreamHandler(err)
    logging.getLogger().addHandler(own)
    try:
        package_logger.warning("once")
    finally:
        logging.getLogger().removeHandler(own)
    for closed in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", closed)
        if closed is not None:
            closed.close()
            monkeypatch.setattr(logging, "raiseExceptions", False)
        package_logger.warning("nowhere")
    text = err.getvalue()
    assert [text.count(word) for word in ("unwanted", " INFO arzamed_async: wanted\n", "once", "nowhere")] == [
        0,
        1,
        1,
        0,
    ]


def test_a_wrong_value_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sessions there are, the line appears once, without an exception."""
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    for _ in range(3):
        follow_environment({"ARZAMED_LOG": "verbose\x1b"})
    assert err.getvalue() == "arzamed_async: ARZAMED_LOG must be debug or info, not 'verbose\\x1b': it is ignored\n"


@pytest.mark.asyncio
async def test_a_filter_that_raises_disturbs_no_call(package_logger: logging.Logger) -> None:
    """A broken filter of the program's on the logger costs lines, and no call."""

    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("invented")

    package_logger.setLevel(logging.DEBUG)
    async with (
        RawServer(scripted(answer(503), answer(503))) as server,
        ArzamedSession(
            base_url=server.base_url, retry=RetryPolicy(max_attempts=2, initial_backoff_seconds=0.001)
        ) as session,
    ):
        await session.clinic(server.credentials()).token()
        package_logger.addFilter(broken)
        try:
            with pytest.raises(ServiceUnavailableError):
                await session.clinic(server.credentials()).doctors.list()
        finally:
            package_logger.removeFilter(broken)


@pytest.mark.asyncio
async def test_a_handler_that_raises_disturbs_no_call(package_logger: logging.Logger) -> None:
    """Nor does a broken handler from the first line on: those of the lane, of a bad observer and of a bad store included."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("invented")

    class Store(MemoryTokenStore):
        async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
            raise TypeError("invented")

    def observe(event: object) -> None:
        raise ValueError("invented")

    package_logger.setLevel(logging.DEBUG)
    package_logger.addHandler(broken := Broken())
    try:
        async with (
            RawServer() as server,
            ArzamedSession(base_url=server.base_url, token_store=Store(), observers=[observe]) as session,
        ):
            assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    finally:
        package_logger.removeHandler(broken)


@pytest.mark.asyncio
async def test_callers_that_join_a_token_request_have_ids_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    """The token request carries the id of the call that started it; each waiting call's error has its own id."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    async with ArzamedSession(retry=RetryPolicy.none()) as session:
        clinic = session.clinic(dead("Milano"))
        errors = await asyncio.gather(*(clinic.doctors.list() for _ in range(3)), return_exceptions=True)
    ids = [each.call_id for each in errors if isinstance(each, TokenUnavailableError)]
    assert len(set(ids)) == 3
    (request,) = [each for each in caplog.records if vars(each).get("arzamed_event") == "TokenRequestFinished"]
    assert vars(request)["arzamed_call_id"] == ids[0]
