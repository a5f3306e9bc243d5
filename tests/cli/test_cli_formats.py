"""The formats of `arzamed`, and the way of bytes to standard output."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
import threading
import tracemalloc

import pytest
from support.cli import neutral_environment

from arzamed_async import DecodeError, Doctor, OpenRecord, Slot
from arzamed_async.cli.formats import CsvWriter, Format, JsonWriter, NdjsonWriter, writer_for
from arzamed_async.cli.messages import StderrReporter, printable
from arzamed_async.cli.output import StdoutQueue
from arzamed_async.cli.tokens import claims_of

EVIL = "Dr. \x1b]0;taken\x07\x1b[2J\x9b31m\u202egnorw\x7f"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give each test an environment without colours of its own."""
    neutral_environment(monkeypatch, tmp_path)


def written(writer, *records, clinic="Milano"):
    pieces = [writer.piece(writer.encode(clinic, record)) for record in records]
    return b"".join([writer.head(), *pieces, writer.tail()]).decode()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_array_of_any_length(count):
    """The json format is a whole array for no, one or many records."""
    doctors = [Doctor(f"Dr. Inventata {n}", None) for n in range(count)]
    assert json.loads(written(JsonWriter(), *doctors)) == [
        {"clinic": "Milano", "name": doctor.name, "profileImage": None} for doctor in doctors
    ]


def test_ndjson_is_exact_and_holds_no_control_character():
    """What a name holds comes back as it was, and no byte of it could steer a terminal."""
    line = written(NdjsonWriter(), Doctor(EVIL, "https://img.example/1"))
    assert json.loads(line)["name"] == EVIL
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in line[:-1])


def test_an_open_record_cannot_pass_for_another_clinic():
    """A field called clinic stays inside of data."""
    line = json.loads(written(NdjsonWriter(), Slot({"clinic": "Roma", "nested": {"list": [1, {"a": None}]}})))
    assert line == {"clinic": "Milano", "data": {"clinic": "Roma", "nested": {"list": [1, {"a": None}]}}}


def test_a_record_without_text_is_an_error_of_its_clinic():
    """What is nested deeper than JSON is written is a DecodeError, in each format."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # as later Pythons have it: there a record can be deeper than its text
    try:
        data: dict[str, object] = {}
        for _ in range(300):
            data = {"deeper": data}
        record = OpenRecord(data)
    finally:
        sys.setrecursionlimit(limit)
    for kind in Format:
        with pytest.raises(DecodeError, match="Milano: a record is nested too deeply"):
            writer_for(kind, open_records=True).encode("Milano", record)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", '"=', "\uff1d", "x;=", "x\n@", 'x;"='])
def test_no_cell_of_csv_is_a_formula(start):
    """A cell of foreign text begins with no formula, nor does a part that a spreadsheet may cut out of it."""
    text = written(CsvWriter(open_records=False), Doctor(f'{start}HYPERLINK("https://evil.example")', None))
    header, row = csv.reader(io.StringIO(text))
    assert header == ["clinic", "name", "profileImage"]
    assert row[1].replace("'", "") == f'{start}HYPERLINK("https://evil.example")'
    for part in row[1].replace("\n", ";").replace("\t", ";").split(";"):
        assert not part.lstrip("\"' \t").startswith(("=", "+", "-", "@", "\uff1d")) or part.startswith("'")


def test_plain_names_are_left_alone_in_csv():
    """A dash inside a name, a comma and a quote come back as they were."""
    name = 'Dr. Anna-Maria "Finta", MD'
    assert list(csv.reader(io.StringIO(written(CsvWriter(open_records=False), Doctor(name, "https://a.example")))))[
        1
    ] == ["Milano", name, "https://a.example"]


def test_open_records_in_csv_are_json_without_semicolons():
    """The data cell is JSON of the same value, with nothing in it where a cell could begin."""
    data = {"note": "a;=1+1", "list": [1, -2]}
    _, row = csv.reader(io.StringIO(written(CsvWriter(open_records=True), Slot(data))))
    assert ";" not in row[1]
    assert json.loads(row[1]) == data


def test_csv_on_a_terminal_is_cleaned():
    """Where a person reads csv, control characters are replaced."""
    text = written(CsvWriter(open_records=False, terminal=True), Doctor(EVIL, None))
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_a_table_shows_columns_and_steers_nothing(monkeypatch):
    """A key of open records is a column, an absent one an empty cell; control characters and markup are text."""
    monkeypatch.setenv("COLUMNS", "80")
    records = [Slot({"start": EVIL, "n": 1}), Slot({"start": "[red]x[/red]", "extra\x1b": {"a": [1]}})]
    table = written(writer_for(Format.table, open_records=True), *records, clinic="Mil\x1bano")
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert "[red]x[/red]" in table
    assert '{"a":[1]}' in table
    assert table.split()[:4] == ["Clinic", "start", "n", "extra\N{REPLACEMENT CHARACTER}"]


def test_a_table_of_many_keys_shows_json(monkeypatch):
    """More than eight keys become one column of JSON, so that a line can be read."""
    monkeypatch.setenv("COLUMNS", "80")
    record = Slot({f"key{n}": n for n in range(9)})
    table = written(writer_for(Format.table, open_records=True), record)
    assert table.split()[:2] == ["Clinic", "Data"]
    assert max(map(len, table.splitlines())) <= 80
    assert written(writer_for(Format.table, open_records=True)) == ""


@pytest.mark.parametrize("width", [24, 40, 61, 80])
def test_an_option_is_not_parted_from_its_value(monkeypatch, capsys, width):
    """A message is wrapped between words, and an option with its value counts as one: both are copied together."""
    monkeypatch.setenv("COLUMNS", str(width))
    options = [f"{'word ' * count}--clinics ./c.toml" for count in range(20)]
    for text in options:
        StderrReporter().message(text)
        shown = capsys.readouterr().err
        assert "--clinics ./c.toml" in shown
        assert "\0" not in shown
        assert " ".join(shown.split()) == f"arzamed: {text}"
        assert max(map(len, shown.splitlines())) <= width


def test_cleaned_text_is_one_line():
    """Line breaks and tabs become spaces, everything unseen a mark."""
    assert printable("a\r\nb\tc\x00d") == "a b c\N{REPLACEMENT CHARACTER}d"


@pytest.mark.parametrize(
    "token", ["opaque", "a.b", "a.!!.c", "a.bm8.c", "a.WzFd.c", "a." + "W1tb" * 50_000 + ".c", "a..c"]
)
def test_what_is_no_jwt_is_opaque(token):
    """A token in any other shape, broken or hostile, has no claims."""
    assert claims_of(token) is None


class Gate:
    """A reader of the output that waits until the test lets it continue."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.data = b""

    def write(self, data: bytes) -> None:
        assert self.open.wait(60)
        self.data += data


