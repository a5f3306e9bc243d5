"""What a constructor, or a function, that refuses an argument shows of it: nothing, to any error tracker.

Rollbar keeps a str or bytes in a frame's locals as it is, so a masked repr does not help; others follow the attributes
of objects, the closures of functions and the errors that an error is chained to. `reachable` does all of that.
"""

from __future__ import annotations

import copy
import gc
import importlib
import inspect
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

import pytest
from attrs import evolve

import arzamed_async
from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Endpoint,
    Endpoints,
    Headers,
    Limits,
    OpenRecord,
    PacingPolicy,
    Patient,
    PoolLimits,
    RetryPolicy,
    SecretFromEnv,
    SecretFromFile,
    Timeouts,
    TokenPolicy,
    load_clinics,
)
from arzamed_async.dask import fan_out_dask
from arzamed_async.logs import LoggingObserver
from arzamed_async.otel import OTelObserver
from arzamed_async.stores import FileTokenStore, RedisTokenStore
from arzamed_async.testing import Answer, FakeArzamed

SECRET = "invented-canary-9f3b"
TESTS = str(Path(__file__).parents[1])
URL = "https://auth.invented.example/token"
BYTES = SECRET.encode()


def reachable(roots: list[object]) -> Iterator[str | bytes]:
    """Yield every text that is reachable from these: through containers, attributes, slots, closures and defaults."""
    seen: set[int] = set()
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, (type, ModuleType, FrameType, TracebackType)):
            continue
        seen.add(id(each))
        if isinstance(each, (str, bytes)):
            yield each
        elif isinstance(each, bytearray):
            yield bytes(each)
        elif isinstance(each, Mapping):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, BaseException):
            left += [each.args, vars(each)]
        elif inspect.isfunction(each):
            left += [each.__closure__, each.__defaults__, each.__kwdefaults__]
        elif inspect.ismethod(each):
            left += [each.__self__, each.__func__]
        else:
            left += gc.get_referents(each)


def errors_of(error: BaseException) -> list[BaseException]:
    """Return the error, what it is chained to, and the members of groups."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def shown(error: BaseException) -> list[str]:
    """Return the places at which a tracker finds the canary: in a text, or in a frame that is not a test's own."""
    places: list[str] = []
    for each in errors_of(error):
        texts = ["".join(traceback.format_exception(each, chain=False)), *map(str, reachable([each]))]
        places += [f"text {text!r}" for text in texts if SECRET in text]
        step = each.__traceback__
        while step is not None:
            code, values = step.tb_frame.f_code, dict(step.tb_frame.f_locals)
            step = step.tb_next
            if code.co_filename.startswith(TESTS):
                continue
            for name, value in values.items():
                found = [text for text in reachable([value]) if SECRET in str(text)]
                places += [f"{code.co_qualname}: {name}"] * bool(found)
    return places


def written(folder: Path, text: str) -> Path:
    """Return a new clinics file with this text."""
    path = folder / "clinics.toml"
    path.write_text(text, encoding="utf-8")
    return path


TABLE = f"[clinics.roma]\nclient_id = 'r'\ntoken_url = '{URL}'\n"
OPEN_SESSION = ArzamedSession()
CLINIC_CREDENTIALS = ClinicCredentials("id", SecretFromEnv("ROMA_SECRET"), URL)
CLINIC = OPEN_SESSION.clinic(CLINIC_CREDENTIALS)


async def nothing(*_: object) -> None:
    """Read nothing."""


def failing_clock() -> float:
    """Fail, as a clock of the caller's can."""
    raise LookupError("a bug of the caller's")


