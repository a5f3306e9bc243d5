"""FakeArzamed serves any endpoint: paths with parameters, single objects, functions, all clinics at once; read by the library."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from arzamed_async import (
    ArzamedSession,
    Clinic,
    ClinicCredentials,
    ConfigurationError,
    DecodeError,
    Doctor,
    Endpoint,
    ForbiddenError,
    NotFoundError,
    OpenRecord,
    RetryPolicy,
    ServiceUnavailableError,
    StatusError,
)
from arzamed_async.testing import Answer, FakeArzamed

pytestmark = pytest.mark.asyncio


SEVEN = uuid.UUID(int=7)


@frozen
class Visit:
    room_name: str
    on: dt.date = dt.date(2030, 1, 7)
    price: Decimal = Decimal("1.50")
    key: uuid.UUID = SEVEN
    note: str = field(default="", metadata={"json": "N-1"})


ROOM = "equipe/rooms/{room}"
ROOMS = Endpoint("equipe/rooms", Visit)
ONE_ROOM = Endpoint(ROOM, OpenRecord)
VISITS = Endpoint("equipe/rooms/{room}/visits/{day}", OpenRecord)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeArzamed]:
    async with FakeArzamed() as server:
        yield server


@pytest_asyncio.fixture
async def session(fake: FakeArzamed) -> AsyncIterator[ArzamedSession]:
    async with ArzamedSession(base_url=fake.base_url, retry=RetryPolicy.none()) as opened:
        yield opened


@pytest_asyncio.fixture
async def milano(fake: FakeArzamed, session: ArzamedSession) -> Clinic:
    return session.clinic(fake.add_clinic("Milano"))


async def data(clinic: Clinic, path: str = ROOM, **parameters: Any) -> Any:
    """Return the one object at a path, as plain values."""
    return (await clinic.resource(Endpoint(path, OpenRecord), **parameters).one()).to_dict()


async def test_records_for_every_clinic(fake: FakeArzamed, session: ArzamedSession, milano: Clinic) -> None:
    """Without a clinic an endpoint is served to all, those added later too, in place of what they had at its path."""
    fake.add_endpoint("/equipe/rooms/", [Visit("Blu")])
    fake.add_endpoint("equipe/doctors", ["Dr. Nuovo"])
    fake.add_endpoint("equipe/slots", records=[{"n": 1}])
    roma = session.clinic(fake.add_clinic("Roma"))
    bari = session.clinic(fake.add_clinic("Bari", doctors=["Dr. Bari"]))
    for clinic in (milano, roma, bari):
        assert await clinic.resource(ROOMS).list() == [Visit("Blu")]
    assert [await each.doctors.list() for each in (milano, roma, bari)] == [
        [Doctor("Dr. Nuovo", None)],
        [Doctor("Dr. Nuovo", None)],
        [Doctor("Dr. Bari", None)],
    ]


async def test_records_for_one_clinic(fake: FakeArzamed, session: ArzamedSession, milano: Clinic) -> None:
    """With a clinic, by name or credentials and in both forms of the call, the others have no such path, or their own."""
    roma = session.clinic(fake.add_clinic("Roma"))
    fake.add_endpoint("equipe/rooms", "Milano", [Visit("Blu")])
    fake.add_endpoint("equipe/wards", clinic=milano.credentials, records=[Visit("Rosso")])
    fake.add_endpoint("equipe/beds", None, [Visit("Verde")])
    assert await milano.resource(ROOMS).list() == [Visit("Blu")]
    assert await milano.resource(Endpoint("equipe/wards", Visit)).list() == [Visit("Rosso")]
    assert await roma.resource(Endpoint("equipe/beds", Visit)).list() == [Visit("Verde")]
    with pytest.raises(NotFoundError):
        await roma.resource(ROOMS).list()
    fake.add_endpoint("equipe/rooms", [Visit("Tutti")])  # the last call counts
    fake.add_endpoint("equipe/rooms", roma.credentials, [Visit("Roma")])
    assert [await each.resource(ROOMS).list() for each in (milano, roma)] == [[Visit("Tutti")], [Visit("Roma")]]


@pytest.mark.parametrize(
    ("served", "read"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        (OpenRecord({"a": {"b": [1]}}), {"a": {"b": [1]}}),
        (
            Visit("Blu", note="x"),
            {
                "roomName": "Blu",
                "on": "2030-01-07",
                "price": "1.50",
                "key": "00000000-0000-0000-0000-000000000007",
                "N-1": "x",
            },
        ),
        (
            {"a": dt.time(9), "b": Decimal("1.0"), "c": uuid.UUID(int=1), "d": (Doctor("A", None),)},
            {
                "a": "09:00:00",
                "b": "1.0",
                "c": "00000000-0000-0000-0000-000000000001",
                "d": [{"name": "A", "profileImage": None}],
            },
        ),
    ],
    ids=["mapping", "open record", "object", "values"],
)
@pytest.mark.parametrize("by_function", [False, True], ids=["", "by a function"])
async def test_one_object(fake: FakeArzamed, milano: Clinic, served: Any, read: Any, by_function: bool) -> None:
    """One record is served as one object: a mapping, or an object of any attrs class with the names of its JSON."""
    fake.add_endpoint(ROOM, (lambda: served) if by_function else served)
    assert await data(milano, room=1) == read


async def test_a_function_of_parameters_and_query(fake: FakeArzamed, milano: Clinic) -> None:
    """A function gets the decoded values of the path's parameters and the query, with repeated names."""
    seen: list[Any] = []

    def visits(path: Mapping[str, str], query: Any) -> Iterator[object]:
        seen.append((dict(path), dict(query), query.getall("tag", [])))
        yield from ({"room": path["room"], "n": n} for n in range(int(query.get("count", "1"))))

    fake.add_endpoint(VISITS.path, visits)
    visit = milano.resource(VISITS, room="Sala 1;è%", day=dt.date(2030, 1, 7))
    params = [("count", 3), ("tag", "a&b"), ("tag", "ò")]
    assert [each.data["n"] for each in await visit.list(params)] == [0, 1, 2]
    assert [each.data["room"] async for each in visit.stream()] == ["Sala 1;è%"]
    assert seen[0] == (
        {"room": "Sala 1;è%", "day": "2030-01-07"},
        {"count": "3", "tag": "a&b"},
        ["a&b", "ò"],
    )


