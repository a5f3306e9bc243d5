"""An element that is no JSON: its index and what comes before it do not depend on how the body was cut into pieces."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import ArzamedError, DecodeError, LimitExceededError
from arzamed_async._records import elements as module
from arzamed_async._records.elements import BadElement
from arzamed_async._records.json_array import MAX_DEPTH, JsonArrayParser

SIZES = [1, 7, 40, 1000, 1 << 30]
RECORDS = [
    b'{"name":"Dr. \\u00e8 \xc3\xa8 \\"x\\"","n":[1,-2.5e3,{"a":true}],"b":{"c":null}}',
    b'{"name":"b","n":[],"b":{}}',
    b'{"name":"c","n":[[2]],"b":{"d":""}}',
    b'{"name":"d"}',
]
DOCUMENT = b"[" + b", ".join(RECORDS) + b"]"
DAMAGE = [
    b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"x", b"\x00", b"\xff", b"\t", b"0", b"NaN", b"1e400", b"'",
    b"\\ud83d", b'"x"', b"},{", b"\xe2",
]  # fmt: skip
#: Damage that leaves quotes and brackets alone: there is no doubt where such a record ends.
HARMLESS = [
    b'{"name":"x\\ud83d"}', b'{"name":NaN}', b'{"name":01}', b"{'a':1}", b'{"name":"a\tb"}', b'{"name":"\xff"}', b"nul",
    b'{"name":1e400}', b"{name:1}", b'{"a":1 "b":2}', b'{"a":1,}', b'{"a":}', b"[1,,2]", b"-", b"{1:2}",
]  # fmt: skip
#: Damage after which the rest may be a part of the record.
ENTANGLED = [b'{"name":"x}', b'{"name:"x"}', b'{"a":"b"c"}', b'{"a":[1}', b'{"a":{"b":1}', b'{"a":1]', b'{"a" "b"}']

Outcome = tuple[list[Any], str, int | None, str]


def read(document: bytes, size: int, *, passing: bool = False, record_bytes: int = 1 << 20) -> Outcome:
    """Return what came out before the end, and the end: the error's class, index and text."""
    parser = JsonArrayParser(record_bytes=record_bytes, passing=passing)
    got: list[Any] = []
    try:
        for start in range(0, len(document), size):
            parser.feed(document[start : start + size])
            while (window := parser.next_window()) is not None:
                got += window
        while (window := parser.next_window(last=True)) is not None:
            got += window
        parser.finish()
    except ArzamedError as error:
        assert error.__cause__ is error.__context__ is None
        return got, type(error).__name__, getattr(error, "record_index", None), str(error)
    return got, "complete", None, ""


def refuse(_text: str) -> Any:
    raise ValueError


class Strict(json.JSONDecoder):
    """Reads one element, as strictly as orjson."""

    def __init__(self) -> None:
        super().__init__(parse_constant=refuse, parse_float=self._float)

    def _float(self, text: str) -> float:
        number = float(text)
        return number if abs(number) != float("inf") else refuse(text)

    def end(self, text: str, start: int) -> int:
        """Return where the element ends. Raises ValueError if it is no JSON."""
        value, end = self.raw_decode(text, start)
        orjson.dumps(value)  # no lone surrogate: neither an escape nor a byte that is not UTF-8
        return end


def index_of_the_fault(document: bytes) -> int | None:
    """Return the index of the first element that is no JSON, or has no comma after it; None if there is none."""
    text = document.decode("utf-8", "surrogateescape")
    space = re.compile(r"[ \t\n\r]*")
    strict = Strict()
    at = 1
    for index in range(100):
        try:
            at = space.match(text, strict.end(text, space.match(text, at).end())).end()  # type: ignore[union-attr]
        except (ValueError, TypeError):  # TypeError: of orjson, for a surrogate
            return index
        if text[at : at + 1] != ",":
            return None if text[at : at + 1] == "]" else index
        at += 1
    raise AssertionError("more elements than there are")