Make = Callable[[Path], object]
ANY: Any = None
#: Wrong arguments of what the package offers, each with a secret in it.
REFUSED: dict[str, Make] = {
    "a secret as bytes": lambda _: ClinicCredentials("id", ANY or BYTES, URL),
    "a secret in a list": lambda _: ClinicCredentials("id", ANY or [SECRET], URL),
    "a secret with a line break": lambda _: ClinicCredentials("id", f"{SECRET}\nX: 1", URL),
    "a secret and a bad URL": lambda _: ClinicCredentials("id", SECRET, "nowhere"),
    "a secret and a bad name": lambda _: ClinicCredentials("id", SECRET, URL, "a\nb"),
    "a secret and a bad scope": lambda _: ClinicCredentials("id", SECRET, URL, scope=""),
    "a secret and a bad encoding": lambda _: ClinicCredentials("id", SECRET, URL, basic_encoding=ANY or "x"),
    "a secret as the encoding": lambda _: ClinicCredentials("id", "x", URL, basic_encoding=ANY or SECRET),
    "a secret and a colon": lambda _: ClinicCredentials("i:d", SECRET, URL, basic_encoding="raw"),
    "a secret as the client id": lambda _: ClinicCredentials(SECRET, "id", "nowhere"),
    "a secret as bytes for the client id": lambda _: ClinicCredentials(ANY or BYTES, "id", URL),
    "a secret as the URL": lambda _: ClinicCredentials("id", URL, SECRET),
    "a secret as the name": lambda _: ClinicCredentials("id", URL, "nowhere", SECRET),
    "a secret as the scope": lambda _: ClinicCredentials("id", "x", URL, scope=f"{SECRET}\n"),
    "a password in token_url": lambda _: ClinicCredentials("id", "x", f"https://u:{SECRET}@auth.invented.example/"),
    "a password in a token_url of http": lambda _: ClinicCredentials("id", "x", f"http://u:{SECRET}@invented.example/"),
    "a password before a bad host": lambda _: ClinicCredentials("id", "x", f"https://u:{SECRET}@[::1/"),
    "a password as the host": lambda _: ClinicCredentials("id", "x", f"https://{SECRET}_%/"),
    "a password as the port": lambda _: ClinicCredentials("id", "x", f"https://invented.example:{SECRET}/"),
    "an argument too few": lambda _: ClinicCredentials("id", *ANY or [SECRET]),
    "an argument too many": lambda _: ClinicCredentials("id", SECRET, URL, "", "s", "form", *ANY or [1]),
    "an unknown argument": lambda _: ClinicCredentials("id", SECRET, URL, **ANY or {"secret": SECRET}),
    "a password in a replaced URL": lambda _: evolve(CLINIC_CREDENTIALS, token_url=f"https://u:{SECRET}@x.example/"),
    "a secret replaced by bytes": lambda _: evolve(CLINIC_CREDENTIALS, client_secret=ANY or BYTES),
    "a secret replaced along with a bad URL": lambda _: evolve(CLINIC_CREDENTIALS, client_secret=SECRET, token_url="x"),
    "a limit replaced by a secret": lambda _: evolve(Limits(), record_bytes=ANY or SECRET),
    "a path replaced by a secret": lambda _: evolve(Endpoints(), slots=f"//{SECRET}"),
    "a secret as the prefix": lambda _: ClinicCredentials.from_env(SECRET),
    "a secret as the variable": lambda _: SecretFromEnv(SECRET).resolve(),
    "a hexadecimal secret as the variable": lambda _: SecretFromEnv(SECRET.encode().hex()).resolve(),
    "a secret as bytes for the variable": lambda _: SecretFromEnv(ANY or BYTES),
    "a secret as the path": lambda _: SecretFromFile(SECRET).resolve(),
    "a secret as bytes for the path": lambda _: SecretFromFile(ANY or BYTES),
    "a secret as a list of paths": lambda _: SecretFromFile(ANY or [SECRET]),
    "a clinics file as text": lambda _: load_clinics(f"{TABLE}client_secret = '{SECRET}\n'"),
    "a clinics file as bytes": lambda _: load_clinics(ANY or BYTES),
    "a clinics file, misspelt": lambda p: load_clinics(written(p, f"{TABLE}client_secrt = '{SECRET}'")),
    "a clinics file with the secret as key": lambda p: load_clinics(written(p, f"{TABLE}'{SECRET}' = 'x'")),
    "a clinics file of the secret": lambda p: load_clinics(written(p, f"'{SECRET}' = 1")),
    "a clinics file with two secrets": lambda p: load_clinics(
        written(p, f"{TABLE}client_secret = '{SECRET}'\nclient_secret_env = 'A'")
    ),
    "a clinics file with a list": lambda p: load_clinics(written(p, f"{TABLE}client_secret = ['{SECRET}']")),
    "a clinics file that is cut": lambda p: load_clinics(written(p, f"{TABLE}client_secret = '{SECRET}")),
    "a clinics file with a key twice": lambda p: load_clinics(
        written(p, f"{TABLE}client_secret = '{SECRET}'\nclient_secret = '{SECRET}'")
    ),
    "a clinics file with a bad URL": lambda p: load_clinics(
        written(p, f"[clinics.a]\nclient_id = 'a'\nclient_secret = '{SECRET}'\ntoken_url = 'http://u:{SECRET}@x'")
    ),
    "a clinics file with a good clinic first": lambda p: load_clinics(
        written(
            p, f"{TABLE}client_secret = '{SECRET}'\n[clinics.b]\nclient_id = ''\nclient_secret = 'x'\ntoken_url = ''"
        )
    ),
    "a password in base_url": lambda _: ArzamedSession(base_url=f"https://u:{SECRET}@api.invented.example"),
    "a password in the query of base_url": lambda _: ArzamedSession(base_url=f"https://invented.example/?k={SECRET}"),
    "a base_url as bytes": lambda _: ArzamedSession(base_url=ANY or BYTES),
    "a password in the proxy": lambda _: ArzamedSession(proxy=f"socks5://u:{SECRET}@proxy.invented.example"),
    "a password in the proxy, and a bad pool": lambda _: ArzamedSession(proxy=f"http://u:{SECRET}@p", pool=ANY or 1),
    "a secret as ssl_context": lambda _: ArzamedSession(ssl_context=ANY or SECRET),
    "a URL as the token store": lambda _: ArzamedSession(token_store=ANY or f"redis://:{SECRET}@r"),
    "a secret as an observer": lambda _: ArzamedSession(observers=ANY or [SECRET]),
    "a secret as the observers": lambda _: ArzamedSession(observers=ANY or SECRET),
    "a secret as a clock": lambda _: ArzamedSession(clock=ANY or SECRET),
    "a secret as http": lambda _: ArzamedSession(http=ANY or SECRET),
    "a secret as a policy": lambda _: ArzamedSession(retry=ANY or SECRET),
    "a secret as tokens": lambda _: ArzamedSession(tokens=ANY or SECRET),
    "a secret as an option": lambda _: ArzamedSession(**ANY or {"client_secret": SECRET}),
    "a proxy, and a clock that fails": lambda _: ArzamedSession(proxy=f"http://u:{SECRET}@p", clock=failing_clock),
    "a secret as credentials": lambda _: OPEN_SESSION.clinic(ANY or SECRET),
    "a secret in a dict as credentials": lambda _: OPEN_SESSION.clinic(ANY or {"client_secret": SECRET}),
    "a secret to forget": lambda _: OPEN_SESSION.forget(ANY or SECRET),
    "a secret as the clinics": lambda _: OPEN_SESSION.fan_out(ANY or SECRET, nothing),
    "a secret as fetch": lambda _: OPEN_SESSION.fan_out((), ANY or SECRET),
    "a secret as open_stream": lambda _: OPEN_SESSION.merge((), ANY or SECRET),
    "a secret as an endpoint": lambda _: CLINIC.resource(ANY or SECRET),
    "a secret as an option of a clinic": lambda _: CLINIC.with_options(retry=ANY or SECRET),
    "a secret as a parameter of a stream": lambda _: CLINIC.doctors.stream({"a": ANY or BYTES}),
    "a secret as the parameters of a stream": lambda _: CLINIC.doctors.stream(ANY or SECRET),
    "a secret as a parameter of batches": lambda _: CLINIC.doctors.batches({"a": f"{SECRET}\n"}),
    "a secret in a segment of a path": lambda _: CLINIC.resource(Endpoint("a/{b}", Doctor), b=f"{SECRET}/"),
    "a secret as an unknown parameter": lambda _: CLINIC.resource(Endpoint("a/{b}", Doctor), b="1", **{SECRET: 1}),
    "a secret as a path": lambda _: Endpoint(f"/{SECRET}", Doctor),
    "a secret as a model": lambda _: Endpoint("a", ANY or SECRET),
    "a secret as an endpoint's path": lambda _: Endpoints(slots=f"//{SECRET}"),
    "a secret as a record": lambda _: OpenRecord(ANY or SECRET),
    "a secret as a patient": lambda _: Patient(ANY or [SECRET]),
    "a secret as headers": lambda _: Headers(ANY or [SECRET]),
    "a secret as a status": lambda _: RetryPolicy(statuses=ANY or SECRET),
    "a secret as one of the statuses": lambda _: RetryPolicy(statuses=ANY or {SECRET}),
    "a secret as attempts": lambda _: RetryPolicy(max_attempts=ANY or SECRET),
    "a secret as a timeout": lambda _: Timeouts(total_seconds=ANY or SECRET),
    "a secret as a limit": lambda _: Limits(record_bytes=ANY or SECRET),
    "a secret as a number of connections": lambda _: PoolLimits(connections=ANY or SECRET),
    "a secret as a lead": lambda _: TokenPolicy(margin_seconds=ANY or SECRET),
    "a secret as a threshold": lambda _: BreakerPolicy(failure_threshold=ANY or SECRET),
    "a secret as a rate": lambda _: PacingPolicy(max_requests_per_second=ANY or SECRET),
    "a URL of Redis with another scheme": lambda _: RedisTokenStore(f"http://:{SECRET}@redis.invented.example"),
    "a URL of Redis with a bad port": lambda _: RedisTokenStore(f"redis://:{SECRET}@redis.invented.example:x"),
    "a URL of Redis with a bad option": lambda _: RedisTokenStore(f"redis://:{SECRET}@r?socket_timeout=x"),
    "a URL of Redis, and a bad prefix": lambda _: RedisTokenStore(f"redis://:{SECRET}@r", prefix=ANY or 1),
    "a URL of Redis as bytes": lambda _: RedisTokenStore(ANY or f"redis://:{SECRET}@r".encode()),
    "a secret as the folder": lambda _: FileTokenStore(ANY or BYTES),
    "a secret as a logger": lambda _: LoggingObserver(ANY or SECRET),
    "a secret as a provider": lambda _: OTelObserver(tracer_provider=ANY or SECRET),
    "a secret as a client of Dask": lambda _: fan_out_dask(SECRET, [], nothing),
    "a secret as a scripted status": lambda _: Answer(ANY or SECRET),
    "a secret of an invented clinic": lambda _: FakeArzamed().add_clinic("a", client_secret=SECRET),
}