@pytest.mark.asyncio
async def test_output_that_stands_still_holds_back_its_source_and_not_the_loop():
    """With the reader standing still a bounded amount is taken, the loop goes on, and nothing is lost after it."""
    gate = Gate()
    out = StdoutQueue(gate.write)
    piece = b"x" * 10_000
    taken = 0

    async def source() -> None:
        nonlocal taken
        for _ in range(100):
            await out.put(piece)
            taken += 1
        await out.drain()

    task = asyncio.create_task(source())
    for _ in range(1000):
        await asyncio.sleep(0)
    assert taken < 20
    out.close(0)  # the output after Ctrl-C does not wait, either
    gate.open.set()
    await asyncio.wait_for(task, 60)
    assert gate.data == piece * 100


@pytest.mark.asyncio
async def test_an_error_of_the_output_rises_where_it_is_fed():
    """A closed pipe ends the work by BrokenPipeError, at a put or at the drain."""

    def write(data: bytes) -> None:
        raise BrokenPipeError

    out = StdoutQueue(write)
    with pytest.raises(BrokenPipeError):
        await out.put(b"x")
        await out.drain()
    with pytest.raises(BrokenPipeError):
        await out.put(b"x" * 100_000)
    out.close(30)


def test_a_long_table_is_cut_with_a_line(monkeypatch):
    """Of millions of records 5,000 are kept, in less than 8 MiB and laid out in seconds, and a line gives the number."""
    monkeypatch.setenv("COLUMNS", "80")
    table = writer_for(Format.table, open_records=True)
    table.encode("Roma", Slot({"a": 1}))
    assert table.notice() == ""
    tracemalloc.start()
    try:
        for _ in range(60_000):
            table.encode("Milano", Slot({}))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * 1_048_576
    assert table.notice().startswith("the table has 5,000 of 60,001 records: --format csv or ndjson writes all")
    assert table.tail().decode().count("Milano") == 4_999
    table.drop("Milano")
    assert table.notice() == ""
    shown = table.tail().decode()
    assert "Roma" in shown
    assert "Milano" not in shown
