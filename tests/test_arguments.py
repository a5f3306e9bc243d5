"""Every argument of every public callable is checked where it is given: what cannot work is a ConfigurationError."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import importlib
import inspect
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import pytest
import redis.asyncio
from support import RawServer, token_answer

import arzamed_async
from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Endpoint,
    Observer,
    Resource,
    SessionThread,
    TokenStore,
)
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio

CANARY = "invented-canary-5d1c"
CREDENTIALS = ClinicCredentials("id", "invented", "http://127.0.0.1:9/token", name="Milano")


class Given:
    """An object that is nothing in particular."""


class BytesPath:
    """A path of bytes."""

    def __fspath__(self) -> bytes:
        """Return bytes."""
        return b"x"


class AsyncCall:
    """An object whose call is a coroutine."""

    async def __call__(self, *_: object) -> None:
        """Do nothing."""

    @staticmethod
    def returned() -> Any:
        """Return a coroutine, as a plain function can."""
        return coroutine_function()


class RetryClient:
    """What a library offers in place of an aiohttp session, and is none."""

    @classmethod
    def made(cls) -> Any:
        """Return one."""
        return cls()


async def coroutine_function(*_: object) -> None:
    """Do nothing."""


async def generator_function(*_: object) -> AsyncIterator[None]:
    """Yield nothing."""
    yield


class SyncRedis:
    """A client of Redis, and no store."""

    def get(self, key: str) -> None:
        """Return nothing."""


NO_CALLABLES: list[Any] = [5, True, CANARY, Given(), [print]]
NO_CALLBACKS: list[Any] = [
    *NO_CALLABLES, coroutine_function, generator_function, AsyncCall(), functools.partial(coroutine_function, 1),
    functools.partial(functools.partial(AsyncCall())), AsyncMock(), Given, AsyncCall().__call__,
]  # fmt: skip
NO_FLAGS: list[Any] = ["no", 1, 0, None, Given()]
NO_SECONDS: list[Any] = [0, -1, "5", True, 10**400, float("nan"), Given(), dt.timedelta(seconds=5)]
NO_COUNTS: list[Any] = [0, -1, 1.5, "5", True, None, Given()]
NO_AMOUNTS: list[Any] = [-1, "5", True, None, 10**400, float("nan"), Given()]
NO_TEXTS: list[Any] = [5, True, None, b"x", Given(), "a\nb", "a\x9bb", "a\u2028b", "a\ud800"]
NO_PATHS: list[Any] = [5, True, None, b"x", Given(), ["a"]]
NO_PARAMS: list[Any] = [5, CANARY, Given(), [CANARY], {"name": Given()}, {5: "x"}, {"name": float("nan")}, {"a\n": 1}]
NO_URLS: list[Any] = [
    *NO_TEXTS,
    "",
    "x",
    f"https://u:{CANARY}@a.example/",
    "ftp://a.example/",
    "http://a.example/",
    "https://",
]
NO_CLINICS: list[Any] = [CREDENTIALS, 5, None, CANARY, b"x", Given()]
NO_STATUSES: list[Any] = [5, None, "429", b"429", [200], [600], ["429"], [401], [403], Given()]


def not_of(*others: Any) -> list[Any]:
    """Return what is of no policy's kind, and some that are of another's."""
    return [5, CANARY, True, Given(), {}, *others]


RETRY, TIMEOUTS = arzamed_async.RetryPolicy(), arzamed_async.Timeouts()

SECONDS_EACH = {
    "Timeouts": ("total_seconds", "connect_seconds", "read_seconds", "record_seconds"),
    "TokenPolicy": (
        "refresh_ahead_seconds", "jitter_seconds", "margin_seconds", "refresh_retry_seconds", "rejected_seconds",
    ),
}  # fmt: skip

#: The wrong values by callable and argument. An argument without a line fails the test below.
WRONG: dict[str, dict[str, list[Any]]] = {
    "ArzamedSession": {
        "base_url": [*NO_URLS, "https://a.example/?q"],
        "retry": not_of(None, TIMEOUTS, arzamed_async.RetryPolicy),
        "timeouts": not_of(None, RETRY),
        "limits": not_of(None, RETRY),
        "pool": not_of(None, arzamed_async.Limits()),
        "tokens": not_of(None, RETRY),
        "breaker": not_of(RETRY),
        "pacing": not_of(RETRY),
        "coalesce": NO_FLAGS,
        "token_store": [
            MemoryTokenStore,
            f"redis://:{CANARY}@a.example",
            functools.partial(MemoryTokenStore),
            SyncRedis(),
            5,
            True,
        ],
        "endpoints": not_of(None, Endpoint("x", Doctor)),
        "observers": [5, None, CANARY, print, *([each] for each in NO_CALLBACKS)],
        "http": [RetryClient(), RetryClient, CANARY, 5, Given(), coroutine_function, AsyncCall(), aiohttp.TCPConnector],
        "ssl_context": ["/etc/ssl/ca.pem", True, False, ssl.create_default_context, ssl.SSLContext],
        "proxy": [
            "a.example:3128",
            "localhost:3128",
            f"socks5://u:{CANARY}@a.example:1080",
            "socks5h://a.example",
            "ftp://a.example",
            f"u:{CANARY}@a.example:3128",
            "http://",
            "http://a b.example",
            "http://a.example:99999",
            5,
            True,
            b"http://a.example",
            Given(),
        ],
        "trust_env": NO_FLAGS,
        "app_info": [
            *(each for each in NO_TEXTS if each is not None),
            "",
            " a",
            "a ",
            "a  b",
            "a/",
            "/1",
            "a/1/2",
            "a(b)",
            "a\r\nX: y",
            "a\nb",
            "à/1",
            "a" * 257,
        ],
        "clock": [
            *NO_CALLBACKS,
            None,
            lambda: "now",
            lambda: None,
            lambda a: a,
            dt.datetime.now,
            dt.datetime,
        ],
        "wall_clock": [*NO_CALLBACKS, None, time.gmtime],
    },
    "ArzamedSession.clinic": {"credentials": not_of(None)},
    "ArzamedSession.forget": {"credentials": not_of(None)},
    "Clinic.resource": {
        "endpoint": not_of(None, "equipe/rooms", Endpoint),
        "parameters": [
            None,
            True,
            1.5,
            b"x",
            [],
            {},
            "",
            ".",
            "..",
            "%2e%2e",
            "a/b",
            "a\nb",
            "\ud800",
            CANARY * 99,
            Given(),
        ],
    },
    "Clinic.with_options": {
        "retry": not_of(TIMEOUTS, 0, ""),
        "timeouts": not_of(RETRY, 0),
        "limits": not_of(RETRY, 0, False),
    },
    "Clinic.get": {
        "path": [*NO_TEXTS, "", "/a", "a/../b", "https://a.example/", "a?b", "a#b", "a b", "a//b"],
        "params": NO_PARAMS,
        "route": [5, True, b"x", "", Given(), "a\nb"],
    },
    "Resource.list": {"params": NO_PARAMS},
    "Resource.read": {"params": NO_PARAMS},
    "Resource.one": {"params": NO_PARAMS},
    "Resource.stream": {"params": NO_PARAMS, "collect_errors": NO_FLAGS},
    "Resource.batches": {"params": NO_PARAMS, "size": [each for each in NO_COUNTS if each is not None]},
    "SessionThread": {"open_session": [*NO_CALLABLES, None]},
    "SessionThread.run": {"work": [*NO_CALLABLES, None], "deadline_seconds": NO_SECONDS},
    "ClinicCredentials": {
        "client_id": [*NO_TEXTS, ""],
        "client_secret": [*NO_TEXTS, "", CANARY.encode(), f"{CANARY}\n"],
        "token_url": NO_URLS,
        "name": NO_TEXTS,
        "scope": [*NO_TEXTS, ""],
        "basic_encoding": [None, "", "basic", 5, True, Given()],
    },
    "ClinicCredentials.from_env": {"prefix": NO_TEXTS},
    "SecretFromEnv": {"variable": [*NO_TEXTS, ""]},
    "SecretFromFile": {"path": NO_PATHS},
    "load_clinics": {"path": NO_PATHS},
    "infer_model": {
        "records": [None, 5, CANARY, b"x", {}, Given()],
        "name": [*NO_TEXTS, ""],
        "path": [5, b"x", "", "/a", "a/../b", "{", "{class}", Given()],
        **dict.fromkeys(("personal", "decimals", "enums"), NO_FLAGS),
        "max_records": [each for each in NO_COUNTS if each is not None],
    },
    "check_model": {
        "records": [None, 5, CANARY, b"x", {}, Given()],
        "model": [None, 5, CANARY, int, Given(), Doctor("A", None)],
        "max_records": [each for each in NO_COUNTS if each is not None],
    },
    "to_dict": {"record": [5, None, CANARY, {}, Given(), Doctor]},
    "RetryPolicy": {
        "max_attempts": NO_COUNTS,
        "initial_backoff_seconds": NO_SECONDS,
        "max_backoff_seconds": NO_SECONDS,
        "max_retry_after_seconds": NO_AMOUNTS,
        "budget": NO_AMOUNTS,
        "statuses": NO_STATUSES,
        "token_statuses": NO_STATUSES,
    },
    "Timeouts": dict.fromkeys(SECONDS_EACH["Timeouts"], NO_SECONDS),
    "Limits": {
        **dict.fromkeys(("record_bytes", "list_bytes", "body_bytes", "buffered_bytes"), NO_COUNTS),
        "list_records": [each for each in NO_COUNTS if each is not None],
    },
    "PoolLimits": dict.fromkeys(("connections", "connections_per_clinic"), NO_COUNTS),
    "PacingPolicy": {"max_requests_per_second": [each for each in NO_SECONDS if each is not None]},
    "BreakerPolicy": {"failure_threshold": NO_COUNTS, "open_seconds": NO_SECONDS},
    "TokenPolicy": dict.fromkeys(SECONDS_EACH["TokenPolicy"], NO_AMOUNTS),
    "Endpoint": {
        "path": [*NO_TEXTS, "", "/a", "a/../b", "a{b}", "{", "{class}"],
        "model": [dict, None, 5, "Doctor", Given, Doctor("A", None)],
        "personal": NO_FLAGS,
    },
    "Endpoints": {name: [5, True, b"x", "", "/a", "a/../b", Given()] for name in ("slots", "patients")},
    "FileTokenStore": {
        "folder": [*(each for each in NO_PATHS if each is not None), f"/{CANARY}\0", BytesPath()],
        "clock": [5, None, CANARY, coroutine_function],
    },
    "RedisTokenStore": {
        "url_or_client": [
            f"http://u:{CANARY}@a.example",
            "a.example:6379",
            5,
            None,
            Given(),
            SyncRedis(),
            redis.Redis(),
            redis.asyncio.Redis,
        ],
        "prefix": [5, None, b"x", Given()],
    },
    "LoggingObserver": {"logger": ["name", 5, True, logging.Logger, Given()]},
    "OTelObserver": {
        "tracer_provider": [5, "x", Given()],
        "meter_provider": [5, "x", Given()],
        "propagator": [5, "x", Given()],
        "clinics_in_metrics": NO_FLAGS,
    },
}
FAN_OUT = {
    "clinics": NO_CLINICS,
    "concurrency": NO_COUNTS,
    "deadline_seconds": NO_SECONDS,
    "on_progress": NO_CALLBACKS,
}
WRONG["ArzamedSession.fan_out"] = {**FAN_OUT, "fetch": [*NO_CALLABLES, None]}
WRONG["ArzamedSession.gather"] = WRONG["ArzamedSession.fan_out"]
WRONG["ArzamedSession.merge"] = {**FAN_OUT, "open_stream": [*NO_CALLABLES, None], "buffer": NO_COUNTS}

#: Public names that a program does not call with arguments of its own.
EXCUSED = {
    "arzamed_async": {
        "CircuitChanged", "ClinicStats", "Doctor", "Drift", "Event", "Failure", "FanOut", "Finished", "Headers", "InferredModel", "Lease", "ListResponse", "Merge", "Missing", "ModelReport", "NaiveDatetime", "Observer",
        "OpenRecord", "Outcome", "PaceChanged", "PacingStats", "Patient", "PoolStats", "Record", "RecordStream", "RequestFinished", "Response", "RetryScheduled",
        "Slot", "Span", "Stats", "StoredRejection", "StoredToken", "Success", "Token", "TokenRequestFinished", "TokenStore",
        "TokenStoreFailed", "Tracer", "UnknownField", "Work",
    },  # values that the package creates, protocols and types
    "arzamed_async.stores": set(),
    "arzamed_async.logs": set(),
    "arzamed_async.otel": set(),
}  # fmt: skip


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield what a program calls: public functions and classes, and the public methods of classes."""
    for module, excused in EXCUSED.items():
        names = importlib.import_module(module)
        for name in names.__all__:
            value = getattr(names, name)
            is_error = isinstance(value, type) and issubclass(value, (Exception, Warning))
            if name in excused or is_error or not callable(value):
                continue
            if value not in (Clinic, Resource):  # which other calls return
                yield name, value
            if isinstance(value, type) and module == "arzamed_async":
                for method, function in vars(value).items():
                    if not method.startswith("_") and (
                        inspect.isfunction(function) or isinstance(function, classmethod)
                    ):
                        yield f"{name}.{method}", getattr(value, method)


