"""The formats `excel-csv` and `parquet`."""

from __future__ import annotations

import csv
import io
import json
import locale
import os
import re
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.cli import Beside

from arzamed_async import Doctor, Slot
from arzamed_async.cli import excel, formats
from arzamed_async.cli.formats import CsvWriter, Format, writer_for

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(params=[",", ";"])
def separator(request, monkeypatch):
    """Give the separator of a locale with the other decimal sign."""
    monkeypatch.setattr(formats, "decimal_sign", lambda: "," if request.param == ";" else ".")
    return request.param


def written(writer, *records):
    return b"".join([writer.head(), *(writer.piece(writer.encode("Milano", each)) for each in records), writer.tail()])


def test_excel_gets_its_mark_and_its_separator(separator):
    """The file begins with a byte order mark, and separates by semicolons where the decimal sign is a comma."""
    name = 'Dr. "Perché", Anna; MD'
    data = written(CsvWriter(open_records=False, excel=True), Doctor(name, None))
    assert data.startswith(b"\xef\xbb\xbfclinic" + separator.encode())
    _, row = csv.reader(io.StringIO(data.decode("utf-8-sig")), delimiter=separator)
    assert row == ["Milano", name, ""]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "x;=", "x,=", "x, '@", "x\t=", "\uff1d"])
def test_no_cell_is_a_formula_in_whichever_way_it_is_split(separator, start):
    """No part that a spreadsheet may cut out of a file by semicolons or commas begins with a formula."""
    writer = CsvWriter(open_records=False, excel=True)
    text = written(writer, Doctor(f"{start}HYPERLINK(1),x", None)).decode("utf-8-sig").splitlines()[1]
    splits = re.split(r"[;\t]" if separator == "," else r"[;,\t]", text)
    assert not any(re.match(r"[\"' ]*[=+\-@\uff1d]", part) and "'" not in part for part in splits)


def test_open_records_are_json_in_which_no_cell_begins(monkeypatch):
    """In a file of semicolons the commas within texts are escapes, and the value is the same."""
    monkeypatch.setattr(formats, "decimal_sign", lambda: ",")
    data = {"note": 'x,=HYPERLINK(1),"\\', "list": [1, -2], "a;b": None}
    text = written(CsvWriter(open_records=True, excel=True), Slot(data)).decode("utf-8-sig")
    _, row = csv.reader(io.StringIO(text), delimiter=";")
    assert ",=" not in text
    assert json.loads(row[1]) == data


@pytest.mark.parametrize(("name", "sign"), [("it_IT.UTF-8", ","), ("de", ","), ("en_GB", "."), ("C", "."), ("", ".")])
def test_the_decimal_sign_is_that_of_the_environment(monkeypatch, name, sign):
    """Where the system does not have the locale, its language decides; the process's own locale stays."""

    def unknown(category, wanted=None):
        if wanted == "":
            raise locale.Error
        return "C"

    monkeypatch.setattr(excel.locale, "setlocale", unknown)
    assert excel.decimal_sign({"LC_ALL": "", "LANG": name}) == sign
    monkeypatch.undo()
    monkeypatch.setenv("LC_ALL", "C")
    assert excel.decimal_sign() == "."


def test_parquet_holds_typed_columns_of_doctors():
    """Clinic, name and photo are columns of text, and a photo may be missing."""
    data = written(writer_for(Format.parquet, open_records=False), Doctor("Dr. Perché", None), Doctor("b", "https://x"))
    table = pq.read_table(io.BytesIO(data))
    assert table.to_pylist() == [
        {"clinic": "Milano", "name": "Dr. Perché", "profileImage": None},
        {"clinic": "Milano", "name": "b", "profileImage": "https://x"},
    ]
    assert table.schema.types == [pa.string()] * 3


def test_parquet_without_records_is_a_table():
    """No record is a file that can be read, with its columns."""
    table = pq.read_table(io.BytesIO(written(writer_for(Format.parquet, open_records=True))))
    assert (table.num_rows, table.column_names) == (0, ["clinic", "data"])


def test_open_records_in_parquet_are_json():
    """An open record is the JSON of the same value in the column `data`."""
    data = {"clinic": "Roma", "nested": [1, {"a": None}]}
    (row,) = pq.read_table(io.BytesIO(written(writer_for(Format.parquet, open_records=True), Slot(data)))).to_pylist()
    assert row["clinic"] == "Milano"
    assert json.loads(row["data"]) == data


def test_parquet_is_written_in_row_groups():
    """Rows leave memory by groups: one of 20,000 rows, or of 8 MiB of text."""
    writer = writer_for(Format.parquet, open_records=False)
    small, large = (
        writer.encode("Milano", Doctor("a", None)),
        writer.encode("Milano", Doctor(os.urandom(524_288).hex(), None)),
    )
    sizes = [len(writer.piece(small)) for _ in range(20_000)] + [len(writer.piece(large)) for _ in range(8)]
    assert [index for index, size in enumerate(sizes) if size] == [19_999, 20_007]
    assert writer._rows == []


def test_parquet_needs_pyarrow(place, monkeypatch):
    """Without pyarrow the command is a usage error that names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with Beside() as beside:
        done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano"), "-o", "a.parquet")
    assert done.exit_code == 2
    assert "--format parquet needs pyarrow" in done.stderr
    assert "[parquet]" in done.stderr
