"""How a user writes it, with every type inferred: checked by mypy and pyright, both strict; never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, Literal, assert_type

from attrs import frozen

from arzamed_async import (
    MISSING,
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    Clinic,
    ClinicCredentials,
    Doctor,
    Endpoint,
    Event,
    Failure,
    Finished,
    ListResponse,
    Missing,
    NaiveDatetime,
    Outcome,
    Patient,
    Record,
    RequestFinished,
    Response,
    RetryPolicy,
    Slot,
    Stats,
    Success,
    Timeouts,
    Token,
    load_clinics,
)
from arzamed_async.dask import fan_out_dask
from arzamed_async.logs import LoggingObserver
from arzamed_async.otel import OTelObserver


@frozen
class Room:
    """A class of the user's own."""

    name: str
    floor: int | None = None


@frozen
class Bed:
    """A class whose fields may be missing."""

    side: str | Missing | None = MISSING
    made_at: NaiveDatetime | datetime | Missing = MISSING


def missing(bed: Bed) -> None:
    """Narrow the type of a field that may be missing."""
    if bed.side is not MISSING:
        assert_type(bed.side, str | None)
    if bed.side is MISSING:
        assert_type(bed.side, Literal[Missing.MISSING])
    if bed.side:
        assert_type(bed.side, str)
    if not isinstance(bed.made_at, Missing):
        assert_type(bed.made_at, NaiveDatetime | datetime)
    at: datetime | None = bed.made_at or None
    Bed(None, at or MISSING)


def watch(event: Event) -> None:
    """Observe."""
    match event:
        case RequestFinished(clinic=clinic, status=status):
            assert_type(clinic, str)
            assert_type(status, int | None)
        case _:
            pass


async def read(session: ArzamedSession, credentials: ClinicCredentials) -> None:
    """Read one clinic in every way."""
    clinic = session.clinic(credentials)
    assert_type(clinic, Clinic)
    assert_type(await clinic.doctors.list(), list[Doctor])
    assert_type(await clinic.slots.list({"from": "2026-01-01"}), list[Slot])
    assert_type(await clinic.token(), Token)
    assert_type(await clinic.get("equipe/rooms"), Response)
    rooms = clinic.with_options(retry=RetryPolicy.none()).resource(Endpoint("equipe/rooms", Room))
    async with rooms.stream(collect_errors=True) as stream:
        async for room in stream:
            assert_type(room, Room)
    slots = clinic.resource(Endpoint("equipe/rooms/{room}/slots", Room), room="Sala 1")
    assert_type(await slots.list(), list[Room])
    assert_type(await slots.one({"on": "2026-01-01"}), Room)
    async for batch in clinic.patients.batches(size=500):
        assert_type(batch, list[Patient])


async def over_all(session: ArzamedSession, clinics: list[ClinicCredentials]) -> None:
    """Read many clinics in every way."""

    async def doctors(clinic: Clinic) -> list[Doctor]:
        return await clinic.doctors.list()

    def lazily() -> Iterator[ClinicCredentials]:
        yield from clinics

    async def slowly() -> AsyncIterator[Clinic]:
        for credentials in clinics:
            yield session.clinic(credentials)

    def progress(done: int, failed: int, total: int | None) -> None:
        pass

    async with session.fan_out(clinics, doctors, concurrency=8, on_progress=progress) as outcomes:
        async for outcome in outcomes:
            match outcome:
                case Success(name, value):
                    assert_type(name, str)
                    assert_type(value, list[Doctor])
                case Failure(name, error, seconds):
                    assert_type(name, str)
                    assert_type(error, ArzamedError)
                    assert_type(seconds, float)
    gathered = await session.gather(lazily(), lambda clinic: clinic.doctors.list())
    assert_type(gathered, list[Outcome[list[Doctor]]])
    narrowed(gathered)
    async for token in session.fan_out(slowly(), lambda clinic: clinic.token()):
        assert_type(token.unwrap(), Token)
    async with session.merge(clinics, lambda clinic: clinic.doctors.stream(), buffer=100) as merged:
        async for one in merged:
            match one:
                case Record(name, doctor):
                    assert_type(name, str)
                    assert_type(doctor, Doctor)
                case Finished(name, count):
                    assert_type(count, int)
                case Failure(name, error):
                    assert_type(error, ArzamedError)
    async for batches in session.merge(slowly(), lambda clinic: clinic.slots.batches(size=100)):
        if isinstance(batches, Record):
            assert_type(batches.value, list[Slot])
    session.forget(clinics[0])
    assert_type(session.stats(), Stats)
    assert_type(session.stats().clinics["Milano"].in_flight, int)


async def more_ways(clinic: Clinic) -> None:
    """Read a list in other ways."""
    async for doctor in clinic.doctors:
        assert_type(doctor, Doctor)
    response = await clinic.doctors.read()
    assert_type(response, ListResponse[Doctor])
    assert_type(response.records, list[Doctor])


def narrowed(gathered: list[Outcome[list[Doctor]]]) -> list[object]:
    """Take outcomes apart."""
    for each in gathered:
        assert_type(each.index, int)
        if isinstance(each, Success):
            assert_type(each.value, list[Doctor])
        if each.ok is False:
            assert_type(each.error, ArzamedError)
    assert_type([each.value for each in gathered if each.error is None], list[list[Doctor]])
    return [each.value for each in gathered if each.ok]  # which pyright does not narrow


async def on_a_cluster(client: Any, clinics: list[ClinicCredentials]) -> None:
    """Fan out over a Dask cluster."""

    async def doctors(clinic: Clinic) -> list[Doctor]:
        return await clinic.doctors.list()

    async with fan_out_dask(client, clinics, doctors, shard_size=100, retry=RetryPolicy.none()) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, Success[list[Doctor]] | Failure)


async def main() -> None:
    """Start."""
    telemetry = OTelObserver(clinics_in_metrics=True)
    async with ArzamedSession(
        timeouts=Timeouts(total_seconds=10),
        breaker=BreakerPolicy(),
        coalesce=True,
        observers=[watch, LoggingObserver(), telemetry],
    ) as session:
        telemetry.watch(session)
        await over_all(session, load_clinics("clinics.toml"))
        await read(session, ClinicCredentials.from_env())
