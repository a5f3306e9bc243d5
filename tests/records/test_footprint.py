"""What records take in memory is estimated from their JSON, never far below what they take."""

from __future__ import annotations

import datetime as dt
import json
import string
import tracemalloc
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arzamed_async import Doctor, Slot
from arzamed_async._memory import FREE_BYTES, LARGE_BYTES, value_bytes
from arzamed_async._records.decoder import Decoder, decoder_for

#: An estimate is at least this part of the truth.
LEAST = 0.8
COPIES = 200


@attrs.frozen
class Rich:
    when: dt.datetime
    day: dt.date
    price: Decimal
    key: UUID


@attrs.frozen
class Many:
    numbers: frozenset[int]
    texts: list[str]
    prices: list[Decimal] = attrs.field(factory=list[Decimal])


@attrs.define(slots=False)
class Loose:
    a: int = 0
    b: str = ""
    c: float = 0.5


@attrs.frozen
class Child:
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    g: int = 0
    h: int = 0
    i: int = 0
    j: int = 0
    k: int = 0
    m: int = 0


@attrs.frozen
class Parent:
    children: list[Child]


@attrs.frozen
class Mixed:
    name: str
    rest: Any = None


def memory(decoder: Decoder[Any], data: bytes) -> int:
    """Return what the records of this JSON take, as tracemalloc reports it."""
    decoder.decode(orjson.loads(data), 0, data)  # what is allocated once
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        values = orjson.loads(data)
        records = decoder.decode(values, 0, data)
        del values
        after, _ = tracemalloc.get_traced_memory()
        del records
        return after - before
    finally:
        tracemalloc.stop()


def dumped(records: list[Any], *, ascii_only: bool = False) -> bytes:
    return json.dumps(records, separators=(",", ":"), ensure_ascii=ascii_only).encode()


def fits(model: type[Any], records: list[Any], *, ascii_only: bool = False) -> tuple[float, float]:
    """Return the estimate as a part of the truth, and the truth for each byte."""
    decoder, data = decoder_for(model), dumped(records, ascii_only=ascii_only)
    real = memory(decoder, data)
    return decoder.footprint.of(len(records), data) / real, real / len(data)


def repeated(value: Any) -> list[Any]:
    return [{"a": [value] * 500}] * 20


