"""What a traceback shows that prints locals, as error trackers and rich do: no secret, no token, no record's value."""

from __future__ import annotations

import ast
import asyncio
import base64
import copy
import gc
import inspect
import json
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pytest
from attrs import frozen
from rich.pretty import pretty_repr
from support import SECRET, TOKEN, RawServer, Request, answer, json_answer, token_answer
from test_errors import VALUE, _faults

import arzamed_async
from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DecodeError,
    Endpoint,
    Failure,
    Limits,
    RetryPolicy,
    SecretFromEnv,
    SecretFromFile,
    Success,
    Timeouts,
    Token,
    TokenError,
    load_clinics,
)
from arzamed_async._masked import Masked
from arzamed_async._tokens.oauth2 import basic_authorization

TESTS = str(Path(__file__).parents[1])
BASIC = base64.b64encode(f"id-Milano:{SECRET}".encode()).decode()
CANARIES = (SECRET, TOKEN, VALUE, BASIC)
ONE = RetryPolicy.none()


def frames_of(error: BaseException) -> list[FrameType]:
    """Return every frame of the error's tracebacks, those of what it is chained to included, but for the tests' own."""
    frames: list[FrameType] = []
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        left += [each.__cause__, each.__context__]
        step: TracebackType | None = each.__traceback__
        while step is not None:
            frames.append(step.tb_frame)
            step = step.tb_next
    return [frame for frame in frames if not frame.f_code.co_filename.startswith(TESTS)]


def shown(error: BaseException) -> str:
    """Return the text of the error and of all locals in its frames."""
    texts = ["".join(traceback.format_exception(error)), repr(error)]
    for frame in frames_of(error):
        texts += [f"{frame.f_code.co_qualname}: {name} = {value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(texts)


def assert_silent(error: BaseException) -> None:
    text = shown(error)
    for canary in CANARIES:
        found = [line[:120] for line in text.splitlines() if canary in line]
        assert found == []


@frozen
class Person:
    """A class whose repr shows what it holds."""

    name: str


PEOPLE = Endpoint("equipe/people", Person, personal=True)
NOTES = Endpoint("equipe/people/{person}/notes", Person, personal=True)
Read = Callable[[Clinic], Awaitable[Any]]


async def streamed(clinic: Clinic) -> list[Person]:
    return [person async for person in clinic.resource(PEOPLE).stream()]


async def in_batches(clinic: Clinic) -> list[list[Person]]:
    return [batch async for batch in clinic.resource(PEOPLE).batches(size=7)]


READS: dict[str, Read] = {
    "token": lambda clinic: clinic.token(),
    "list": lambda clinic: clinic.doctors.list({"patient": VALUE}),
    "get": lambda clinic: clinic.get(f"equipe/{VALUE}", {"patient": VALUE}),
    "parameter": lambda clinic: clinic.resource(NOTES, person=VALUE).list(),
    "one": lambda clinic: clinic.resource(NOTES, person=VALUE).one({"patient": VALUE}),
    "stream": streamed,
    "batches": in_batches,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(("name", "token", "api"), _faults(), ids=[name for name, _, _ in _faults()])
async def test_a_failure_shows_nothing(name: str, token: bytes, api: bytes, read: Read) -> None:
    """Whatever a server answers, no local of a frame of ours holds a secret, a token or a value of its answer."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token if request.is_token else api)
        if b"9999" in api or name.endswith("no http"):
            writer.close()

    limits = Limits(record_bytes=1000, body_bytes=100)
    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=ONE, limits=limits) as session,
    ):
        try:
            await read(session.clinic(server.credentials()))
        except ArzamedError as error:
            assert_silent(error)


REFUSED_READS: dict[str, Read] = {
    **{name: read for name, read in READS.items() if name != "token"},
    "list with its response": lambda clinic: clinic.doctors.read({"patient": VALUE}),
    "stream of doctors": lambda clinic: anext(clinic.doctors.stream({"patient": VALUE}, collect_errors=True)),
    "batches of doctors": lambda clinic: anext(aiter(clinic.doctors.batches({"patient": VALUE}, size=7))),
    "a route": lambda clinic: clinic.get(f"equipe/{VALUE}", {"patient": VALUE}, route="equipe/{one}"),
    "list of a bad parameter": lambda clinic: clinic.doctors.list({"patient": f"{VALUE}\n"}),
    "response to a bad parameter": lambda clinic: clinic.doctors.read({"patient": f"{VALUE}\n"}),
    "get with a bad parameter": lambda clinic: clinic.get(f"equipe/{VALUE}", {"patient": f"{VALUE}\n"}),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("read", REFUSED_READS.values(), ids=REFUSED_READS)
async def test_the_arguments_of_each_frame_can_be_formatted(read: Read) -> None:
    """What prints the arguments of frames, as cgitb does, finds each of them still set, and without a parameter's value."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(403, b"{}"))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=ONE) as session:
        with pytest.raises(ArzamedError) as caught:
            await read(session.clinic(server.credentials()))
        for frame in frames_of(caught.value):
            assert VALUE not in inspect.formatargvalues(*inspect.getargvalues(frame))


def deleted_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the arguments of a function that a `del` in it names."""
    given = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    deleted = [target for each in ast.walk(function) if isinstance(each, ast.Delete) for target in each.targets]
    return given & {target.id for target in deleted if isinstance(target, ast.Name)}


def test_no_function_deletes_its_arguments() -> None:
    """What must be in no traceback is overwritten: cgitb and inspect.formatargvalues fail on an argument that is gone."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(arzamed_async.__file__).parent.rglob("*.py")):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and (names := deleted_arguments(each)):
                found[f"{path.stem}.{each.name}"] = names
    assert found == {"_tracebacks.call": {"args", "kwargs"}}  # a frame that is dropped


def people(count: int) -> bytes:
    return b",".join([json.dumps({"name": VALUE, "profileImage": None}).encode()] * count)


@pytest.mark.asyncio
@pytest.mark.parametrize("read", [streamed, in_batches])
@pytest.mark.parametrize("end", [b",{}]", b",{} oops]", b""], ids=["wrong", "not json", "cut"])
async def test_records_already_delivered_are_not_shown(read: Read, end: bytes) -> None:
    """A stream that fails behind delivered records shows none of them in a frame of ours."""
    body = b"[" + people(3000) + end
    good = b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % (len(body) + (not end)) + body

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else good)
        if not request.is_token:
            await writer.drain()
            writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=ONE) as session:
        with pytest.raises(ArzamedError) as caught:
            await read(session.clinic(server.credentials()))
        assert_silent(caught.value)
        async with session.merge([server.credentials()], lambda clinic: clinic.resource(PEOPLE).stream()) as merged:
            last = [each async for each in merged][-1]
        assert isinstance(last, Failure)
        assert_silent(last.error)


