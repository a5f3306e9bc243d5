"""Endpoints whose path has parameters, on real sockets: what is sent, and what shows the path."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DOCTORS, TOKEN, RawServer, Request, answer, json_answer, settle, until
from support.raw_server import take_ordinary_lane
from test_tracebacks import shown

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    CircuitOpenError,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Endpoint,
    Event,
    NotFoundError,
    RequestFinished,
    RetryPolicy,
    RetryScheduled,
    UnknownField,
)

VALUE = "paziente-inventato-77"
NOTES = Endpoint("equipe/people/{person}/notes", Doctor, personal=True)
SLOTS = Endpoint("equipe/doctors/{doctor}/slots", Doctor)
QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)


def targets(server: RawServer) -> list[str]:
    """Return the targets of the API's requests, without what precedes the path of the endpoint."""
    return [each.target.removeprefix("/api/v1/") for each in server.requests if not each.is_token]


@pytest.mark.parametrize("lane", ["direct", "ordinary"])
@settings(max_examples=40)
@given(texts=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_what_goes_over_the_wire(lane: str, texts: list[str]) -> None:
    """Each text arrives as the one segment that it is, in the middle of the path, over both lanes; or it was refused."""

    async def read() -> None:
        async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
            clinic = session.clinic(server.credentials())
            sent = []
            for text in texts:
                try:
                    resource = clinic.resource(SLOTS, doctor=text)
                except ConfigurationError:
                    continue
                sent.append(text)
                assert len(await resource.list()) == len(DOCTORS)
                assert len(await resource.list({"on": "2030-01-07"})) == len(DOCTORS)
            for text, first, second in zip(sent, targets(server)[::2], targets(server)[1::2], strict=True):
                assert second == f"{first}?on=2030-01-07"
                start, doctors, segment, end = first.split("/")
                assert (start, doctors, unquote(segment), end) == ("equipe", "doctors", text, "slots")

    with pytest.MonkeyPatch.context() as patch:
        if lane == "ordinary":
            take_ordinary_lane(patch)
        asyncio.run(read())


READS: dict[str, Callable[[Clinic], Any]] = {
    "list": lambda clinic: clinic.resource(NOTES, person=VALUE).list(),
    "read": lambda clinic: clinic.resource(NOTES, person=VALUE).read(),
    "stream": lambda clinic: anext(aiter(clinic.resource(NOTES, person=VALUE).stream())),
    "batches": lambda clinic: anext(aiter(clinic.resource(NOTES, person=VALUE).batches(size=2))),
    "one": lambda clinic: clinic.resource(NOTES, person=VALUE).one(),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_errors_events_and_logs_show_the_template(read: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever the path of a call is shown it is the template: the value may identify a person."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    events: list[Event] = []
    refusals = [503, 404]

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
        else:
            writer.write(answer(refusals.pop(0)))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[events.append]) as session,
    ):
        clinic = session.clinic(server.credentials())
        resource = clinic.resource(NOTES, person=VALUE)
        with pytest.raises(NotFoundError, match="GET equipe/people/{person}/notes: HTTP 404") as caught:
            await read(clinic)
        assert [f"equipe/people/{VALUE}/notes"] * 2 == targets(server)
        assert caught.value.path == NOTES.path
        paths = {each.path for each in events if isinstance(each, (RequestFinished, RetryScheduled))}
        assert paths == {NOTES.path}
        output = io.StringIO()
        print(resource, caught.value, repr(caught.value), events, session.stats(), shown(caught.value), file=output)
        assert VALUE not in output.getvalue() + caplog.text
        assert "equipe/people/{person}/notes" in caplog.text


class Tracer:
    """Keeps the work of each span."""

    def __init__(self) -> None:
        self.work: list[Any] = []

    def __call__(self, event: Event) -> None:
        """Observe."""

    def start_span(self, work: Any, parent: Any) -> None:
        self.work.append(work)


@pytest.mark.asyncio
async def test_spans_show_the_template() -> None:
    """The work of a call's spans has the template as its path."""
    tracer = Tracer()
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, observers=[tracer]) as session:  # type: ignore[list-item]
        await session.clinic(server.credentials()).resource(NOTES, person=VALUE).list()
    assert {each.path for each in tracer.work} == {NOTES.path, "<token>"}
    assert VALUE not in repr(tracer.work)


@frozen
class Named:
    name: str