@pytest.mark.parametrize("passing", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damage_at_every_position_has_one_outcome(damage: bytes, passing: bool) -> None:
    """Wherever and however a body is damaged, records, error and index are the same for pieces of any size, and right."""
    for at in range(1, len(DOCUMENT) + 1):
        for replaced in (0, 1):
            document = DOCUMENT[:at] + damage + DOCUMENT[at + replaced :]
            outcomes = [read(document, size, passing=passing) for size in SIZES]
            shown = [([each for each in got if not isinstance(each, BadElement)], *rest) for got, *rest in outcomes]
            assert shown.count(shown[0]) == len(SIZES), (document, shown)
            got, end, index, _ = outcomes[0]
            bad = [n for n, each in enumerate(got) if isinstance(each, BadElement)]
            first = bad[0] if bad else index
            if end == "complete" and not bad:
                assert index_of_the_fault(document) is None
                assert got == orjson.loads(document)
            elif first is not None:
                assert first == index_of_the_fault(document), document
                assert len(got) >= first


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bad", HARMLESS + ENTANGLED)
@pytest.mark.parametrize("place", [0, 9, 1199])
def test_the_records_before_a_bad_one_come_out(bad: bytes, place: int, size: int) -> None:
    """All records before the one that is no JSON come out, then the error names its index, in a list of several windows."""
    good = [b'{"name":"Dr. Inventata %d","n":1}' % n for n in range(1201)]
    document = b"[" + b",".join([*good[:place], bad, *good[place + 1 :]]) + b"]"
    got, end, index, _ = read(document, size)
    assert got == [orjson.loads(each) for each in good[:place]]
    assert (end, index) == ("DecodeError", place)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bad", HARMLESS)
def test_a_bad_record_whose_end_is_certain_is_passed(bad: bytes, size: int) -> None:
    """With `passing`, the records around one that is no JSON all come out, and it has its place among them."""
    document = b"[" + b",".join([RECORDS[0], bad, RECORDS[1], bad, bad, RECORDS[2]]) + b"]"
    got, end, _, _ = read(document, size, passing=True)
    assert end == "complete"
    assert [isinstance(each, BadElement) for each in got] == [False, True, False, True, True, False]
    assert [each for each in got if not isinstance(each, BadElement)] == [orjson.loads(each) for each in RECORDS[:3]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bad", ENTANGLED)
def test_a_bad_record_whose_end_is_in_doubt_is_not_passed(bad: bytes, size: int) -> None:
    """If a quote or bracket is missing, the records after it are not taken for a part of it: there is an error instead."""
    document = b"[" + b",".join([RECORDS[0], bad, *RECORDS[1:]]) + b"]"
    got, end, index, _ = read(document, size, passing=True)
    assert got == [orjson.loads(RECORDS[0])]
    assert (end, index) == ("DecodeError", 1)


def test_why_a_record_is_no_json() -> None:
    """Nesting and numbers beyond what can be read are named; anything else is no JSON."""
    reasons = {
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH: "nested more than 1024 deep",
        b'{"a":1e400}': "a number is too large for a float",
        b'{"a":[-1%s.5]}' % (b"0" * 400): "a number is too large for a float",
        b'{"a":%s}' % (b"9" * 5000): "a whole number has too many digits",
        b'{"a":1e400,"b":x}': "not JSON",
        b'{"a":"1e400"x}': "not JSON",
    }
    for element, reason in reasons.items():
        for size in SIZES:
            assert read(b"[1," + element + b",2]", size)[3].partition(". ")[0] == f"record 1: {reason}"


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    ),
    st.booleans(),
    st.data(),
)
def test_a_list_that_stops_anywhere_is_a_cut_one(values: list[Any], escaped: bool, data: st.DataObject) -> None:
    """Whatever a list holds, one that stops is a TransportError, which is retried: in a character or an escape, too."""
    document = json.dumps(values, ensure_ascii=escaped).encode("utf-8", "replace")
    cut = data.draw(st.integers(1, len(document) - 1))
    assert read(document[:cut], 1 << 30)[1] == "TransportError"


@pytest.mark.parametrize("size", SIZES)
def test_a_list_that_stops_after_a_fault_is_not_a_cut_one(size: int) -> None:
    """Bytes that no continuation makes JSON are a DecodeError with the index, also where the body ends in the record."""
    for rest in (b'{"a":nux', b'{"a" 1', b'{"a":01', b'{"a":"\xff', b'{"a":"b"c', b"nux", b'{"a":"\t', b'["a":'):
        assert read(b"[1,2," + rest, size)[:3] == ([1, 2], "DecodeError", 2)


@pytest.mark.parametrize("size", [1, 40, 1 << 30])
def test_an_endless_bad_record_is_not_blamed_on_its_length(size: int) -> None:
    """A record whose missing quote makes it longer than record_bytes is no JSON; one that is just long is too long."""
    good = b',{"name":"x","n":1}' * 40
    assert read(b'[{"n":1},{"name":"x}' + good + b"]", size, record_bytes=300)[1:3] == ("DecodeError", 1)
    assert read(b'[{"n":1},{"name":"' + b"x" * 400, size, record_bytes=300)[1] == LimitExceededError.__name__


def test_taking_a_window_apart_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a list of bad records alone each byte is decoded a few times."""
    work = 0
    decode = module.decode_list

    def counted(document: bytes) -> list[Any] | None:
        nonlocal work
        work += len(document)
        return decode(document)

    monkeypatch.setattr(module, "decode_list", counted)
    document = b"[" + b",".join([b'{"name":NaN}'] * 5000) + b"]"
    got, end, _, _ = read(document, 4096, passing=True)
    assert (len(got), end) == (5000, "complete")
    assert work <= 3 * len(document)


def test_an_error_is_raised_again_at_the_next_step() -> None:
    """A parser that has met a bad record stays there: no record after it comes out."""
    parser = JsonArrayParser(record_bytes=1 << 20)
    parser.feed(b"[1,NaN,2]")
    assert parser.next_window() == [1]
    for _ in range(2):
        with pytest.raises(DecodeError, match="record 1: not JSON"):
            parser.next_window()
    with pytest.raises(DecodeError, match="record 1: not JSON"):
        parser.finish()
