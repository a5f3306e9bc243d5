"""The errors: what they say, that they travel, and that nothing secret is in or behind them."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import sys
import traceback

import pytest
from support import SECRET, TOKEN, RawServer, Request, answer, json_answer, token_answer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    Doctor,
    Endpoint,
    LimitExceededError,
    Limits,
    RateLimitedError,
    Response,
    RetryPolicy,
    StatusError,
    Timeouts,
    TokenError,
    TransportError,
    errors,
)
from arzamed_async.models import FrozenMapping, Headers

FACTS = {"clinic": "Milano", "method": "GET", "path": "equipe/doctors", "attempts": 3}
CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_travels(kind: type[ArzamedError]) -> None:
    """Each error survives pickle and copy with all its facts, and its text tells the clinic and the attempts."""
    error = kind(**FACTS)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert twin is not error
        assert (str(twin), vars(twin), twin.args) == (str(error), vars(error), error.args)
    assert str(error).startswith("Milano: GET equipe/doctors: ")
    assert "after 3 attempts" in str(error)
    assert kind.__doc__ or sys.flags.optimize == 2  # `python -OO` leaves docstrings out


#: Facts of some classes, beyond those of all.
MORE = {
    "CircuitOpenError": {"retry_after_seconds": 7.5, "last_failure": "HTTP 503"},
    "CredentialsRejectedError": {"status": 400, "error": "invalid_client", "description": "no"},
    "DeadlineExceededError": {"seconds": 30.0, "phase": "waiting to start", "last_failure": "reset"},
    "DecodeError": {"record_index": 4, "field": "invented.name"},
    "LimitExceededError": {"limit": "list_bytes", "limit_bytes": 1000},
    "RateLimitedError": {"status": 429, "not_sent": "it paused", "retry_after_seconds": 3600},
    "StatusError": {"status": 502, "message": "oops", "request_id": "r-1"},
    "StreamInterruptedError": {"reason": "reset", "delivered": 1222},
    "TokenUnavailableError": {"status": 503, "retry_after_seconds": 1.5},
    "TransportError": {"reason": "TLS", "transient": False, "remedy": "Renew it"},
}


def full(kind: type[ArzamedError]) -> ArzamedError:
    """Return an error of this class with facts of its own, and with some that are set later."""
    error = kind(**FACTS, **MORE.get(kind.__name__, {}), call_id="c1", host="api.example")
    error.add_hint("A hint")
    if isinstance(error, LimitExceededError):
        error.add_sizes(records=3, received_bytes=1, json_bytes=2, memory_bytes=4)
    if isinstance(error, RateLimitedError):
        error.scope = "origin"
    return error


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_rebuilt_from_its_args(kind: type[ArzamedError]) -> None:
    """`cls(*args)`, also by way of JSON, is the same error with all its facts, as is a rebuilt one of that."""
    error = full(kind)
    for twin in (kind(*error.args), kind(*json.loads(json.dumps(error.args)))):
        again = kind(*twin.args)
        assert (str(twin), vars(twin), twin.args) == (str(error), vars(error), error.args)
        assert (str(again), vars(again), repr(again)) == (str(error), vars(error), repr(error))
    blank = kind()
    assert (str(kind(*blank.args)), vars(kind(*blank.args))) == (str(blank), vars(blank))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_takes_a_text(kind: type[ArzamedError]) -> None:
    """`type(error)("a text")`, as callers who add to a text and old results of task queues do, is an error that says it."""
    assert "while syncing" in str(kind("while syncing"))


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_of_a_class_of_the_callers_is_rebuilt(kind: type[ArzamedError]) -> None:
    """Its own constructor may take other arguments: its plain facts return, and others are left out."""

    class Mine(kind):  # type: ignore[misc, valid-type]
        def __init__(self, doctor: str, number: int) -> None:
            super().__init__(clinic=doctor, attempts=number)
            self.number, self.event = number, object()

    error = Mine("Milano", 3)
    twin = Mine(*json.loads(json.dumps(error.args)))
    assert (str(twin), twin.clinic, twin.number) == (str(error), "Milano", 3)
    assert not hasattr(twin, "event")


@pytest.mark.parametrize("kind", CLASSES)
def test_foreign_args_harm_no_error(kind: type[ArzamedError]) -> None:
    """What a store of results holds may be anything: no method is replaced, and the error has a text in one line."""
    foreign = {"__str__": "x", "_text": "x", "_what": 1, "add_hint": 0, "clinic": {"a": 1}, "": 3, "args": "x"}
    for value in ("\x1b[31m", -1, 1.5, None, True, [1]):
        error = kind(*json.loads(json.dumps(("a\ntext", {**dict.fromkeys(vars(kind()), value), **foreign}))))
        assert str(error).isprintable()
        assert "".join(traceback.format_exception(error))
        error.add_hint("")
        assert error.args[0] == "a\ntext"
        assert error.clinic != {"a": 1}


@pytest.mark.parametrize("kind", CLASSES)
def test_no_text_of_an_error_steers_who_reads_it(kind: type[ArzamedError]) -> None:
    """A name with control, bidirectional, zero-width or tag characters is one line, in which each is marked; the fact stays."""
    name = "A\u202eB\u2066C\u200bD\U000e0041E\ufeffF\x1b[31m\x9bG\u2028H\nI\xa0J"
    error = kind(**{**FACTS, "clinic": name})
    assert str(error).isprintable()
    assert str(error).startswith("A\ufffdB\ufffdC\ufffdD\ufffdE\ufffdF\ufffd[31m\ufffdG H I J: GET")
    assert error.clinic == name
    assert str(kind(**{**FACTS, "clinic": "Clinica Città 中 😀 é"})).startswith("Clinica Città 中 😀 é: ")


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_made_without_its_constructor_has_a_text(kind: type[ArzamedError]) -> None:
    """A class of the caller's may not call it: the text is what it was given, and a traceback can print it."""

    class Mine(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *_texts: str) -> None:
            pass

    given = Mine("a text\x1b[31m")
    given.args = given.args or ("a text\x1b[31m",)  # those of an OSError are set by its constructor
    assert str(given) == "a text\N{REPLACEMENT CHARACTER}[31m"
    for error in (Mine(), pickle.loads(pickle.dumps(kind.__new__(kind)))):
        assert str(error) == f"{type(error).__name__}, not initialized"
        assert traceback.format_exception(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_its_public_name(kind: type[ArzamedError]) -> None:
    """Tracebacks and pickles name the module that callers import from; a class that a caller derives keeps its own."""
    assert kind.__module__ == "arzamed_async.errors"
    assert type("Derived", (kind,), {}).__module__ == __name__


def test_two_roots() -> None:
    """A ConfigurationError is a ValueError, a DeadlineExceededError a TimeoutError, as their callers expect."""
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArzamedError(), ""),
        (ArzamedError("it broke", clinic="Roma"), "Roma: it broke"),
        (DeadlineExceededError(seconds=30, last_failure="read timed out: no data within read_seconds", read_timed_out=True), "deadline of 30 s exceeded (last failure: read timed out: no data within read_seconds). Retry later, or raise Timeouts.read_seconds and Timeouts.total_seconds"),
        (DeadlineExceededError(seconds=1.5, last_failure="HTTP 503"), "deadline of 1.5 s exceeded (last failure: HTTP 503). Retry later, or raise Timeouts.total_seconds (Timeouts.record_seconds in a stream)"),
        (TokenError(status=400, error="invalid_scope", description="no"), "the token endpoint returned no token (HTTP 400, invalid_scope: no). Check that token_url is an OAuth 2 token endpoint, and that it grants the scope"),
        (StatusError(500, "oops", retry_after_seconds=7), "HTTP 500 (oops), retry after 7 s. The server has failed: retry later, and report it to the server's operator"),
        (RateLimitedError(429, not_sent="the server requires a pause of this clinic, which ends in 3600 s", retry_after_seconds=3600), "request not sent: the server requires a pause of this clinic, which ends in 3600 s, retry after 3600 s. Send requests at a lower rate, or lower the concurrency"),
        (DecodeError("not JSON", record_index=4), "record 4: not JSON. Check the path: the response is not a list of such records, or the class declares other fields than the API sends"),
        (LimitExceededError(limit="body_bytes", limit_bytes=1000), "the response exceeds the limit body_bytes (1,000 bytes). If this size is expected, raise Limits.body_bytes"),
    ],
)  # fmt: skip
def test_what_errors_say(error: ArzamedError, text: str) -> None:
    """An error's text is built from its facts alone."""
    assert str(error) == text


