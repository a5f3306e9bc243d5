"""Invented records: the library reads them, a model that is inferred of them is that of the real ones, and none looks real."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import json
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import pytest
from attrs import field, frozen, validators
from hypothesis import given, settings
from hypothesis import strategies as st

from arzamed_async import (
    MISSING,
    ArzamedSession,
    ConfigurationError,
    Doctor,
    Endpoint,
    InferredModel,
    Missing,
    NaiveDatetime,
    OpenRecord,
    Slot,
    infer_model,
    to_dict,
)
from arzamed_async._records.decoder import decoder_for
from arzamed_async.testing import FakeArzamed, record_strategy, records_of

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = 7


@frozen
class Address:
    zip_code: str
    lines: tuple[str, ...] = ()


@frozen
class Company:
    vat_number: str


@frozen
class Box(Generic[T]):
    item: T


@frozen
class Node:
    name: str
    left: Node | None
    children: list[Node]
    more: dict[str, Node] | Missing = MISSING


@frozen
class Everything:
    text: str
    whole: int
    number: float
    flag: bool
    price: Decimal
    key: UUID
    on: dt.date
    at: dt.time
    moment: dt.datetime
    local: NaiveDatetime
    colour: Colour
    literal: Literal["a", 3] | None
    anything: Any
    owner: Address | Company
    nothing: None
    mixed: int | str | None
    lists: list[list[int]]
    texts: set[str]
    addresses: dict[str, Address]
    slot: Slot
    box: Box[int]
    named: str = field(metadata={"json": "X-Named"})
    late: str | Missing | None = MISSING
    defaulted: int = 0


@frozen
class Short:
    name: str = field(validator=validators.max_len(16))
    count: int = field(validator=validators.in_(range(500)))


@frozen
class Impossible:
    name: str = field(validator=validators.matches_re("^a$"))


@frozen
class Endless:
    inner: Endless


@frozen
class Unreadable:
    name: bytes


CLASSES = [Everything, Node, Short, Doctor, Box[Address], Slot, OpenRecord]


@pytest.mark.parametrize("model", CLASSES, ids=str)
def test_the_library_reads_what_is_invented(model: Any) -> None:
    """Invented records are JSON, are read as their class without an error, and are the same for the same seed."""
    records = records_of(model, 200, seed=1)
    plain = json.loads(json.dumps(records))
    assert plain == records
    made = decoder_for(model).decode(plain, 0, json.dumps(records).encode())
    assert [to_dict(each) for each in made] != []
    assert records == records_of(model, 200, seed=1)
    assert records != records_of(model, 200, seed=2)
    assert records_of(model, 50, seed=1) == records[:50]


def test_each_way_occurs() -> None:
    """Optional fields are there, null and absent; each member of a union, each value of an enum and each choice occurs."""
    records = records_of(Everything, 300, seed=3)
    assert {type(each["mixed"]).__name__ for each in records} == {"int", "str", "NoneType"}
    assert {each["colour"] for each in records} == {"red", 7}
    assert {each["literal"] for each in records} == {"a", 3, None}
    assert {frozenset(each["owner"]) & {"zipCode", "vatNumber"} for each in records} == {
        frozenset({"zipCode"}),
        frozenset({"vatNumber"}),
    }
    late = [each.get("late", MISSING) for each in records]
    assert {type(each).__name__ for each in late} == {"str", "NoneType", "Missing"}
    assert {len(each["lists"]) for each in records} >= {0, 1, 2}


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts_in(each)]
    return [text for each in value for text in texts_in(each)] if isinstance(value, list) else []


LOOKS_INVENTED = re.compile(r"invented .* \d+|00000000-0000-10.*|203\d-.*|\d\d:\d\d:\d\d|red|a")


def test_each_text_looks_invented() -> None:
    """No text can be taken for that of a person: it says that it is invented, or is a date after 2030."""
    for model in CLASSES:
        assert [each for each in texts_in(records_of(model, 50, seed=4)) if not LOOKS_INVENTED.fullmatch(each)] == []


def inferred(records: list[Any], **options: Any) -> InferredModel:
    return asyncio.run(infer_model(records, name="rooms", path="equipe/rooms", **options))


CANARY = "Paziente-Canarino-88"
SHAPES: dict[str, list[dict[str, Any]]] = {
    "scalars": [
        {
            "a": CANARY,
            "b": 7,
            "c": 1.5,
            "d": True,
            "e": "2026-01-02",
            "f": "10:30:00",
            "g": "2026-01-02T10:30:00+01:00",
        },
        {
            "a": CANARY,
            "b": 8,
            "c": 2.5,
            "d": False,
            "e": "2026-01-03",
            "f": "11:30:00",
            "g": "2026-01-03T10:30:00+01:00",
        },
    ],
    "missing and null": [{"a": 1, "b": None}, {"a": 2}, {"a": 3, "b": CANARY}],
    "nested": [{"who": {"firstName": CANARY, "tags": [CANARY], "empty": []}, "rows": [{"n": 1}, {"n": 2, "m": "x"}]}],
    "forms": [{"at": "2026-01-02T10:30:00.123Z", "day": "20260102", "local": "2026-01-02 10:30"}] * 3,
    "unions": [{"a": 1}, {"a": CANARY}, {"a": [1]}, {"a": {"b": 1}}, {"a": None}],
    "uuids": [{"id": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}, {"id": "7d444840-9dc0-11d1-b245-5ffdce74fad3"}],
    "maps": [{"by": {str(n): {"x": 1} for n in range(100, 140)}}],
    "only null": [{"a": None}],
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_inferred_of_invented_records_is_the_same(name: str) -> None:
    """What is inferred of invented records has the types of the real ones, and no value of these is in them."""
    model = inferred(SHAPES[name])
    records = records_of(model, 400, seed=5)
    assert CANARY not in json.dumps(records)
    assert kinds_of(inferred(records)) == kinds_of(model)


def kinds_of(model: InferredModel) -> Any:
    """Return what a model says of types, without shares and notes."""
    return re.sub(r'""".*?"""', "", model.source, flags=re.DOTALL)


def test_choices_are_those_of_the_model() -> None:
    """Where enumerations were requested, a text is one of the model's."""
    records = [{"state": ("open", "closed")[n % 2]} for n in range(400)]
    assert {each["state"] for each in records_of(inferred(records, enums=True), 99, seed=6)} <= {"open", "closed"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5) | st.sampled_from(["2026-01-02"]),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["one", "twoThree", "a-b"]), each, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(["name", "roomSize", "x"]), JSON, max_size=3), min_size=1, max_size=4))