def arguments_of(function: Callable[..., Any]) -> set[str]:
    """Return the names of a function's arguments."""
    return {name for name in inspect.signature(function).parameters if name != "self"}


async def test_every_public_argument_is_checked() -> None:
    """Each argument of what a program calls has a line of wrong values here, and each line an argument."""
    found = {name: arguments_of(function) for name, function in public()}
    assert {name: each for name, each in found.items() if each} == {name: set(each) for name, each in WRONG.items()}


def bound(name: str, session: ArzamedSession) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what to call under a name, and arguments that are right."""
    clinic = session.clinic(CREDENTIALS)
    owners: dict[str, Any] = {"ArzamedSession": session, "Clinic": clinic, "Resource": clinic.doctors}
    owners["SessionThread"] = SessionThread()
    owner, _, method = name.partition(".")
    function = (
        getattr(owners.get(owner, getattr(arzamed_async, owner, None)), method) if method else dict(public())[name]
    )
    right: dict[str, dict[str, Any]] = {
        "fan_out": {"clinics": [CREDENTIALS], "fetch": coroutine_function},
        "gather": {"clinics": [CREDENTIALS], "fetch": coroutine_function},
        "merge": {"clinics": [CREDENTIALS], "open_stream": generator_function},
        "get": {"path": "x"},
        "ClinicCredentials": {"client_id": "id", "client_secret": "invented", "token_url": "https://a.example/token"},
        "Endpoint": {"path": "x", "model": Doctor},
        "infer_model": {"records": [{}], "name": "slots"},
        "check_model": {"records": [{}], "model": Doctor},
        "resource": {"endpoint": Endpoint("rooms/{parameters}", Doctor), "parameters": "1"},
        "RedisTokenStore": {"url_or_client": "redis://127.0.0.1:9"},
        "FileTokenStore": {},
        "run": {"work": coroutine_function},
    }
    return function, right.get(method or name, {})


@pytest.mark.parametrize(
    ("name", "argument"), [(name, each) for name, arguments in WRONG.items() for each in arguments]
)
async def test_wrong_values_are_refused_where_they_are_given(name: str, argument: str) -> None:
    """The error names the argument, quotes no text that may be a secret, and no foreign exception hangs on it."""
    async with ArzamedSession() as session:
        function, right = bound(name, session)
        for wrong in WRONG[name][argument]:
            with pytest.raises(ConfigurationError) as caught:
                result = function(**{**right, argument: wrong})
                if inspect.isawaitable(result):
                    await result
            text = str(caught.value)
            assert argument.rpartition("_")[0] in text or argument in text or "param" in text, (wrong, text)
            assert CANARY not in text
            assert caught.value.__context__ is None, wrong


async def test_what_is_right_is_accepted() -> None:
    """A class that makes an aiohttp session, a partial of a plain function and objects with a plain call are fine."""

    class Plain:
        def __call__(self, event: object) -> None:
            """Observe."""

    observers: list[Observer] = [print, functools.partial(print, "x"), Plain(), [].append]
    async with ArzamedSession(
        http=aiohttp.ClientSession, observers=observers, token_store=MemoryTokenStore()
    ) as session:
        await session.gather([CREDENTIALS], coroutine_function, on_progress=functools.partial(print))
    ArzamedSession(ssl_context=ssl.create_default_context(), proxy="http://u:p@localhost:3128", clock=time.monotonic)
    assert await ArzamedSession(proxy="http://però.example").aclose() is None  # type: ignore[func-returns-value]


async def test_coroutines_in_place_of_functions() -> None:
    """A coroutine given as fetch or on_progress is refused and closed, so that no other warning hides the error."""
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError, match="fetch must be .*, not a coroutine"):
            session.fan_out([CREDENTIALS], coroutine_function())  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="on_progress must be .*, not a coroutine"):
            session.fan_out([CREDENTIALS], coroutine_function, on_progress=coroutine_function())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "text"),
    [(RetryClient.made, "it returned RetryClient"), (AsyncCall.returned, "it returned a coroutine")],
)
async def test_what_a_function_given_as_http_returns(made: Any, text: str) -> None:
    """A function given as http= that returns something else is an error at the first call."""
    async with ArzamedSession(http=made) as session:
        with pytest.raises(ConfigurationError, match=f"http must be an aiohttp.ClientSession, .*: {text}"):
            await session.clinic(CREDENTIALS).doctors.list()


@pytest.mark.parametrize(
    "wrong", [lambda clinic: 5, lambda clinic: clinic.doctors, lambda clinic: clinic.doctors.stream()]
)
async def test_a_fetch_that_returns_no_awaitable(wrong: Any) -> None:
    """It is the program's mistake, and raised: not a Failure of each clinic."""
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError, match="fetch must return an awaitable, not "):
            await session.gather([CREDENTIALS] * 3, wrong)


