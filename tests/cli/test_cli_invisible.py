"""Characters that show nothing, each one of the Unicode database by its category, in each of the command's outputs."""

from __future__ import annotations

import base64
import csv
import io
import json
import unicodedata

import pytest

from arzamed_async import Doctor, Slot
from arzamed_async.cli.formats import CsvWriter, Format, NdjsonWriter, writer_for
from arzamed_async.cli.messages import printable
from arzamed_async.cli.tokens import claims_of, claims_table

MARK = "\N{REPLACEMENT CHARACTER}"
EVERY = [chr(number) for number in range(0x110000)]
#: Default_Ignorable_Code_Point of DerivedCoreProperties.txt, where the category is none of the following.
IGNORABLE = {
    chr(number)
    for first, last in (
        (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
        (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
    )
    for number in range(first, last + 1)
}  # fmt: skip
HIDDEN = [each for each in EVERY if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or each in IGNORABLE]
SPACES = [each for each in EVERY if unicodedata.category(each) == "Zs"]
#: What JSON can hold.
SENT = [each for each in HIDDEN if unicodedata.category(each) != "Cs"]
CONTROLS = [each for each in EVERY if unicodedata.category(each) == "Cc" and each not in "\t\r\n"]
JOINERS = ["\u200c", "\u200d", "\ufe0f", "\U000e0100"]


def in_batches(values: list[str], size: int) -> list[list[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def cells(name: str) -> list[str]:
    """Return the cells of the row that CSV in a pipe has for a name."""
    row = CsvWriter(open_records=False).encode("Milano", Doctor(name, None)).decode()
    return next(csv.reader(io.StringIO(row, newline="")))


def test_no_invisible_character_reaches_a_terminal():
    """Of each control, format, separator, surrogate and ignorable character nothing is left in printable text."""
    for each in HIDDEN:
        shown = printable(f"a{each}b")
        assert each not in shown, hex(ord(each))
        assert shown in ("a b", "ab", f"a{MARK}b"), hex(ord(each))


def test_visible_text_is_printed_as_it_is():
    """No letter, mark, digit, sign or space of any script is replaced."""
    kept = [each for each in EVERY if unicodedata.category(each)[0] in "LMNPS" and each not in IGNORABLE] + SPACES
    text = "".join(kept)
    assert printable(text) == text


@pytest.mark.parametrize("joiner", JOINERS)
def test_a_joiner_or_a_variation_is_left_out(joiner: str):
    """A Persian name or an emoji stays readable: what joins its letters, or varies one, is left out without a mark."""
    assert printable(f"\u0645\u06cc{joiner}\u062e") == "\u0645\u06cc\u062e"


@pytest.mark.parametrize("sign", "=+-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b")
def test_a_formula_is_found_behind_each_invisible_character(sign: str):
    """A cell that begins with a sign of a formula gets its apostrophe whichever invisible characters precede the sign."""
    for each in [*HIDDEN, *SPACES, '"', "'"]:
        assert cells(f"{each}{each}{sign}1")[1].startswith("'"), hex(ord(each))
    for some in in_batches(HIDDEN + SPACES, 50):
        assert cells(f"{''.join(some)}{sign}1")[1].startswith("'")


@pytest.mark.parametrize("each", "\t\r\n")
def test_a_cell_that_begins_with_a_tab_or_a_line_break_is_guarded(each: str):
    """Such a cell gets an apostrophe, also where an invisible character precedes it."""
    assert cells(f"{each}Dr. Inventata")[1] == f"'{each}Dr. Inventata"
    assert cells(f"\u200b{each}Dr. Inventata")[1] == f"'\u200b{each}Dr. Inventata"


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n"])
def test_a_line_break_in_a_name_makes_no_row(line_break: str):
    """A name with a line break in it is one cell: it is quoted."""
    row = CsvWriter(open_records=False).encode("Milano", Doctor(f"a{line_break}Roma", None))
    assert row == f'Milano,"a{line_break}Roma",\n'.encode()


def test_csv_in_a_pipe_holds_no_control_character():
    """Each control character but tab and line breaks is replaced, and all else of a name is left as it was."""
    for each in CONTROLS:
        assert cells(f"a{each}b")[1] == f"a{MARK}b", hex(ord(each))
    assert cells("a\tb\nc\u200cd\ud800")[1] == f"a\tb\nc\u200cd{MARK}"


def test_json_escapes_each_invisible_character_and_loses_none():
    """ndjson, json, and JSON in csv show no invisible character, and hold each one."""
    for some in in_batches(SENT, 100):
        name = "x".join(some)
        lines = [
            NdjsonWriter().encode("Milano", Slot({"name": name})).decode(),
            CsvWriter(open_records=True).encode("Milano", Slot({"name": name})).decode(),
        ]
        for line in lines:
            assert not set(line.rstrip("\n")) & set(HIDDEN)
        assert json.loads(lines[0])["data"]["name"] == name
        assert json.loads(next(csv.reader(io.StringIO(lines[1])))[1])["name"] == name


def test_a_table_holds_no_invisible_character(monkeypatch: pytest.MonkeyPatch):
    """Neither a key nor a text, nor the text of a nested object, brings one into a table."""
    monkeypatch.setenv("COLUMNS", "200")
    for some in in_batches(SENT, 200):
        writer = writer_for(Format.table, open_records=True)
        evil = "x".join(some)
        writer.encode(f"Milano{evil}", Slot({f"key{evil}": evil, "inner": {"note": evil}}))
        assert not set(writer.tail().decode()) & (set(HIDDEN) - {"\n"})


def test_a_long_cell_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch):
    """A text, a nested object and a key of a megabyte are shown by their beginning and their length."""
    monkeypatch.setenv("COLUMNS", "20000")
    writer = writer_for(Format.table, open_records=True)
    writer.encode("Milano", Slot({"k" * 1_000_000: "v" * 1_000_000, "inner": {"a": "w" * 1_000_000}}))
    table = writer.tail().decode()
    assert f"{'k' * 100}… (1,000,000 characters)" in table
    assert f"{'v' * 4000}… (1,000,000 characters)" in table
    assert "… (1,000,008 characters)" in table
    assert len(table) < 40_000


# What a token holds


def token_of(claims: object) -> str:
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    return f"e30.{base64.urlsafe_b64encode(payload.encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "claims",
    [
        {"n" * 48_000: 1, **{f"claim{number}": number for number in range(1000)}},
        {"scope": "s" * 1_000_000},
        {"\u202e" * 10_000: "\x1b" * 10_000},
        {f"{'wide' * 20}{number}": "v" * 5000 for number in range(1000)},
        {"deep": json.loads("[" * 900 + "]" * 900)},
    ],
)
def test_the_claims_of_a_token_take_little_room(claims: dict[str, object]):
    """Whatever a token holds, its table has at most 65 lines of at most 1,150 characters."""
    found = claims_of(token_of(claims))
    assert found is not None
    lines = claims_table(found)
    assert len(lines) <= 65
    assert max(map(len, lines)) <= 1150


def test_a_cut_claim_shows_its_length():
    """A long name and a long value are cut, and each is followed by the number of its characters."""
    [line] = claims_table({"n" * 48_000: "v" * 70_000})
    assert line == f"    {'n' * 64}… (48,000 characters)  {'v' * 1000}… (70,000 characters)"


def test_claims_that_are_left_out_are_counted():
    """After 64 claims the table ends with the number of the others."""
    assert claims_table({str(number): number for number in range(2000)})[64:] == ["    … and 1,936 more"]


@pytest.mark.parametrize(
    "value", [1e400, -1e400, 10**30, -(10**30), -62_135_596_801, float("nan"), True, "tomorrow", None]
)
def test_a_time_that_is_none_is_shown_as_it_is(value: object):
    """An expiry beyond any calendar, infinite, or no number at all is shown without a date."""
    [line] = claims_table({"exp": value})
    assert "UTC" not in line
    assert line.split()[0] == "exp"


def test_a_negative_time_is_a_date_before_1970():
    """Minus one is the last second of 1969."""
    assert claims_table({"exp": -1}) == ["    exp  -1 (1969-12-31 23:59:59 UTC)"]