OPEN: dict[str, list[Any]] = {
    "nothing": [{}] * 5000,
    "one number": [{"a": 1}] * 5000,
    "one identifier": [{"id": n} for n in range(5000, 10_000)],
    "distinct keys": [{f"k{n}_{m}": m for m in range(30)} for n in range(200)],
    "eleven keys": [{f"{n}_{m}": 1 for m in range(11)} for n in range(200)],
    "one large object": [{f"k{n:06}": 1 for n in range(44_000)}],
    "empty arrays": repeated([]),
    "arrays": repeated([1]),
    "empty objects": repeated({}),
    "objects": repeated({"a": 0}),
    "objects of six": repeated(dict.fromkeys("abcdef", 0)),
    "short texts": repeated("ab"),
    "texts of one letter": repeated("\N{LATIN SMALL LETTER E WITH ACUTE}"),
    "pictures": repeated("\N{GRINNING FACE}"),
    "a picture in long texts": repeated("x" * 300 + "\N{GRINNING FACE}"),
    "numbers": repeated(999),
    "long numbers": repeated(1 << 62),
    "floats": repeated(0.5),
    "depth": [json.loads('{"a":' * 200 + "1" + "}" * 200)] * 50,
    "slots": [{"id": n, "start": f"2030-01-07T10:{n % 60:02}:00Z", "doctor": f"Dr. {n}", "free": True} for n in range(3000)],
}  # fmt: skip
TYPED: dict[str, tuple[type[Any], list[Any]]] = {
    "doctors": (Doctor, [{"name": f"Dr. {n}", "profileImage": None} for n in range(3000)]),
    "doctors with a photo": (Doctor, [{"name": "\N{GRINNING FACE}" * 9, "profileImage": f"x{n}" * 9} for n in range(3000)]),
    "dates": (Rich, [{"when": "2030-01-07T10:00:00+01:00", "day": "2030-01-07", "price": "1.5", "key": "0" * 32}] * 2000),
    "sets": (Many, [{"numbers": [*range(900, 919)], "texts": ["ab"]} for _ in range(1000)]),
    "small sets": (Many, [{"numbers": [1, 2, 3, 4, 5], "texts": []} for _ in range(1000)]),
    "prices": (Many, [{"numbers": [], "texts": [], "prices": [1] * 200} for _ in range(50)]),
    "all defaults": (Loose, [{}] * 3000),
    "children": (Parent, [{"children": [{}] * 200}] * 20),
    "any value": (Mixed, [{"name": "x", "rest": [{}] * 200}] * 20),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("ascii_only", [False, True], ids=["utf8", "escaped"])
def test_an_open_record_counts_what_it_takes(name: str, ascii_only: bool) -> None:
    """The estimate for open records is at least four fifths of what they take, whatever is in them."""
    part, _ = fits(Slot, OPEN[name], ascii_only=ascii_only)
    assert part >= LEAST


@pytest.mark.parametrize("name", TYPED)
def test_a_typed_record_counts_what_it_takes(name: str) -> None:
    """So is that for records of a class, with dates, sets, classes in them, or instances with a dict."""
    part, _ = fits(*TYPED[name])
    assert part >= LEAST


def test_usual_records_count_at_most_twice_what_they_take() -> None:
    """A list of slots or doctors is not refused long before it takes what its limit allows."""
    assert fits(Slot, OPEN["slots"])[0] < 2
    assert fits(Doctor, TYPED["doctors"][1])[0] < 2.5


TEXTS = st.text(
    alphabet=[*string.ascii_letters, '"', "\\", "[", ",", "{", "\u00e9", "\u0142", "\U0001f600"], max_size=40
)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=12) | st.dictionaries(TEXTS, inner, max_size=12))
RECORDS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=12), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(RECORDS, st.booleans())
def test_the_estimate_is_never_far_below(records: list[dict[str, Any]], ascii_only: bool) -> None:
    """No records are found that take more than five fourths of their estimate."""
    part, _ = fits(Slot, records * COPIES, ascii_only=ascii_only)
    assert part >= LEAST


@pytest.mark.parametrize("model", [Slot, Doctor, Loose, Parent, Many, Rich])
def test_what_is_not_counted_is_small(model: type[Any]) -> None:
    """A document of up to `free_bytes`, which is not counted, never counts more than is free in any case."""
    footprint = decoder_for(model).footprint
    most = footprint.free_bytes
    assert most > 2000
    for element in (b"{}", b"[]", b'""', b"1", b'{"a":1}', b'{"a":[]}', b'"\xf0\x9f\x98\x80"', b"[1]", b"{},[]"):
        document = b"[%b]" % b",".join([element] * (most // (len(element) + 1)))
        assert footprint.of(document.count(b"{"), document) <= FREE_BYTES


def test_a_large_element_is_counted_in_time() -> None:
    """An element of up to LARGE_BYTES, which is not counted before it is decoded, expands to less than is free."""
    for element in (b"{}", b"[]", b'""', b'{"a":1}', b"[1]"):
        document = b"[%b]" % b",".join([element] * (LARGE_BYTES // (len(element) + 1)))
        assert value_bytes(document) < FREE_BYTES


def test_json_within_a_string_is_text() -> None:
    """Brackets and commas within strings count as the characters they are, wherever a piece is cut."""
    inner = dumped([{"a": [[], {}, "x\\"]}] * 4000).decode()
    document = dumped([{"payload": inner}])
    assert value_bytes(document) < 6 * len(document)
    assert value_bytes(dumped(json.loads(inner))) > 20 * len(inner)


def test_counting_takes_little_memory() -> None:
    """A document of many short strings is counted in pieces: taken apart at once, it would take many times its length."""
    document = b"[%b]" % b",".join([b'{},"a"'] * 300_000)
    tracemalloc.start()
    try:
        value_bytes(document)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * len(document)
