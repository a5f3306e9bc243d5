"""A module that exists is widened: what has been renamed, added or explained by hand is kept, and types only get wider."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import pytest
from generated_modules import inferred, read

from arzamed_async._inference.source import write
from arzamed_async.errors import ConfigurationError

HAND = '''"""What we know of slots."""

from __future__ import annotations

from datetime import date  # dates
from enum import Enum

import attrs
from arzamed_async import (
    Endpoint,  # the way
)


class State(Enum):
    FREE = "free"
    BOOKED = "booked"


# The opening hours of a slot.
@attrs.frozen
class Hours:
    begins: str = attrs.field(metadata={"json": "start"})
    end: str = "x"

    @property
    def text(self) -> str:
        return self.begins + self.end


@attrs.frozen
class Appointment:
    """Hand-written."""

    number: int = attrs.field(metadata={"json": "id"})  # theirs
    hours: Hours = attrs.field(
        # the vendor calls it so
        metadata={"json": "period"},
    )
    """When it is."""
    state: State
    day: date | None = None

    def __str__(self) -> str:
        return str(self.number)


APPOINTMENTS = Endpoint("equipe/slots", Appointment)
'''
RECORDS = [
    {"id": "A1", "period": {"start": "09:00", "room": "1"}, "state": "free", "day": "2026-11-29", "new": {"by": "x"}},
    {"id": 2, "period": None, "state": "booked", "day": None},
]


def widened(existing: str, records: list[dict[str, Any]], **options: Any) -> str:
    return write(inferred(records, **options).schema, existing=textwrap.dedent(existing))


def module_of(body: str, head: str = "from attrs import field, frozen\n\nfrom arzamed_async import Endpoint\n") -> str:
    return f'{head}\n\n{textwrap.dedent(body)}\n\nSLOTS = Endpoint("equipe/slots", Slot)\n'


def added(before: str, after: str) -> tuple[set[str], set[str]]:
    old, new = before.splitlines(), after.splitlines()
    return set(old) - set(new), set(new) - set(old)


def test_what_was_written_by_hand_is_kept() -> None:
    """Names, docstrings, comments, methods, an Enum and other code stay; what changes is what has to."""
    source = widened(HAND, RECORDS)
    gone, new = added(HAND, source)
    assert gone == {
        '    number: int = attrs.field(metadata={"json": "id"})  # theirs',
        "    hours: Hours = attrs.field(",
    }
    assert new == {
        "    MISSING,",
        "    Missing,",
        "    room: str | Missing = MISSING",
        '    """In all of the objects read last."""',
        "@attrs.frozen(kw_only=True)",
        "class New:",
        '    """`new` in `Appointment`."""',
        "    by: str",
        '    number: int | str = attrs.field(metadata={"json": "id"})  # theirs',
        "    hours: Hours | None = attrs.field(",
        "    new: New | Missing = MISSING",
        '    """In 50 % of the records."""',
    }
    first, second = read(source, RECORDS)
    assert (first.number, first.hours.begins, first.state.name, first.new.by, str(second)) == (
        "A1",
        "09:00",
        "FREE",
        "x",
        "2",
    )
    assert widened(source, RECORDS) == source


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("int", 1.5, "int | float"),
        ("float", 1, "float"),
        ("int", "x", "int | str"),
        ("date", "2026-11-29T10:00:00+00:00", "date | datetime"),
        ("date", "x", "str"),
        ("date", "10:30:00", "str"),
        ("str", "2026-11-29", "str"),
        ("int", None, "int | None"),
        ("Optional[int]", "x", "int | str | None"),
        ("Union[int, None]", True, "int | bool | None"),
        ("list[int]", ["x"], "list[int | str]"),
        ("Sequence[int]", [1], "Sequence[int]"),
        ("frozenset[int]", [None, 1], "frozenset[int | None]"),
        ("list", ["x"], "list"),
        ("dict[str, int]", {"a": "x"}, "dict[str, int | str]"),
        ("tuple[int, ...]", {"a": 1}, "tuple[int, ...] | X"),
        ("Any", 1, "Any"),
        ("object", None, "object"),
        ("Number", 1, "Number"),
        ("Number", "x", "Number | str"),
        ("SlotId", 1, "SlotId"),
        ("SlotId", "x", "SlotId | str"),
        ("Foreign", "x", "Foreign"),
        ('Literal["a"]', "x", "str"),
        ('Annotated[int, "note"]', 1, 'Annotated[int, "note"]'),
        ('"int | None"', "x", '"int | str | None"'),
        ("Later", {"y": 1}, "Later"),
    ],
)
def test_types_get_wider(before: str, value: Any, after: str) -> None:
    """A type that reads a value stays as it is written; another one is widened by what is missing."""
    source = f"""\