def public_classes() -> Iterator[type]:
    """Yield every public class, those of the extras included."""
    for module in (arzamed_async, *map(importlib.import_module, EXTRAS)):
        for name in module.__all__:
            each = getattr(module, name)
            if (
                isinstance(each, type)
                and not issubclass(each, (dict, Enum))
                and not getattr(each, "_is_protocol", False)
            ):
                yield each


EXTRAS = [f"arzamed_async.{each}" for each in ("dask", "logs", "otel", "stores", "testing")]


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_a_refusal_shows_nothing(make: Make, tmp_path: Path) -> None:
    """What refuses an argument shows no part of it: neither in its text nor in a frame of the package."""
    with pytest.raises((ArzamedError, TypeError, ValueError, AttributeError, LookupError)) as caught:
        make(tmp_path)
    assert shown(caught.value) == []


def test_a_refused_replacement_shows_nothing() -> None:
    """What `copy.replace` changes is in no frame of its refusal, neither of the copy module nor of attrs."""
    replace = vars(copy).get("replace", evolve)  # new in Python 3.13
    with pytest.raises(ConfigurationError) as caught:
        replace(CLINIC_CREDENTIALS, client_secret=SECRET, token_url=f"https://u:{SECRET}@x.example/")
    assert shown(caught.value) == []