@pytest.mark.asyncio
@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_cancellation_shows_nothing(read: Read) -> None:
    """The CancelledError behind a caller's own timeout, in the midst of a body, shows nothing of ours or aiohttp's."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token and read is READS["token"]:
            writer.write(token_answer()[:-9])
        elif request.is_token:
            writer.write(token_answer())
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 999999\r\n\r\n[" + people(3000))
        arrived.set()
        if not request.is_token or read is READS["token"]:
            await asyncio.Event().wait()

    arrived = asyncio.Event()
    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=ONE) as session:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.3):
                await read(session.clinic(server.credentials()))
        assert_silent(caught.value)


@pytest.mark.asyncio
async def test_a_users_bug_shows_nothing_of_others() -> None:
    """A bug in one clinic's fetch rises with no other clinic's records in the frames of ours."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(200, b"[" + people(3) + b"]"))

    async def fetch(clinic: Clinic) -> list[Person]:
        if clinic.name == "c5":
            raise LookupError("a bug")
        return await clinic.resource(PEOPLE).list()

    async def stream(clinic: Clinic) -> AsyncIterator[Person]:
        async for person in clinic.resource(PEOPLE).stream():
            yield person
        raise LookupError("a bug")

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinics = [server.credentials(f"c{n}") for n in range(9)]
        with pytest.raises(LookupError) as caught:
            await session.gather(clinics, fetch, concurrency=1)
        assert_silent(caught.value)
        with pytest.raises(LookupError) as caught:
            async with session.merge(clinics, stream, concurrency=1) as merged:
                async for _ in merged:
                    pass
        assert_silent(caught.value)