from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, NewType, Optional, Union

from arzamed_async import Endpoint
from attrs import frozen
from elsewhere import Foreign

Number = int | float
SlotId = NewType("SlotId", int)


@frozen
class Slot:
    x: {before}


@frozen
class Later:
    y: int


SLOTS = Endpoint("equipe/slots", Slot)
"""
    result = widened(source, [{"x": value}])
    assert f"    x: {after}\n" in result
    assert (result == source) == (before == after)


def test_a_field_that_is_missing_now_gets_a_default() -> None:
    """A field that no record has any more may be missing; where required ones follow, it is given by keyword."""
    source = widened(
        module_of(
            """\
            @frozen
            class Slot:
                a: int
                b: int = field(metadata={"json": "B"})
                c: int
                d: int | None = None
            """
        ),
        [{"c": 1}],
    )
    assert "    a: int | Missing = field(default=MISSING, kw_only=True)\n" in source
    assert '    b: int | Missing = field(default=MISSING, kw_only=True, metadata={"json": "B"})\n' in source
    assert "    d: int | None = None\n" in source
    assert len(read(source, [{"c": 1}, {"a": 1, "B": 2, "c": 1}])) == 2


def test_fields_of_bases_are_known() -> None:
    """A field that a base in the module has is not added again."""
    source = module_of(
        """\
        @frozen
        class Base:
            a: int


        @frozen
        class Slot(Base):
            b: int
        """
    )
    assert widened(source, [{"a": 1, "b": 2}]) == source
    assert "    a: int | str\n" in widened(source, [{"a": "x", "b": 2}])


def test_what_was_not_known_becomes_known() -> None:
    """Any stands for null and for empty lists alone, as the docstring states: a first value gives a type."""
    nothing = write(inferred([{"a": None, "b": []}]).schema)
    known = write(inferred([{"a": 1, "b": ["x"]}]).schema, existing=nothing)
    assert '    a: int | None\n    """In all of the records."""\n' in known
    assert "    b: tuple[str, ...]\n" in known


@pytest.mark.parametrize("pad", ["\t", "  "])
def test_the_indent_and_the_line_ends_of_a_file_are_kept(pad: str) -> None:
    """A file indented by tabs, or with Windows' line ends, stays so."""
    source = module_of(f"@frozen\nclass Slot:\n{pad}a: int\n").replace("\n", "\r\n")
    # Without `widened`: from 3.14 on, dedent ends empty lines with a line feed alone.
    result = write(inferred([{"a": "x", "new": 1}]).schema, existing=source)
    assert f"{pad}a: int | str\r\n{pad}new: int | Missing = MISSING\r\n" in result
    assert result.count("\n") == result.count("\r\n")
    ast.parse(result)


def test_forms_of_dates_that_differ_are_left_out() -> None:
    """Where earlier records had another form, `to_dict` has no form to keep."""
    source = write(inferred([{"at": "10:30", "b": "10:30"}]).schema)
    assert source.count("json_form") == 2
    result = write(inferred([{"at": "10:30:00", "b": "10:31"}]).schema, existing=source)
    assert "    at: time\n" in result
    assert result.count("json_form") == 1


def test_a_class_alone_gets_its_endpoint() -> None:
    """A class that is found by its name, since there is no Endpoint, gets one; personal ones are marked."""
    source = "from attrs import frozen\n\n\n@frozen\nclass Slot:\n    a: int"
    assert widened(source, [{"a": 1}]).endswith('    a: int\n\n\nSLOTS = Endpoint("equipe/slots", Slot)\n')
    marked = widened(module_of("@frozen\nclass Slot:\n    a: int\n"), [{"a": 1}], personal=True)
    assert 'Endpoint("equipe/slots", Slot, personal=True)' in marked