def test_a_callers_own_bug_keeps_its_frames() -> None:
    """An error of the caller's clock keeps its type, its text and the frame of the clock, and none of the package."""
    with pytest.raises(LookupError, match="a bug of the caller's") as caught:
        ArzamedSession(proxy=f"http://u:{SECRET}@proxy.invented.example", clock=failing_clock)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert [name for name in names if name != "call"] == [
        "test_a_callers_own_bug_keeps_its_frames",
        "failing_clock",
    ]


def test_a_refusal_is_chained_to_what_its_caller_handles() -> None:
    """A refusal within an `except` of the caller's names that error as its context, and no other."""
    with pytest.raises(ConfigurationError) as caught:
        try:
            raise LookupError("the caller's")
        except LookupError:
            ArzamedSession(base_url="nowhere")
    assert repr(caught.value.__context__) == repr(LookupError("the caller's"))
    assert caught.value.__context__.__context__ is None


@pytest.mark.asyncio
async def test_a_refusal_of_a_call_shows_nothing() -> None:
    """A parameter, a path or a clinic that a call refuses at its start is in no frame of the package."""
    calls: list[Callable[[], Any]] = [
        lambda: CLINIC.doctors.list({"a": ANY or BYTES}),
        lambda: CLINIC.get(f"/{SECRET}"),
        lambda: CLINIC.get("a", {"a": f"{SECRET}\n"}),
        lambda: CLINIC.get("a", route=f"{SECRET}\n"),
        lambda: OPEN_SESSION.gather(ANY or SECRET, nothing),
        lambda: OPEN_SESSION.gather(ANY or [SECRET], nothing),
        lambda: OPEN_SESSION.gather([], ANY or SECRET),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError) as caught:
            await call()
        assert shown(caught.value) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", list(public_classes()))
async def test_a_half_made_object(kind: type) -> None:
    """What a constructor that has raised leaves behind can be shown, compared, hashed, copied or closed without an AttributeError."""
    made, other = kind.__new__(kind), kind.__new__(kind)
    assert repr(made)
    assert (made == other) in (True, False)
    if kind.__hash__ is not None:
        hash(made)
    for take in (pickle.dumps, copy.copy):
        try:
            take(made)
        except TypeError as error:
            assert "AttributeError" not in repr(error)
    for close in ("aclose", "__del__"):
        closed = getattr(made, close, nothing)()
        if inspect.isawaitable(closed):
            await closed


def test_a_refused_session_has_a_repr() -> None:
    """The session whose constructor has raised says so in its repr, and so do credentials."""
    assert repr(ArzamedSession.__new__(ArzamedSession)) == "<ArzamedSession, not initialized>"
    assert repr(ClinicCredentials.__new__(ClinicCredentials)) == "<ClinicCredentials, not initialized>"
    with pytest.raises(TypeError, match="was not initialized"):
        pickle.dumps(ClinicCredentials.__new__(ClinicCredentials))
