"""Numbers that a float or 64 bits cannot hold: whole numbers and Decimals are exact, and nothing else changes."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from enum import IntEnum
from typing import Any, Literal

import orjson
import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from arzamed_async import DecodeError, OpenRecord, Response, Slot
from arzamed_async import _json as module
from arzamed_async._json import exact, loads
from arzamed_async._records import decoder as decoders
from arzamed_async._records.decoder import decoder_for
from arzamed_async._records.json_array import JsonArrayParser
from arzamed_async._records.scalars import WRITTEN
from arzamed_async.models import Headers

BIG = 12345678901234567890123
LONGEST = "9" * 4300  # the most digits that Python reads by default


class Code(IntEnum):
    BIG = 2**70
    SMALL = 1


@frozen
class Place:
    id: int


@frozen
class Typed:
    id: int | None = None
    nested: Place | None = None
    many: list[Place] | None = None
    by_key: dict[str, int] | None = None
    code: Code | None = None
    literal: Literal[18446744073709551617, "x"] | None = None
    real: float | None = None


@frozen
class Loose:
    anything: Any = None
    either: int | float | None = None
    bare: list | None = None
    extra: OpenRecord | None = None
    price: Decimal | None = None
    prices: list[Decimal] | None = None
    real: float | None = None
    text: str | None = None


def read(model: type[Any], body: str, size: int = 1 << 30, *, collect: bool = False) -> list[Any]:
    """Return the records of a body that arrives in pieces, as a reader makes them."""
    parser = JsonArrayParser(record_bytes=1 << 20, passing=collect)
    decoder = decoder_for(model)
    data = body.encode()
    errors: list[DecodeError] = []
    made: list[Any] = []
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
        while (values := parser.next_window()) is not None:
            source = parser.take_source()
            if collect:
                made += decoder.decode_each(values, len(made) + len(errors), errors, source)
            else:
                made += decoder.decode(values, len(made), source)
    parser.finish()
    return [*made, *errors]


@pytest.mark.parametrize(
    "number", [2**64, -(2**63) - 1, BIG, -BIG, 10**30, int(LONGEST), -int(LONGEST), 2**63, 2**64 - 1]
)
def test_whole_numbers_are_exact_at_any_size(number: int) -> None:
    """A whole number of any size is the one that was sent: in open records, typed fields, nested ones and lists."""
    sent = {"id": number, "nested": {"id": number}, "many": [{"id": 1}, {"id": number}], "byKey": {"k": number}}
    for collect in (False, True):
        (typed,) = read(Typed, json.dumps([sent]), collect=collect)
        assert typed == Typed(number, Place(number), [Place(1), Place(number)], {"k": number})
        (slot,) = read(Slot, json.dumps([{"a": number, "b": [{"c": [number]}], "d": "x"}]), collect=collect)
        assert slot == Slot({"a": number, "b": [{"c": [number]}], "d": "x"})
        assert [type(slot.data["a"]), type(slot.data["b"][0]["c"][0])] == [int, int]
        loose = {
            "anything": [{"a": number}],
            "either": number,
            "bare": [number],
            "extra": {"a": number},
            "price": number,
        }
        (made,) = read(Loose, json.dumps([loose]), collect=collect)
        assert made == Loose([{"a": number}], number, [number], OpenRecord({"a": number}), Decimal(number))
        assert type(made.either) is int


def test_enums_and_literals_beyond_64_bits() -> None:
    """An enum or a Literal of a large number takes that number."""
    (made,) = read(Typed, f'[{{"code": {2**70}, "literal": 18446744073709551617}}]')
    assert (made.code, made.literal) == (Code.BIG, 18446744073709551617)


@pytest.mark.parametrize(
    "text",
    [
        "1.00000000000000000001", "100000.000000000000001", "0.1234567890123456789", "12345678901234567.89", "-0.1", "12.10",
        "1e-400", "4.9e-324", "2.5e-310", "0.00", "-0.0", "1E2", "1e22", "1e-7", "123456789012.345", "9007199254740993.0",
        "1.7976931348623157e308", "0.1", "5e-324", "12345678.123456789", "3.0000000000000001e0", "1000000000000000000000.5",
    ],
)  # fmt: skip
def test_decimals_are_exact(text: str) -> None:
    """A Decimal from a number is the number that was sent, however long; a float beside it is a float."""
    for collect in (False, True):
        (made,) = read(
            Loose,
            f'[{{"price": {text}, "prices": [1.5, {text}], "real": {text}, "anything": {text}}}]',
            collect=collect,
        )
        assert made.price == Decimal(text)
        assert made.prices == [Decimal("1.5"), Decimal(text)]
        assert (type(made.real), made.real) == (type(made.anything), made.anything) == (float, float(text))


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1" * 400 + ".0"])
def test_what_no_float_holds_is_refused(text: str) -> None:
    """A number beyond a float is an error of its record, which can be passed, and never infinite."""
    for model, key in ((Loose, "price"), (Loose, "real"), (Loose, "anything"), (Slot, "a"), (Typed, "unknown")):
        with pytest.raises(DecodeError, match="record 1: a number is too large for a float") as caught:
            read(model, f'[{{}}, {{"{key}": {text}}}, {{}}]')
        assert text not in str(caught.value)
        *good, error = read(model, f'[{{}}, {{"{key}": {text}}}, {{}}]', collect=True)
        assert (len(good), error.record_index) == (2, 1)


def test_more_digits_than_python_reads_are_a_clear_error() -> None:
    """A whole number beyond Python's limit of digits is an error of its record that names the reason, not the number."""
    assert sys.get_int_max_str_digits() == len(LONGEST)
    with pytest.raises(DecodeError, match="record 1: a whole number has too many digits") as caught:
        read(Typed, f'[{{"id": {BIG}}}, {{"id": {LONGEST}0}}]')
    assert "999" not in str(caught.value)