def test_no_records_change_nothing() -> None:
    """An empty list says nothing about a class."""
    assert widened(HAND, []) == HAND


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:\n", "line 1: it is not Python"),
        ("x = 1\n\n\n  y = 2\n", "line 4: it is not Python"),
        ("a\0b", "not Python|cannot be parsed"),
        ("", "there is neither an Endpoint of equipe/slots nor a class Slot"),
        ("class Slot:\n    a: int\n", "there is neither"),
        ("import json\n", "there is neither"),
        (module_of("@frozen\nclass Slot:\n    a: int\n").replace("equipe", "other"), "line 11: its Endpoint is of another path"),
        (module_of("class Slot:\n    a: int\n"), "line 10: Slot is not an attrs class"),
        (module_of("@frozen\nclass Slot(Foreign):\n    a: int\n"), "line 7: Slot has a base whose fields are not in this"),
        (module_of("META = {}\n\n\n@frozen\nclass Slot:\n    a: int = field(metadata=META)\n"), "line 11: the metadata of a field"),
        (module_of("@frozen\nclass Slot: a: int\n"), "line 7: give the body of Slot lines of its own"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_one_of_ours_is_refused(source: str, message: str) -> None:
    """What cannot be read, or is of something else, is a ConfigurationError that names the place, and nothing is written."""
    with pytest.raises(ConfigurationError, match=message):
        widened(source, [{"a": "canary-value", "b": 1}])
    try:
        widened(source, [{"a": "canary-value", "b": 1}])
    except ConfigurationError as error:
        assert "canary" not in str(error)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            "import attrs\nfrom arzamed_async import Endpoint\nfrom attrs import frozen\n",
            "from uuid import UUID\n\nimport attrs\nfrom arzamed_async import MISSING, Endpoint, Missing\nfrom attrs import frozen\n",
        ),
        (
            "import json\nfrom typing import Any\n\nfrom arzamed_async import Endpoint\nfrom attrs import frozen\n",
            "import json\nfrom typing import Any\nfrom uuid import UUID\n\n"
            "from arzamed_async import MISSING, Endpoint, Missing\nfrom attrs import frozen\n",
        ),
        (
            "from zoneinfo import ZoneInfo\n\nfrom arzamed_async import *\nfrom attrs import frozen\n",
            "from uuid import UUID\nfrom zoneinfo import ZoneInfo\n\n"
            "from arzamed_async import *\nfrom arzamed_async import MISSING, Missing\nfrom attrs import frozen\n",
        ),
        (
            "from arzamed_async import (  # here\n    Clinic, Endpoint\n)\nfrom attrs import frozen\n",
            "from uuid import UUID\n\nfrom arzamed_async import (  # here\n    Clinic, Endpoint\n)\n"
            "from arzamed_async import MISSING, Missing\nfrom attrs import frozen\n",
        ),
        (
            "from __future__ import annotations\n\nimport arzamed_async\nfrom arzamed_async import Endpoint\nfrom attrs import frozen\n",
            "from __future__ import annotations\n\nfrom uuid import UUID\n\nimport arzamed_async\nfrom arzamed_async import Endpoint\n"
            "from attrs import frozen\n",
        ),
        (
            "from arzamed_async import ArzamedError, ArzamedSession, Clinic, Doctor, Endpoint\nfrom attrs import frozen\n",
            "from uuid import UUID\n\nfrom arzamed_async import (\n    MISSING,\n    ArzamedError,\n    ArzamedSession,\n    Clinic,\n"
            "    Doctor,\n    Endpoint,\n    Missing,\n)\nfrom attrs import frozen\n",
        ),
    ],
)
def test_imports_are_added_at_their_places(head: str, expected: str) -> None:
    """What is needed is added to the import of its module, or as a line at its sorted place."""
    source = module_of("@frozen\nclass Slot:\n    a: int\n", head)
    records = [{"a": 1, "id": "0b8a5c1e-0000-4000-8000-000000000001"}]
    result = widened(source, records)
    assert result.startswith(expected)
    assert len(read(result, records)) == 1