def test_any_model_is_read(records: list[dict[str, Any]]) -> None:
    """Whatever the records were, the class that was written for them reads what is invented of their model."""
    model = inferred(records)
    namespace: dict[str, Any] = {"__name__": "invented_rooms"}
    module = type(sys)("invented_rooms")
    sys.modules["invented_rooms"] = module
    try:
        exec(compile(model.source, "<rooms>", "exec"), module.__dict__)
        (endpoint,) = [each for each in vars(module).values() if isinstance(each, Endpoint)]
        made = records_of(model, 30, seed=7)
        assert len(decoder_for(endpoint.model).decode(made, 0, json.dumps(made).encode())) == 30
    finally:
        del sys.modules["invented_rooms"], namespace


@settings(max_examples=50)
@given(record_strategy(Everything), record_strategy(Short))
def test_strategies(record: dict[str, Any], short: dict[str, Any]) -> None:
    """What a strategy yields is what records_of returns one of."""
    assert len(decoder_for(Everything).decode([record], 0, json.dumps([record]).encode())) == 1
    assert len(short["name"]) <= 16


@pytest.mark.asyncio
async def test_a_fake_serves_them() -> None:
    """Records of a class, over a real socket, are objects of it."""
    async with FakeArzamed() as fake, ArzamedSession(base_url=fake.base_url) as session:
        fake.add_endpoint("equipe/nodes", records_of(Node, 50, seed=8))
        fake.add_endpoint("equipe/nodes/{n}", lambda path, query: records_of(Node, 1, seed=int(path["n"]))[0])
        clinic = session.clinic(fake.add_clinic("Milano"))
        nodes = await clinic.resource(Endpoint("equipe/nodes", Node)).list()
        assert (len(nodes), {type(each) for each in nodes}) == (50, {Node})
        assert isinstance(await clinic.resource(Endpoint("equipe/nodes/{n}", Node), n=3).one(), Node)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: records_of(dict, 1, seed=1), "model must be an InferredModel or an attrs class"),
        (lambda: records_of("rooms", 1, seed=1), "model must be an InferredModel or an attrs class"),  # type: ignore[arg-type]
        (lambda: records_of(Unreadable, 1, seed=1), r"Unreadable\.name: the type bytes"),
        (
            lambda: records_of(Impossible, 1, seed=1),
            "Impossible rejects all 1,000 invented records .name: expected",
        ),
        (lambda: records_of(Endless, 1, seed=1), "Endless contains itself without end"),
        (lambda: records_of(Doctor, -1, seed=1), "count must be a whole number of zero or more"),
        (lambda: records_of(Doctor, True, seed=1), "count must be"),
        (lambda: records_of(Doctor, 1, seed="x"), "seed must be a whole number"),  # type: ignore[arg-type]
        (lambda: record_strategy(dict), "model must be"),
    ],
)
def test_what_cannot_be_invented(call: Any, text: str) -> None:
    """Each mistake is a ConfigurationError that names it."""
    with pytest.raises(ConfigurationError, match=text):
        call()


def test_without_hypothesis() -> None:
    """Where Hypothesis is not installed, record_strategy says so, and records_of works."""
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from arzamed_async import ConfigurationError, Doctor\n"
        "from arzamed_async.testing import record_strategy, records_of\n"
        "assert len(records_of(Doctor, 3, seed=1)) == 3\n"
        "try: record_strategy(Doctor)\n"
        "except ConfigurationError as error: assert 'needs hypothesis, which is not installed' in str(error)\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