def test_a_float_from_a_large_whole_number() -> None:
    """A float field takes a whole number beyond 64 bits as the nearest float, and refuses one beyond a float."""
    assert read(Typed, '[{"real": 18446744073709551616}]') == [Typed(real=18446744073709551616.0)]
    with pytest.raises(DecodeError, match="field real: expected a number"):
        read(Typed, f'[{{"real": {LONGEST}}}]')


@pytest.mark.parametrize("size", [1, 40, 1000, 1 << 30])
def test_a_record_is_named_beside_large_numbers(size: int) -> None:
    """Records with large numbers around a bad one change neither its index nor the good ones, in pieces of any size."""
    good = f'{{"id": {BIG}, "nested": {{"id": {2**64}}}}}'
    body = f'[{", ".join([good] * 700)}, {{"id": 1.5}}, {good}]'
    with pytest.raises(DecodeError, match="record 700, field id: expected a whole number or null, found a number"):
        read(Typed, body, size)
    *made, error = read(Typed, body, size, collect=True)
    assert made == [Typed(BIG, Place(2**64))] * 701
    assert error.record_index == 700


LONG = "1234567890123456789012"


@pytest.mark.parametrize(
    "record",
    [
        {"text": LONG}, {"text": f'",{LONG},"'}, {"text": f":{LONG}"}, {"text": f'\\":{LONG}'}, {LONG: 1}, {f":{LONG}": LONG},
        {"text": "\\" * 3, "anything": [LONG]}, {"anything": {f'"{LONG}': f"{LONG}e5"}}, {"text": "x" * 30 + "0.1e-400"},
    ],
)  # fmt: skip
def test_digits_in_texts_and_keys_are_texts(record: dict[str, Any]) -> None:
    """A run of digits in a text or a key stays one, also where a large number stands beside it."""
    assert read(Slot, json.dumps([record])) == [Slot(record)]
    assert read(Slot, json.dumps([{**record, "n": BIG}, record])) == [Slot({**record, "n": BIG}), Slot(record)]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.integers(10**15, 10**40).map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.just(LONG), inner, max_size=4),
    max_leaves=10,
)


@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_any_document_is_what_python_reads(value: Any, escaped: bool, indent: int | None) -> None:
    """Any JSON is read as by Python's own json, whose whole numbers are exact, types included; -0.0 keeps its sign."""
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # a text with half a character
    assert repr(loads(text.encode())) == repr(json.loads(text))


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"1" * 20, b"-", b".", b"e", b'"', b"\\", b"[", b"]", b",", b"0"])).map(b"".join)
)
@example(b"[" + b"01" * 20 + b"]")
@example(b"[" + b"1" * 20 + b"-5]")
@example(b"[1" + b"1" * 20 + b".]")
@example(b'["\\' + b"1" * 20 + b'"]')
def test_nothing_becomes_json_that_is_none(data: bytes) -> None:
    """What orjson refuses is refused, unless it is JSON whose numbers alone orjson does not take."""
    try:
        expected = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = exact(data, decimals=True)
        assert found is None or json.loads(data) == found.value
    else:
        assert loads(data) == expected or json.loads(data) == loads(data)


def test_depth_is_no_obstacle() -> None:
    """A large number in a document as deep as orjson goes is exact: nothing here recurses."""
    document = b"[" * 1024 + b"%d" % BIG + b"]" * 1024
    value = loads(document)
    for _ in range(1024):
        (value,) = value
    assert value == BIG


def test_a_raw_response_is_exact_too() -> None:
    """`Response.json()` returns whole numbers as they were sent."""
    assert Response(200, Headers({}), b'\xef\xbb\xbf{"id": %d}' % BIG).json() == {"id": BIG}


def rejecting(*_: object, **__: object) -> None:
    raise AssertionError("looked at")


def test_a_class_of_plain_types_pays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every value matches and no field can hold more than one kind of number, the bytes are not looked at at all."""
    monkeypatch.setattr(decoders, "exact", rejecting)
    assert len(read(Typed, '[{"id": 1}, {"id": 2}]')) == 2
    with pytest.raises(AssertionError, match="looked at"):
        read(Loose, "[{}]")


def test_a_window_without_a_long_run_of_digits_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open record's window is searched for numbers only if nineteen digits stand in a row."""
    monkeypatch.setattr(module, "_pattern", rejecting)
    record = {
        "id": 999999999999999999,
        "at": "2026-01-02T03:04:05.123456Z",
        "key": "12345678-1234-5678-1234-567812345678",
    }
    assert read(Slot, json.dumps([record] * 50)) == [Slot(record)] * 50
    with pytest.raises(AssertionError, match="looked at"):
        read(Slot, '[{"id": 1234567890123456789}]')


def test_numbers_of_one_window_are_forgotten() -> None:
    """How a float was written is kept while its window is decoded, and no longer: also where a record is refused."""
    read(Loose, '[{"price": 1.00000000000000000001}]')
    with pytest.raises(DecodeError):
        read(Loose, '[{"price": 1.00000000000000000001}, {"price": null, "text": 5}]')
    assert WRITTEN == {}