def test_models_help_and_keep_silent() -> None:
    """Headers are read in any case; bodies, mappings and headers show sizes, not values."""
    headers = Headers([("X-A", "1"), ("x-a", "2")])
    assert (headers["X-a"], len(headers), list(headers)) == ("1, 2", 1, ["x-a"])
    response = Response(200, headers, b"not json " + SECRET.encode())
    assert SECRET not in repr(response)
    with pytest.raises(DecodeError) as caught:
        response.json()
    assert caught.value.__context__ is None
    mapping = FrozenMapping({"a": [1]})
    assert (len(mapping), list(mapping), mapping["a"]) == (1, ["a"], (1,))
    assert pickle.loads(pickle.dumps(response)) == response


VALUE = "canary-patient-value-77"


def _faults() -> list[tuple[str, bytes, bytes]]:
    """Return (name, token answer, API answer) for every kind of failure that a server can provoke."""
    good = token_answer()
    row = json.dumps([{"name": VALUE, "profileImage": 5}]).encode()
    echo = f"{TOKEN} {SECRET} {TOKEN}"
    api = {
        "forbidden": json_answer(403, {"error": echo, "value": VALUE}, f"X-Request-Id: {TOKEN}\r\n"),
        "unauthorized": json_answer(401, {"error": echo}),
        "unavailable": json_answer(503, {"error": echo}, "Retry-After: 0\r\n"),
        "redirect": answer(302, b"", f"Location: https://evil.example/{TOKEN}\r\n"),
        "wrong type": answer(200, row),
        "not json": answer(200, b'[{"name": "' + VALUE.encode() + b'" oops]'),
        "no list": answer(200, json.dumps({"name": VALUE}).encode()),
        "cut": b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n" + row[:-9],
        "no http": VALUE.encode() + b"\r\n\r\n" + TOKEN.encode(),
        "bad gzip": answer(200, row, "Content-Encoding: gzip\r\n"),
        "strange coding": answer(200, row, f"Content-Encoding: {VALUE}\r\n"),
        "too large": answer(200, b'[{"name": "' + VALUE.encode() * 100 + b'"}]'),
        "bad utf-8": answer(200, b'[{"name": "' + VALUE.encode() + b'\xff"}]'),
    }
    token = {
        "refused": json_answer(401, {"error": f"invalid {SECRET}", "error_description": SECRET}),
        "bad request": json_answer(400, {"error": "invalid_client", "error_description": SECRET}),
        "malformed": json_answer(200, {"access_token": SECRET + "\n"}),
        "unavailable": json_answer(503, {"error": SECRET}),
        "garbage": answer(200, SECRET.encode()),
        "no http": SECRET.encode() + b"\r\n\r\n",
    }
    return [(f"api {name}", good, each) for name, each in api.items()] + [
        (f"token {name}", each, b"") for name, each in token.items()
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "token", "api"), _faults(), ids=[name for name, _, _ in _faults()])
async def test_canaries(name: str, token: bytes, api: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Secret, token and a record's values are in no text, repr, argument, traceback, log, pickle or chain of any error."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token if request.is_token else api)
        if b"9999" in api or name.endswith("no http"):
            writer.close()

    caplog.set_level(logging.DEBUG)
    policy = RetryPolicy(max_attempts=2, initial_backoff_seconds=0.0001)
    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=policy, limits=Limits(record_bytes=1000)) as session,
    ):
        clinic = session.clinic(server.credentials())
        for read in (clinic.doctors.list, clinic.doctors.stream().__anext__, clinic.token):
            try:
                await read()
            except ArzamedError as error:
                caught = error
            else:
                assert read == clinic.token
                continue
            assert caught.__cause__ is caught.__context__ is None
            shown = [str(caught), repr(caught), repr(caught.args), repr(vars(caught)), caplog.text]
            shown += ["".join(traceback.format_exception(caught)), pickle.dumps(caught).decode("latin-1")]
            for canary in (SECRET, TOKEN, VALUE):
                assert not any(canary in text for text in shown), name


@pytest.mark.asyncio
async def test_canaries_of_a_connection_that_fails() -> None:
    """A connection that is refused, or a deadline that passes, carries no token either."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.is_token:
            await asyncio.Event().wait()
        await server.good(request, writer)

    async with RawServer(handler) as server:
        session = ArzamedSession(
            base_url=server.base_url, timeouts=Timeouts(total_seconds=0.2), retry=RetryPolicy.none()
        )
        clinic = session.clinic(server.credentials())
        with pytest.raises(DeadlineExceededError) as late:
            await clinic.doctors.list()
    with pytest.raises(TransportError) as gone:
        await clinic.resource(Endpoint("equipe/doctors", Doctor)).list()
    await session.aclose()
    for caught in (late.value, gone.value):
        assert TOKEN not in "".join(traceback.format_exception(caught)) + repr(vars(caught))
        assert caught.__context__ is None