@pytest.mark.asyncio
async def test_unknown_fields_are_counted_for_the_template() -> None:
    """A field that is new is reported once for an endpoint, not once for each value of its parameter."""
    events: list[Event] = []
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, observers=[events.append]) as session:
        clinic = session.clinic(server.credentials())
        for room in range(300):
            await clinic.resource(Endpoint("equipe/rooms/{room}", Named), room=room).list()
        other = Endpoint("equipe/others", Named)
        await clinic.resource(other).list()
    found = [(each.path, each.field) for each in events if isinstance(each, UnknownField)]
    assert found == [("equipe/rooms/{room}", "profileImage"), ("equipe/others", "profileImage")]


@pytest.mark.asyncio
async def test_reads_of_different_values_are_not_shared() -> None:
    """Concurrent reads are one request where the whole path is the same, and never for a personal endpoint."""
    gate = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
            return
        await gate.wait()
        writer.write(json_answer(200, [{"name": request.target, "profileImage": None}]))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, coalesce=True) as session:
        clinic = session.clinic(server.credentials())
        resources = [clinic.resource(SLOTS, doctor=each) for each in ("a", "b", "a", "b", "a")]
        resources += [clinic.resource(NOTES, person="a") for _ in range(2)]
        reads = [asyncio.ensure_future(each.list()) for each in resources]
        await until(lambda: len(targets(server)) == 4)
        await settle()
        gate.set()
        lists = await asyncio.gather(*reads)
    ends = [doctors[0].name.split("/")[-2] for doctors in lists]
    assert ends == ["a", "b", "a", "b", "a", "a", "a"]
    assert sorted(targets(server)) == sorted(
        ["equipe/doctors/a/slots", "equipe/doctors/b/slots", *["equipe/people/a/notes"] * 2]
    )


@pytest.mark.asyncio
async def test_the_breaker_and_the_figures_are_the_clinics() -> None:
    """Failures of different values add up: circuit breaker and figures are the clinic's, whatever the path."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        await server.good(request, writer) if request.is_token else writer.write(answer(500))

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, breaker=BreakerPolicy(failure_threshold=3)) as session,
    ):
        clinic = session.clinic(server.credentials())
        for number in range(3):
            with pytest.raises(ArzamedError, match="HTTP 500"):
                await clinic.resource(SLOTS, doctor=number).list()
        with pytest.raises(CircuitOpenError, match="GET equipe/doctors/{doctor}/slots"):
            await clinic.resource(SLOTS, doctor=4).list()
        figures = session.stats().clinics["Milano"]
        assert (figures.requests, figures.failures) == (3, 4)


@pytest.mark.asyncio
async def test_a_401_repeats_the_same_path() -> None:
    """After a 401 the request is repeated with a new token and the same value."""
    rejected = [401]

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token or not rejected:
            await server.good(request, writer)
        else:
            writer.write(answer(rejected.pop()))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        assert len(await clinic.resource(SLOTS, doctor="è uno").list()) == 3
    assert targets(server) == ["equipe/doctors/%C3%A8%20uno/slots"] * 2


REFUSED: dict[str, Callable[[Clinic], object]] = {
    "wrong type": lambda clinic: clinic.resource(NOTES, person=[VALUE]),  # type: ignore[arg-type]
    "slash": lambda clinic: clinic.resource(NOTES, person=f"{VALUE}/.."),
    "control": lambda clinic: clinic.resource(NOTES, person=f"{VALUE}\n"),
    "surrogate": lambda clinic: clinic.resource(NOTES, person=f"{VALUE}\ud800"),
    "too long": lambda clinic: clinic.resource(NOTES, person=VALUE * 99),
    "unknown": lambda clinic: clinic.resource(NOTES, persona=VALUE),
    "too much": lambda clinic: clinic.resource(NOTES, person="1", room=VALUE),
    "none": lambda clinic: clinic.resource(Endpoint("equipe/doctors", Doctor), person=VALUE),
    "in the place of a name": lambda clinic: clinic.resource(NOTES, **{VALUE: 1}),
    "not an endpoint": lambda clinic: clinic.resource(json, person=VALUE),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_a_value_that_is_refused_is_not_shown(refused: Callable[[Clinic], object]) -> None:
    """No text, frame or cause of the error at `clinic.resource` has the value."""
    clinic = ArzamedSession().clinic(ClinicCredentials("id", "invented", "https://auth.example/token"))
    with pytest.raises(ConfigurationError) as caught:
        refused(clinic)
    assert VALUE not in shown(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.asyncio
async def test_what_is_kept_shows_nothing() -> None:
    """What hangs on a resource shows no value, however deep a tracker that prints attributes looks."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        resource = session.clinic(server.credentials()).resource(NOTES, person=VALUE)
        await resource.list()
        reader: Any = resource._plain
        slots = {name: getattr(reader.request, name) for name in reader.request.__slots__}
        assert VALUE not in repr([vars(resource), vars(reader), slots])
        assert TOKEN not in repr([vars(resource), vars(reader), slots])
