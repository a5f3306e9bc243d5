"""A JSON array that arrives in pieces, against orjson reading the whole."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import ArzamedError, DecodeError, LimitExceededError, TransportError
from arzamed_async._records import json_array as module
from arzamed_async._records.json_array import MAX_DEPTH, JsonArrayParser

BOM = b"\xef\xbb\xbf"


def drain(parser: JsonArrayParser, into: list[Any]) -> None:
    while (window := parser.next_window()) is not None:
        assert window
        into += window


def read(document: bytes, sizes: int | random.Random = 1 << 30, **options: Any) -> list[Any]:
    """Read a document in chunks of one size, or of sizes that a random generator picks."""
    parser = JsonArrayParser(**{"record_bytes": 1 << 20, **options})
    got: list[Any] = []
    position = 0
    while position < len(document):
        size = sizes if isinstance(sizes, int) else sizes.randint(1, 40)
        parser.feed(document[position : position + size])
        position += size
        drain(parser, got)
    parser.finish()
    assert parser.complete
    assert parser.received_bytes == parser.delivered_bytes == len(document)
    return got


def expected(document: bytes) -> list[Any] | None:
    """Return what orjson reads from the whole, None where it is no list."""
    try:
        value = orjson.loads(document.removeprefix(BOM))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, list) else None


TRICKY = ['"', "\\", '\\"', "},{", "[", "]", "{", "}", ",", "é", "\U0001f600", "", "a\\", '{"a":1},', "\n"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(TRICKY)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.sampled_from(TRICKY), inner, max_size=4)
    ),
    max_leaves=12,
)
records = st.lists(st.fixed_dictionaries({"name": scalars, "more": values}), min_size=1, max_size=30)
documents = st.builds(
    lambda value, indent, bom, tail: (
        (BOM if bom else b"") + orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None) + tail
    ),
    st.lists(values, max_size=8) | records,
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"", b"\n", b" \r\n\t"]),
)
windows_bytes = st.sampled_from([1, 2, 3, 7, 16, 64, 16_384])


@given(documents, st.randoms(use_true_random=False), windows_bytes)
def test_the_same_elements_as_the_whole(document: bytes, chunks: random.Random, window_bytes: int) -> None:
    """Any list, however cut, in windows of any size, comes out as orjson reads the whole."""
    assert read(document, chunks, window_bytes=window_bytes) == expected(document)


@given(
    documents,
    st.lists(st.tuples(st.integers(0, 1 << 30), st.sampled_from(range(256)) | st.none()), min_size=1, max_size=3),
    st.booleans(),
    st.randoms(use_true_random=False),
    windows_bytes,
)
def test_an_error_where_orjson_has_one(
    document: bytes, changes: list[tuple[int, int | None]], insert: bool, chunks: random.Random, window_bytes: int
) -> None:
    """A document broken anywhere is an error exactly where orjson rejects it, and never a short list."""
    broken = bytearray(document)
    for place, byte in changes:
        at = place % (len(broken) + 1)
        broken[at : at + (not insert)] = b"" if byte is None else bytes([byte])
    whole = expected(bytes(broken))
    try:
        got = read(bytes(broken), chunks, window_bytes=window_bytes)
    except ArzamedError as error:
        assert error.__cause__ is error.__context__ is None
        assert whole is None
    else:
        assert got == whole


@given(documents, st.randoms(use_true_random=False), windows_bytes)
def test_digest_and_rewind(document: bytes, chunks: random.Random, window_bytes: int) -> None:
    """The digest is that of the delivered bytes; after a rewind the list goes on from exactly there."""
    digest = hashlib.sha256()
    parser = JsonArrayParser(record_bytes=1 << 20, window_bytes=window_bytes, digest=digest)
    got: list[Any] = []
    position = 0
    while position < len(document):
        end = position + chunks.randint(1, 30)
        parser.feed(document[position:end])
        position = end
        drain(parser, got)
        assert digest.digest() == hashlib.sha256(document[: parser.delivered_bytes]).digest()
        if chunks.random() < 0.2:
            parser.rewind()
            position = parser.received_bytes
            assert position == parser.delivered_bytes
    parser.finish()
    assert got == expected(document)


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize(
    "document",
    [
        b"", b"  \n", b"[,1]", b"[1,]", b"[1,,2]", b"[1 2]", b'[{"a":1} {"a":2}]', b"[1] 2", b"[1],[2]", b"[1]]",
        b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[nul]", b'{"error": "x"}', b'"text"', b"17", b"null", b"<html>",
        b'["\xff"]', b'["a\nb"]', b"[01]", b"[1.]", b"['a']", b'["\\x"]', b"[}", b"[{]}", b'[{"a":1]', b"]",
        b"\xff\xfe[\x001\x00]\x00", BOM + BOM + b"[]", b'[{"a":1},]', b"[ ,]", b"[[1],,[2]]", b"[1]\x00", b"\x0b[1]",
    ],
)  # fmt: skip
def test_bad_documents(document: bytes, size: int) -> None:
    """What is no list of JSON is an error in any chunking, with nothing of it in the message."""
    assert expected(document) is None
    with pytest.raises(ArzamedError) as caught:
        read(document, size, window_bytes=16)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_list_that_stops(cut: int) -> None:
    """A list that stops anywhere before its end is a cut body: a TransportError, so that it is requested again."""
    document = b'[{"name": "Dr. Uno"}, {"name": "Dr. Due"}]'
    with pytest.raises(TransportError, match="ends before the list does"):
        read(document[:cut], 7)


@pytest.mark.parametrize("behind", [b"\0", b"\0" * 600, b"[{", b"x", b'"', b"\xff", b"[1]x"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_data_after_the_list_is_no_cut_list(behind: bytes, size: int) -> None:
    """Data after a complete list is a DecodeError, wherever the pieces end: nothing of it is missing."""
    with pytest.raises(DecodeError):
        read(b'[{"a": 1}, {"a": 2}]' + behind, size)


def test_an_empty_body_is_no_list() -> None:
    """An empty body is a DecodeError: a retry would not mend it."""
    with pytest.raises(DecodeError, match="empty"):
        read(b" ")


def test_the_bad_record_is_named() -> None:
    """A record that is no JSON is named by its index in the list, also after windows that were delivered."""
    good = b",".join(b'{"name": "Dr. %d"}' % n for n in range(500))
    with pytest.raises(DecodeError, match="record 500: not JSON") as caught:
        read(b"[" + good + b',{"name": bad},{"name": "x"}]', 64, window_bytes=300)
    assert caught.value.record_index == 500


def test_nesting_has_a_limit() -> None:
    """Nesting up to MAX_DEPTH is read; one more is refused, long before its end."""
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    (value,) = read(deepest, 100)
    for _ in range(MAX_DEPTH - 2):
        (value,) = value
    assert value == []
    with pytest.raises(DecodeError, match="deep|not JSON"):
        read(b"[" + deepest + b"]", 100)
    parser = JsonArrayParser(record_bytes=1 << 20)
    parser.feed(b"[" * 5000)
    with pytest.raises(DecodeError, match="deep"):
        parser.next_window()


@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_a_record_over_the_limit_is_refused_before_its_end(size: int) -> None:
    """An element over record_bytes is refused as soon as more than that of it has come; one of just that size is read."""
    record = b'{"a":"' + b"x" * 92 + b'"}'
    assert len(record) == 100
    assert len(read(b"[" + record + b"," + record + b"]", size, record_bytes=100)) == 2
    parser = JsonArrayParser(record_bytes=99)
    parser.feed(b"[1,")
    got: list[Any] = []
    with pytest.raises(LimitExceededError, match="record_bytes"):
        for start in range(0, len(record) - 1, size):
            parser.feed(record[start : min(start + size, len(record) - 1)])
            drain(parser, got)
        parser.feed(b"x")
        drain(parser, got)


def test_windows_are_bounded() -> None:
    """Of a chunk of a megabyte no window holds more than window_bytes of it."""
    document = orjson.dumps([{"name": f"Dr. {n}", "profileImage": None} for n in range(30_000)])
    parser = JsonArrayParser(record_bytes=1 << 20, window_bytes=4096)
    parser.feed(document)
    sizes = []
    before = 0
    while parser.next_window() is not None:
        sizes.append(parser.delivered_bytes - before)
        before = parser.delivered_bytes
    assert max(sizes) <= 4200
    assert sum(sizes) == len(document) - 1


HOSTILE = {
    "nested": b"[[[1]],[[1]]]",
    "towers": b"[" * 200 + b"]" * 200,
    "one record": None,
    "braces in strings": b'{"a":"' + b'}{],[\\"' * 50 + b'"}',
    "same key inside": b'{"a":1,"b":[{"a":1},{"a":2}]}',
    "scalars": b"1",
}


@pytest.mark.parametrize("size", [1, 4096])
@pytest.mark.parametrize("kind", HOSTILE)
def test_work_is_linear(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However nested and however cut, each byte is decoded and counted a bounded number of times."""
    element = HOSTILE[kind]
    total = 60_000
    if element is None:
        document = b'[{"a":[' + b",".join([b'[1,{"b":[2]}]'] * (total // 14)) + b"]}]"
    else:
        document = b"[" + b",".join([element] * (total // (len(element) + 1))) + b"]"
    work = 0

    def counted(function: Any) -> Any:
        def wrapper(data: bytes, *rest: Any) -> Any:
            nonlocal work
            work += len(data)
            return function(data, *rest)

        return wrapper

    for name in ("decode_list", "comes_down", "last_end"):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    assert len(read(document, size)) == len(orjson.loads(document))
    assert work <= 5 * len(document)


@pytest.mark.parametrize("before", [0, 1, 200, 3000])
@pytest.mark.parametrize("length", [1, 50, 5000, 300_000])
def test_the_bad_record_is_named_however_long_it_is(before: int, length: int) -> None:
    """The index in the error is that of the record that is no JSON, whatever stands before it and however long it is."""
    good = b'{"name":"Dr. Inventata","tags":["]","},"]},'
    body = b"[" + good * before + b'{"name":"' + b"x" * length + b'",bad}]'
    parser = JsonArrayParser(record_bytes=1 << 20)
    parser.feed(body)
    seen = 0
    with pytest.raises(DecodeError) as caught:
        while (values := parser.next_window()) is not None:
            seen += len(values)
    assert caught.value.record_index == before
    assert seen <= before


def test_finding_the_bad_record_looks_at_each_byte_a_few_times() -> None:
    """A window of a megabyte is not handed to Python byte by byte to find the record that is none."""
    parser = JsonArrayParser(record_bytes=1 << 22)
    parser.feed(b'[{"name":"' + b"x" * 1_000_000 + b'",bad}]')
    feeds = 0
    feed = JsonArrayParser.feed

    def counted(self: JsonArrayParser, chunk: bytes) -> None:
        nonlocal feeds
        feeds += 1
        feed(self, chunk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonArrayParser, "feed", counted)
        with pytest.raises(DecodeError):
            parser.next_window()
    assert feeds < 400