async def test_what_a_function_returns(fake: FakeArzamed, milano: Clinic) -> None:
    """None is HTTP 404, an Answer is sent as given, anything iterable is a list, and it is called for each request."""
    made: dict[str, Any] = {
        "none": None,
        "refused": Answer(403, json={"error": "Inventato"}),
        "list": [{"a": 1}],
        "generator": None,
        "record": {"a": 2},
    }
    fake.add_endpoint(ROOM, lambda path, query: made[path["room"]])
    with pytest.raises(NotFoundError, match="GET equipe/rooms/{room}: HTTP 404"):
        await data(milano, room="none")
    with pytest.raises(ForbiddenError, match="Inventato"):
        await data(milano, room="refused")
    with pytest.raises(DecodeError, match="use list"):
        await data(milano, room="list")
    assert [each.to_dict() for each in await milano.resource(ONE_ROOM, room="list").list()] == [{"a": 1}]
    assert await data(milano, room="record") == {"a": 2}
    made["none"] = {"a": 3}
    assert await data(milano, room="none") == {"a": 3}


async def test_a_function_that_raises(fake: FakeArzamed, milano: Clinic) -> None:
    """What a function raises is HTTP 500, and the server goes on."""
    fake.add_endpoint(ROOM, lambda path, query: {"a": [1, 2][int(path["room"])]})
    with pytest.raises(StatusError, match="HTTP 500"):
        await data(milano, room=2)
    assert await data(milano, room=1) == {"a": 2}


def defaults(path: Any = None, query: Any = None) -> list[Any]:
    assert path is None
    return [{"a": 4}]


class Called:
    def __call__(self, path: Mapping[str, str], query: object) -> list[Any]:
        return [dict(path)]

    def method(self, path: Mapping[str, str], query: object) -> list[Any]:
        return [dict(path)]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (defaults, {"a": 4}),
        (lambda *_: [{"a": 5}], {"a": 5}),
        (Called(), {"room": "7"}),
        (Called().method, {"room": "7"}),
        (lambda path, query, more=1: [{**path, "more": more}], {"room": "7", "more": 1}),
    ],
    ids=["defaults", "star", "object", "method", "a third"],
)
async def test_functions_with_other_signatures(
    fake: FakeArzamed, milano: Clinic, function: Any, expected: object
) -> None:
    """What can be called without arguments is called so, as it always was; anything else with the two."""
    fake.add_endpoint(ROOM, function)
    (record,) = await milano.resource(ONE_ROOM, room=7).list()
    assert record.to_dict() == expected


async def coroutine(path: object, query: object) -> list[Any]:
    return []


@pytest.mark.parametrize(
    "wrong",
    ["text", b"bytes", 5, None, coroutine, lambda path: [], lambda a, b, c: [], object(), Doctor],
    ids=["text", "bytes", "number", "none", "coroutine", "one argument", "three arguments", "object", "class"],
)
async def test_wrong_records_are_refused_where_they_are_given(fake: FakeArzamed, wrong: Any) -> None:
    """What is neither records nor such a function is a ConfigurationError, with a clinic and without."""
    fake.add_clinic("Milano")
    for call in (lambda: fake.add_endpoint("equipe/x", wrong), lambda: fake.add_endpoint("equipe/x", "Milano", wrong)):
        with pytest.raises(ConfigurationError, match="records must be"):
            call()