def test_fields_named_after_types_in_a_file() -> None:
    """Where a field is called `date`, a date is written through the module, which is imported under a short name."""
    source = module_of("@frozen\nclass Slot:\n    date: str\n")
    result = widened(source, [{"date": "x", "day": "2026-11-29", "time": "10:30:00"}])
    assert result.startswith("import datetime as dt\n\nfrom attrs")
    assert "    day: dt.date | Missing = MISSING\n" in result
    assert "    time_: dt.time | Missing = MISSING\n" in result


def test_a_class_that_is_defined_later_is_quoted() -> None:
    """A type that is widened keeps its quotes, where its class is defined further down."""
    source = module_of('@frozen\nclass Slot:\n    a: "Later"\n\n\n@frozen\nclass Later:\n    b: int\n')
    result = widened(source, [{"a": {"b": 1}}, {"a": None}])
    assert '    a: "Later | None"\n' in result
    assert len(read(result, [{"a": None}, {"a": {"b": 1}}])) == 2


def test_objects_of_one_structure_share_a_new_class() -> None:
    """Objects of the same keys under one name get one class, and one that the file has is used again."""
    source = module_of("@frozen\nclass Period:\n    start: int\n\n\n@frozen\nclass Slot:\n    a: int\n")
    records = [{"a": 1, "period": {"start": 1}, "room": {"bed": {"x": 1}}, "ward": {"bed": {"x": "y"}}}]
    result = widened(source, records)
    assert result.count("class Period") == result.count("class Bed") == 1
    assert "    x: int | str\n" in result
    assert len(read(result, records)) == 1


def test_enumerations_are_united() -> None:
    """A Literal is widened by the values seen now; where enumerations are not requested it becomes text."""
    records = [{"state": each} for each in ["free", "booked"] * 20]
    more = [{"state": each} for each in ["free", "held"] * 20]
    source = write(inferred(records, enums=True).schema)
    assert 'Literal["booked", "free"]' in source
    assert 'state: Literal["booked", "free", "held"]\n' in write(inferred(more, enums=True).schema, existing=source)
    assert "    state: str\n" in write(inferred(more).schema, existing=source)
    assert "    state: str\n" in write(inferred([{"state": "2026-11-29"}]).schema, existing=source)


UNLIKE: tuple[Any, ...] = (
    "10:00", "20260101", "2026-01-01T10:00Z", "2026-01-01T10:00", "x", "12345678-1234-1234-1234-123456789abc", 1, 2.5, True,
    None, [], ["10:00"], ["x"], [1], [None], ["10:00", {}], [{"a": 1}], {}, {"x": "10:00"}, {"1234567": "10:00"},
)  # fmt: skip


@pytest.mark.parametrize("before", UNLIKE, ids=repr)
def test_any_kind_may_follow_any_other(before: Any) -> None:
    """Whatever a field was, its module can be widened by any other kind of value, and reads both."""
    first = inferred([{"a": before}]).source
    for after in UNLIKE:
        source = write(inferred([{"a": after}]).schema, existing=first)
        assert len(read(source, [{"a": before}, {"a": after}])) == 2


@pytest.mark.parametrize(
    "metadata",
    ['"json_form": "hh:mm"', '"json_form": "hh:mm", "x": 1', '"x": 1, "json_form": "hh:mm"', '"json_form": "hhmm"'],
)
@pytest.mark.parametrize("comment", ["", "  # of the vendor"])
def test_a_form_goes_with_the_dates_that_had_it(metadata: str, comment: str) -> None:
    """Where times have become text, no form of times is left, which text could not have."""
    before = inferred([{"at": "10:00:00"}]).source.replace(
        "from attrs import frozen", "from attrs import field, frozen"
    )
    before = before.replace("at: time", f"at: time = field({comment}\n        metadata={{{metadata}}}\n    )")
    source = write(inferred([{"at": "later"}]).schema, existing=before)
    assert "json_form" not in source
    assert ('"x": 1' in source) is ('"x": 1' in metadata)
    assert len(read(source, [{"at": "later"}])) == 1


def test_a_byte_order_mark_is_kept() -> None:
    """A file that an editor on Windows saved is widened, and begins as it did."""
    before = inferred([{"a": 1}]).source
    after = write(inferred([{"b": 2}]).schema, existing=f"\ufeff{before}")
    assert after == f"\ufeff{write(inferred([{'b': 2}]).schema, existing=before)}"
