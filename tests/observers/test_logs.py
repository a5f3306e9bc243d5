"""What the logging observer writes: levels, sentences, structured fields, and nothing that is secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import typing

import attrs
import pytest
from support import RawServer, Request, answer, json_answer, token_answer
from test_tracebacks import CANARIES, READS, VALUE, Read

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    CircuitChanged,
    Event,
    PaceChanged,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    TokenRequestFinished,
    TokenStoreFailed,
    UnknownField,
)
from arzamed_async.logs import LoggingObserver

QUICK = RetryPolicy(initial_backoff_seconds=0.001)
READ = RequestFinished(
    clinic="Milano", method="GET", path="equipe/doctors", attempt=2, status=200, seconds=0.25, error=""
)
TOKEN = TokenRequestFinished(clinic="Milano", attempt=1, status=200, seconds=0.25, error="")
RETRY = RetryScheduled(
    clinic="Milano", method="GET", path="equipe/doctors", attempt=1, delay_seconds=0.5, reason="HTTP 503"
)
LINES: list[tuple[Event, str, str]] = [
    (READ, "DEBUG", "Milano: GET equipe/doctors: HTTP 200 after 0.250 s (attempt 2)"),
    (
        attrs.evolve(READ, status=503),
        "WARNING",
        "Milano: GET equipe/doctors: HTTP 503 after 0.250 s (attempt 2)",
    ),
    (
        attrs.evolve(READ, status=302),
        "WARNING",
        "Milano: GET equipe/doctors: HTTP 302 after 0.250 s (attempt 2)",
    ),
    (
        attrs.evolve(READ, status=None, error="TransportError"),
        "WARNING",
        "Milano: GET equipe/doctors: failed (TransportError) after 0.250 s (attempt 2)",
    ),
    (
        attrs.evolve(READ, status=None, error="CancelledError"),
        "INFO",
        "Milano: GET equipe/doctors: cancelled after 0.250 s (attempt 2)",
    ),
    (TOKEN, "DEBUG", "Milano: token request: HTTP 200 after 0.250 s (attempt 1)"),
    (
        attrs.evolve(TOKEN, status=400, error="CredentialsRejectedError"),
        "WARNING",
        "Milano: token request: HTTP 400, failed (CredentialsRejectedError) after 0.250 s (attempt 1)",
    ),
    (RETRY, "WARNING", "Milano: attempt 1 of GET equipe/doctors failed (HTTP 503), retrying in 0.500 s"),
    (
        attrs.evolve(RETRY, method="POST", path="<token>"),
        "WARNING",
        "Milano: attempt 1 of token request failed (HTTP 503), retrying in 0.500 s",
    ),
    (CircuitChanged(clinic="Milano", state="open"), "WARNING", "Milano: circuit breaker is open"),
    (CircuitChanged(clinic="Milano", state="half_open"), "INFO", "Milano: circuit breaker is half-open"),
    (CircuitChanged(clinic="Milano", state="closed"), "INFO", "Milano: circuit breaker is closed"),
    (
        PaceChanged(
            scope="clinic",
            clinic="Milano",
            base_url="https://api.invented.example",
            change="started",
            requests_per_second=4.5,
            reason="requests of this clinic were refused",
        ),
        "WARNING",
        "Milano: requests are paced at 4.5 a second (requests of this clinic were refused)",
    ),
    (
        PaceChanged(
            scope="origin",
            clinic="",
            base_url="https://api.invented.example",
            change="changed",
            requests_per_second=0.0,
            reason="the server requires a long pause",
        ),
        "DEBUG",
        "https://api.invented.example: no requests are sent (the server requires a long pause)",
    ),
    (
        PaceChanged(
            scope="origin",
            clinic="",
            base_url="https://api.invented.example",
            change="ended",
            requests_per_second=None,
            reason="no request was refused lately",
        ),
        "INFO",
        "https://api.invented.example: requests are no longer paced (no request was refused lately)",
    ),
    (
        UnknownField(clinic="Milano", path="equipe/doctors", field="floor"),
        "INFO",
        "Milano: records of equipe/doctors contain an unknown field floor, which is ignored",
    ),
    (
        TokenStoreFailed(clinic="100%s", error="TimeoutError"),
        "WARNING",
        "100%s: token store failed (TimeoutError)",
    ),
]


@pytest.mark.parametrize(("event", "level", "line"), LINES, ids=[line for _, _, line in LINES])
def test_each_event_has_its_level_and_sentence(
    event: Event, level: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An event is one record of the logger arzamed_async.events; its fields are attributes, prefixed."""
    caplog.set_level(logging.DEBUG, "arzamed_async.events")
    LoggingObserver()(event)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("arzamed_async.events", level, line)
    assert {name: value for name, value in vars(record).items() if name.startswith("arzamed_")} == {
        "arzamed_event": type(event).__name__,
        **{f"arzamed_{name}": value for name, value in attrs.asdict(event).items()},
    }
    json.dumps({name: value for name, value in vars(record).items() if name.startswith("arzamed_")})


def test_every_event_is_in_the_table() -> None:
    """No event is left without a level and a sentence."""
    assert {type(event) for event, _, _ in LINES} == set(typing.get_args(Event))


def test_what_is_not_wanted_is_not_written() -> None:
    """A level that is off, of a logger of one's own too, is not even asked for."""
    asked: list[int] = []

    class Own(logging.Logger):
        def log(self, level: int, *rest: object, **more: object) -> None:
            asked.append(level)

    observer = LoggingObserver(Own("invented", logging.WARNING))
    observer(READ)
    observer(RETRY)
    assert asked == [logging.WARNING]


@pytest.mark.asyncio
@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_nothing_secret_is_logged(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    """No secret, no token, no path or query of a call, no value and no word of a server is in any record."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    answers = [answer(503, b'{"error": "' + VALUE.encode() + b'"}'), None, json_answer(200, [{"name": VALUE}])]

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        elif (one := answers.pop(0) if answers else answer(403)) is None:
            writer.close()
        else:
            writer.write(one)

    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=QUICK,
            breaker=BreakerPolicy(failure_threshold=1),
            observers=[LoggingObserver()],
        ) as session,
    ):
        for _ in range(3):
            with contextlib.suppress(ArzamedError):
                await read(session.clinic(server.credentials()))
    assert caplog.records
    text = "\n".join(f"{record.getMessage()} {vars(record)!r}" for record in caplog.records)
    assert [canary for canary in CANARIES if canary in text] == []