async def test_a_clinic_without_records_is_refused(fake: FakeArzamed) -> None:
    """Credentials are no record: served as one, they would show a secret."""
    milano = fake.add_clinic("Milano")
    with pytest.raises(ConfigurationError, match="records are missing"):
        fake.add_endpoint("equipe/x", milano)
    with pytest.raises(ConfigurationError, match="has no clinic 'Roma'"):
        fake.add_endpoint("equipe/x", "Roma", [])
    with pytest.raises(ConfigurationError, match="a parameter is a whole segment"):
        fake.add_endpoint("equipe/x{y}", [])


async def test_the_most_exact_path_is_served(fake: FakeArzamed, milano: Clinic) -> None:
    """Where several paths match a request, that with the earliest exact segments is served, in any order of adding."""
    for path in ("{a}/{b}/{c}", "equipe/{b}/{c}", "equipe/rooms/{c}", "equipe/rooms/first", "{a}/rooms/first"):
        fake.add_endpoint(path, {"path": path})
    for one, two, three, path in [
        ("equipe", "rooms", "first", "equipe/rooms/first"),
        ("equipe", "rooms", "second", "equipe/rooms/{c}"),
        ("equipe", "wards", "first", "equipe/{b}/{c}"),
        ("other", "rooms", "first", "{a}/rooms/first"),
        ("other", "wards", "first", "{a}/{b}/{c}"),
    ]:
        assert await data(milano, "{x}/{y}/{z}", x=one, y=two, z=three) == {"path": path}
    for path in ("equipe/rooms/first/second", "equipe", "equipe/rooms/", "equipe/rooms//"):
        with pytest.raises(NotFoundError):
            await milano.get(path.rstrip("/"))


async def test_a_template_is_no_path_of_its_own(fake: FakeArzamed, milano: Clinic) -> None:
    """A request with braces in its path is one with that value."""
    fake.add_endpoint(ROOM, lambda path, query: dict(path))
    assert await data(milano, room="{room}") == {"room": "{room}"}


async def test_faults_and_assertions_take_a_template(fake: FakeArzamed, milano: Clinic) -> None:
    """`path=` of a fault, and of assert_requested, may have parameters; others must match exactly."""
    fake.add_endpoint(ROOM, {"a": 1})
    fake.fail(503, times=None, path=ROOM)
    fake.script(403, path="equipe/rooms/7")
    with pytest.raises(ServiceUnavailableError):
        await data(milano, room=1)
    fake.clear_faults()
    fake.script(403, path="equipe/rooms/7")
    assert await data(milano, room=8) == {"a": 1}
    with pytest.raises(ForbiddenError):
        await data(milano, room=7)
    fake.assert_requested(ROOM, times=3)
    fake.assert_requested("equipe/rooms/8", times=1)
    with pytest.raises(AssertionError, match="it was requested 0 times"):
        fake.assert_requested("equipe/{ward}/8/visits")


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=4))
async def test_any_value_arrives(values: list[str]) -> None:
    """Whatever value the library sends, a function of the fake gets it back as it was."""
    async with FakeArzamed() as fake, ArzamedSession(base_url=fake.base_url) as session:
        fake.add_endpoint(ROOM, lambda path, query: dict(path))
        clinic = session.clinic(fake.add_clinic("Milano"))
        for value in values:
            try:
                room = clinic.resource(ONE_ROOM, room=value)
            except ConfigurationError:
                continue
            assert (await room.one()).data["room"] == value


async def test_endpoints_are_added_from_any_thread(fake: FakeArzamed) -> None:
    """Clinics and endpoints added by several threads at once lose none of them."""
    fake.add_clinic("Milano")
    clinics: list[ClinicCredentials] = []

    def add(number: int) -> None:
        fake.add_endpoint(f"equipe/rooms{number}", [Visit(str(number))])
        clinics.append(fake.add_clinic(f"Clinica {number}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    async with ArzamedSession(base_url=fake.base_url) as session:
        for credentials in clinics:
            for number in range(8):
                endpoint = Endpoint(f"equipe/rooms{number}", Visit)
                assert await session.clinic(credentials).resource(endpoint).list() == [Visit(str(number))]


async def test_faults_reach_single_objects_and_functions(fake: FakeArzamed, milano: Clinic) -> None:
    """A cut body, gzip and slow bodies work for an object and for what a function returns."""
    patient = milano.with_options(retry=RetryPolicy(initial_backoff_seconds=0.001))
    fake.add_endpoint(ROOM, lambda path, query: {"text": "x" * 100_000})
    for kind in ("cut", "slow", "gzip"):
        fake.compress = kind == "gzip"
        if kind == "cut":
            fake.cut_body(500)
        elif kind == "slow":
            fake.slow_body(40_000, 0.0, times=1)
        assert len((await data(patient, room=1))["text"]) == 100_000
    assert fake.api_requests() == 4