@pytest.mark.asyncio
async def test_a_coalesced_failure_shows_nothing() -> None:
    """Where many share one read, each one's error is as silent."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else json_answer(403, {"error": TOKEN, "value": VALUE}))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, coalesce=True) as session:
        clinic = session.clinic(server.credentials())
        reads = (clinic.doctors.list({"patient": VALUE}) for _ in range(3))
        for error in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(error, ArzamedError)
            assert_silent(error)


@pytest.mark.asyncio
@pytest.mark.parametrize("coalesce", [False, True], ids=["", "coalesced"])
async def test_asyncios_debug_log_shows_nothing(coalesce: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Where asyncio logs each step of each task that it finds slow, no record, secret or token of ours is in it."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else answer(200, b"[" + people(3) + b"]"))

    async def count(records: AsyncIterator[Any]) -> int:
        return len([each async for each in records])

    async def calls(session: ArzamedSession, clinics: list[ClinicCredentials]) -> list[int]:
        endpoint = Endpoint("equipe/people", Person)
        lists = (session.clinic(each).resource(endpoint).list({"patient": VALUE}) for each in clinics * 3)
        counts = [len(people) for people in await asyncio.gather(*map(quiet, lists))]
        counts.append(await count(session.fan_out(clinics, lambda clinic: clinic.resource(endpoint).list())))
        counts.append(await count(session.merge(clinics, lambda clinic: clinic.resource(PEOPLE).stream())))
        return [*counts, len((await session.clinic(clinics[0]).get(f"equipe/{VALUE}", {"patient": VALUE})).body)]

    class Kept:
        """What a caller's own task returns is the caller's: here it shows nothing."""

        def __init__(self, value: list[Person]) -> None:
            self.value = value

        def __len__(self) -> int:
            return len(self.value)

    async def quiet(read: Awaitable[list[Person]]) -> Kept:
        return Kept(await read)

    loop = asyncio.get_running_loop()
    caplog.set_level("DEBUG")
    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, coalesce=coalesce) as session:
        loop.slow_callback_duration = 0.0
        loop.set_debug(True)
        try:
            counts = await calls(session, [server.credentials(f"c{n}") for n in range(2)])
        finally:
            loop.set_debug(False)
    assert counts == [3] * 6 + [2, 8, len(b"[" + people(3) + b"]")]
    assert "Executing <Task finished" in caplog.text
    canaries = (*CANARIES, "Person(name=")  # (a long value is cut in it)
    assert [line for line in caplog.text.splitlines() if any(canary in line for canary in canaries)] == []


def test_wrong_credentials_show_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials that are refused where they are made, by whatever way the secret came, show no secret."""
    bad = f"{SECRET}\nInjected: 1"
    monkeypatch.setenv("MI_SECRET", bad)
    file = tmp_path / "secret"
    file.write_text(bad, encoding="utf-8")
    clinics = tmp_path / "clinics.toml"
    clinics.write_text(
        f"[clinics.roma]\nclient_id = 'r'\nclient_secret = '{SECRET}'\ntoken_url = 'https://auth.invented.example'\n"
        f"[clinics.milano]\nclient_id = 'm'\nclient_secrt = '{SECRET}'\ntoken_url = 'https://auth.invented.example'\n",
        encoding="utf-8",
    )
    for make in (
        lambda: ClinicCredentials("id", bad, "https://auth.invented.example"),
        lambda: ClinicCredentials("id", SECRET, "nowhere"),
        lambda: ClinicCredentials("i:d", SECRET, "https://auth.invented.example", basic_encoding="raw"),
        SecretFromEnv("MI_SECRET").resolve,
        SecretFromFile(file).resolve,
        lambda: load_clinics(clinics),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert_silent(caught.value)


def live_frames(task: asyncio.Task[Any]) -> list[FrameType]:
    """Return the frames of a task that waits, from the outermost to the innermost."""
    frames = []
    step: Any = task.get_coro()
    while step is not None:
        frame = getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        step = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
        if type(step).__name__ == "coroutine_wrapper":  # what an object's __await__ returns
            (step,) = gc.get_referents(step)
    return frames


@pytest.mark.asyncio
@pytest.mark.parametrize("at_token", [True, False])
async def test_live_frames_show_nothing(at_token: bool) -> None:
    """The frames of a call that waits (what a debugger prints) show no secret and no token, in either lane."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token is at_token:
            reached.set()
            await asyncio.Event().wait()
        writer.write(token_answer())

    reached = asyncio.Event()
    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        before = asyncio.all_tasks()
        call = asyncio.create_task(session.clinic(server.credentials()).doctors.list())
        await reached.wait()
        frames = [frame for task in asyncio.all_tasks() - before for frame in live_frames(task)]
        texts = [
            f"{frame.f_code.co_qualname} {name} = {value!r}"
            for frame in frames
            if not frame.f_code.co_filename.startswith(TESTS)
            for name, value in frame.f_locals.items()
        ]
        innermost = "Direct.open" if session.stats().pool.lane == "direct" else "ClientSession._request"
        assert any(text.startswith(f"{innermost} headers") for text in texts)
        assert [text for text in texts if any(canary in text for canary in CANARIES)] == []
        call.cancel()
        await asyncio.wait([call])


def test_masked_text_is_text(tmp_path: Path) -> None:
    """A secret and a token are text in every way but their repr, also behind a pickle."""
    credentials = pickle.loads(pickle.dumps(ClinicCredentials("id", SECRET, "https://auth.invented.example")))
    assert credentials.client_secret == SECRET
    assert hash(credentials.client_secret) == hash(SECRET)
    assert f"{credentials.client_secret}" == str(credentials.client_secret) == SECRET
    assert repr(credentials.client_secret) == "'***'"
    assert SECRET not in repr({"all": [credentials]})


@pytest.mark.parametrize("length", [10, 80])
def test_masked_text_that_is_cut_stays_masked(length: int) -> None:
    """A long secret and a long token show nothing either where what prints locals cuts them first, as rich does."""
    secret, access_token = SECRET * 10, TOKEN * 40
    kept = ClinicCredentials("id", secret, "https://auth.example/token")
    token = Token(access_token, datetime(2030, 1, 1, tzinfo=timezone.utc))
    text = pretty_repr(
        {"kept": kept, "token": token, "sent": basic_authorization("id", secret, "raw")}, max_string=length
    )
    assert [canary for canary in (SECRET[:9], TOKEN[:9], "Basic") if canary in text] == []
    assert token.access_token[:length] == access_token[:length]


@pytest.mark.asyncio
async def test_errors_keep_the_callers_frames() -> None:
    """What is left out are the frames below the call: the caller's own, and the call's, are there."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, retry=ONE) as session:
        clinic = session.clinic(server.credentials())
        with pytest.raises(DecodeError) as caught:
            await clinic.resource(Endpoint("equipe/doctors", Wrong)).list()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[0] == "test_errors_keep_the_callers_frames"
    assert "list" in names


@frozen
class Wrong:
    """What no record is."""

    age: int


@pytest.mark.asyncio
async def test_a_token_shows_nothing() -> None:
    """A token's repr masks its text, and so do the frames of ours that hold it; the text itself is a plain str for every use."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        token = await session.clinic(server.credentials()).token()
    for each in (token, pickle.loads(pickle.dumps(token)), copy.copy(token), copy.deepcopy(token)):
        assert (each.access_token, type(each.access_token)) == (TOKEN, str)
        assert TOKEN not in repr(each) + repr([each]) + pretty_repr({"token": each}, max_string=10)
    assert type(Token(Masked(TOKEN), token.expires_at).access_token) is str


@pytest.mark.asyncio
async def test_a_fan_outs_failure_is_silent() -> None:
    """The error in a Failure shows nothing either; a Success holds what was asked for."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        good = request.is_token or "c1" in request.headers["authorization"]
        clinic = request.target.rsplit("/", 1)[1]
        writer.write(token_answer(f"{TOKEN}{clinic}") if good and request.is_token else answer(200, b"[" + people(9)))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=ONE, timeouts=Timeouts(total_seconds=5)) as session,
    ):
        clinics = [server.credentials(f"c{n}") for n in range(3)]
        outcomes = await session.gather(clinics, lambda clinic: clinic.resource(PEOPLE).list())
    assert not any(isinstance(outcome, Success) for outcome in outcomes)
    for outcome in outcomes:
        assert isinstance(outcome, Failure)
        assert not isinstance(outcome.error, TokenError)
        assert_silent(outcome.error)