async def test_callbacks_that_return_coroutines(caplog: pytest.LogCaptureFixture) -> None:
    """A lambda around a coroutine function cannot be recognised before: an observer's is logged, on_progress is an error."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, observers=[lambda event: coroutine_function()]) as session,  # type: ignore[list-item, return-value]
    ):
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        assert "an observer returned a coroutine for TokenRequestFinished" in caplog.text
        with pytest.raises(ConfigurationError, match="on_progress"):
            await session.gather([CREDENTIALS], coroutine_function, on_progress=lambda *_: coroutine_function())  # type: ignore[arg-type, return-value]


class Mistaken(MemoryTokenStore):
    """A store with a mistake in one method."""

    def __init__(self, method: str, error: type[BaseException] | None) -> None:
        super().__init__()
        self.method = method
        self.error = error
        self.calls = 0

    def __getattribute__(self, name: str) -> Any:
        if name != object.__getattribute__(self, "__dict__").get("method"):
            return super().__getattribute__(name)
        self.calls += 1

        async def mistaken(*_: object) -> None:
            assert self.error is not None
            raise self.error(CANARY)

        return mistaken if self.error is not None else lambda *_: None


@pytest.mark.parametrize(
    "error", [TypeError, AttributeError, NameError, NotImplementedError, asyncio.CancelledError, None]
)
@pytest.mark.parametrize("method", ["load", "acquire", "save"])
async def test_a_bug_of_a_store_is_no_outage(
    method: str, error: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged as an error, once, with its place and no text of its own; calls go on, and so do those to the store."""
    store: TokenStore = Mistaken(method, error)
    async with (
        RawServer(lambda request, writer: good(server, request, writer)) as server,
        ArzamedSession(base_url=server.base_url, token_store=store) as session,
    ):
        for number in range(3):
            assert len(await session.clinic(server.credentials(f"c{number}")).doctors.list()) == 3
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    kind = {None: "TypeError", asyncio.CancelledError: "StoreCancelledError"}.get(error) or getattr(
        error, "__name__", ""
    )
    place = "" if error in (None, asyncio.CancelledError) else r" \(test_arguments.py, line \d+\)"
    assert len(logged) == 1
    text = rf"the token store has a bug: Mistaken.{method}\(\) raised {kind}{place}; tokens are requested without it"
    assert re.fullmatch(text, logged[0]), logged
    assert CANARY not in caplog.text
    assert store.calls >= 3  # type: ignore[attr-defined]


async def good(server: RawServer, request: Any, writer: asyncio.StreamWriter) -> None:
    """Respond as Arzamed does, with a token of each clinic's own."""
    if request.is_token:
        writer.write(token_answer(request.target.rpartition("/")[2]))
    else:
        await server.good(request, writer)
