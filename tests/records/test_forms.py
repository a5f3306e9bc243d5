"""Dates and times: with and without offset, and in the form in which they came."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import re
from decimal import Decimal
from typing import Any

import attrs
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import MISSING, ConfigurationError, DecodeError, Missing, NaiveDatetime, to_dict
from arzamed_async._inference import forms
from arzamed_async._records.decoder import Decoder, decoder_for

UTC = dt.timezone.utc
KINDS: dict[str, Any] = {"date": dt.date, "time": dt.time, "datetime": dt.datetime, "naive": NaiveDatetime}

DAYS = ["YYYY-MM-DD", "YYYYMMDD"]
CLOCKS = ["hh:mm", "hh:mm:ss", "hhmm", "hhmmss"]
FRACTIONS = ["", *(mark + "s" * count for mark in ".," for count in range(1, 10))]
OFFSETS = ["", "Z", "+hh:mm", "+hhmm", "+hh"]
TIMES = [
    clock + fraction + offset
    for clock in CLOCKS
    for fraction in (FRACTIONS if "ss" in clock else [""])
    for offset in OFFSETS
]
FORMS = [*DAYS, *TIMES, *(day + between + time for day in DAYS for between in "Tt " for time in TIMES)]


def found_form(text: str) -> forms.Form | None:
    """Return the form that inference finds in a text, each digit of which may be any."""
    return forms.form_of(re.sub("[0-9]", "0", text))


def kind_of(form: str) -> Any:
    """Return the type of values of this form."""
    if form in DAYS:
        return dt.date
    if "Y" not in form:
        return dt.time
    return NaiveDatetime if form.endswith(("mm", "s")) and "+" not in form else dt.datetime


def row(kind: Any, form: str | None = None, **more: Any) -> Any:
    """Return a class with a field `it`."""
    metadata = {} if form is None else {"json_form": form}
    return attrs.make_class("Row", {"it": field(type=kind, metadata=metadata, **more)}, frozen=True)


def back(model: Any, it: object) -> object:
    """Return what `to_dict` makes of what was read."""
    (record,) = decoder_for(model).decode([{"it": it}], 0)
    return to_dict(record)["it"]


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    """Return a form of the grammar, and a date or time that is written in it: truth made without the code under test."""
    form = draw(st.sampled_from(FORMS))
    moment = draw(st.datetimes(timezones=st.just(UTC)))
    values = {"YYYY": moment.year, "MM": moment.month, "DD": moment.day}
    head, mark, tail = form.partition("," if "," in form else ".")
    offset = next((each for each in reversed(OFFSETS) if each and form.endswith(each)), "")
    offset = "+hhmm" if form.endswith("+hhmm") else "+hh:mm" if form.endswith("+hh:mm") else offset
    if not mark:
        head = head.removesuffix(offset)
    count = len(tail.removesuffix(offset))
    for letters, value in {**values, "hh": moment.hour, "mm": moment.minute, "ss": moment.second}.items():
        head = head.replace(letters, str(value).zfill(len(letters)))
    fraction = (str(moment.microsecond).zfill(6)[:count]).ljust(count, "0")
    hours, minutes = draw(st.integers(0, 23)), draw(st.sampled_from([0, 30, 45]))
    sign = "+" if hours == minutes == 0 or (offset == "+hh" and hours == 0) else draw(st.sampled_from("+-"))
    shown = {
        "+hh:mm": f"{sign}{hours:02}:{minutes:02}",
        "+hhmm": f"{sign}{hours:02}{minutes:02}",
        "+hh": f"{sign}{hours:02}",
    }
    return form, head + mark + fraction + shown.get(offset, offset)


@given(texts())
def test_each_text_comes_back_in_its_form(pair: tuple[str, str]) -> None:
    """A date or time in any form is read as its type, and written as the same text; inference finds that form."""
    form, text = pair
    found = found_form(text)
    assert (found and found.text) == (None if form.startswith("hhmm") else form)
    kind = kind_of(form)
    assert back(row(kind, form), text) == text
    assert back(row(kind | Missing | None, form, default=MISSING), text) == text
    assert back(row(list[dict[str, kind]], form), [{"a": text}, {}]) == [{"a": text}, {}]


@given(texts())
def test_the_default_forms_need_none(pair: tuple[str, str]) -> None:
    """Without a form a text comes back if its form is a default one, and six digits are not all 0."""
    form, text = pair
    found = forms.form_named(form) if not form.startswith("hhmm") else None
    same = found is not None and found.default and ".000000" not in text
    assert (back(row(kind_of(form)), text) == text) is same


@pytest.mark.parametrize(
    "form",
    [*DAYS, "hh:mm", "hhmmss.s+hh", "YYYYMMDDThh:mm", *(f"YYYY-MM-DD hh:mm:ss,sss{offset}" for offset in OFFSETS)],
)
def test_a_form_fits_one_kind(form: str) -> None:
    """A form is accepted for the type of its values, and a ConfigurationError for the others when the decoder is made."""
    for kind in KINDS.values():
        if kind is kind_of(form):
            Decoder(row(kind, form))
            Decoder(row(str | kind, form))
        else:
            with pytest.raises(ConfigurationError, match=r"Row\.it: no value of its type can have the json_form"):
                Decoder(row(kind, form))


@pytest.mark.parametrize(
    "form",
    ["", "iso", "%Y-%m-%d", "YYYY", "YYYY-MM", "DD.MM.YYYY", "YYYY-MM-DDT", "T hh:mm", "hh", "hh:mm.s", "hh:mm:ss.", "hh:mm:ss.ssssssssss",
     "YYYY-MM-DDThh:mmz", "YYYY-MM-DD hh:mm:ss Z", "YYYY-MM-DDThh:mm:ss.sssZ\n", "x" * 10_000, 5, True, b"hh:mm", ["hh:mm"]],
)  # fmt: skip
def test_what_is_no_form_is_refused_where_the_decoder_is_made(form: Any) -> None:
    """The ConfigurationError names class and field and shows a form; `to_dict` of such a class raises the same."""
    model = row(dt.datetime, form)
    with pytest.raises(
        ConfigurationError, match=r"Row\.it: json_form must be a form such as 'YYYY-MM-DDThh:mm:ss\.sssZ'"
    ) as refused:
        Decoder(model)
    assert len(str(refused.value)) < 200
    with pytest.raises(ConfigurationError, match=r"Row\.it: json_form must be a form such as"):
        to_dict(model(dt.datetime(2026, 1, 1, tzinfo=UTC)))


NINE = dt.datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
ROME = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("form", "value", "written"),
    [
        ("YYYY-MM-DDThh:mm:ssZ", NINE, "2026-11-29T09:00:00Z"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.replace(tzinfo=ROME), "2026-11-29T09:00:00+01:00"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.replace(microsecond=5), "2026-11-29T09:00:00.000005+00:00"),
        ("YYYY-MM-DDThh:mm:ss.sssZ", NINE.replace(microsecond=5000), "2026-11-29T09:00:00.005Z"),
        ("YYYY-MM-DDThh:mm:ss.sssZ", NINE.replace(microsecond=5), "2026-11-29T09:00:00.000005+00:00"),
        ("YYYY-MM-DD hh:mm+hh", NINE.replace(second=1), "2026-11-29T09:00:01+00:00"),
        ("YYYY-MM-DD hh:mm+hh", NINE.replace(tzinfo=dt.timezone(dt.timedelta(minutes=-210))), "2026-11-29T09:00:00-03:30"),
        ("YYYY-MM-DD hh:mm+hhmm", NINE.replace(tzinfo=dt.timezone(dt.timedelta(minutes=-210))), "2026-11-29 09:00-0330"),
        ("YYYY-MM-DD hh:mm+hh:mm", NINE.replace(tzinfo=dt.timezone(dt.timedelta(seconds=61))), "2026-11-29T09:00:00+00:01:01"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.replace(tzinfo=None), "2026-11-29T09:00:00"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.date(), "2026-11-29"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.timetz(), "09:00:00+00:00"),
        ("YYYY-MM-DDThh:mm:ssZ", NINE.replace(year=7), "0007-11-29T09:00:00Z"),
    ],
)  # fmt: skip
def test_what_a_form_cannot_hold_is_written_in_full(form: str, value: Any, written: str) -> None:
    """No second, fraction, offset or day is lost: such a value has the default form, beside others that have the field's."""
    model = row(dt.datetime | dt.date | dt.time, form)
    assert to_dict(model(value)) == {"it": written}


@frozen
class Visit:
    """A field of each place that can hold dates."""

    at: NaiveDatetime | dt.datetime = field(metadata={"json_form": "YYYY-MM-DD hh:mm"})
    until: dt.datetime | Missing | None = field(
        default=MISSING, metadata={"json_form": "YYYY-MM-DDThh:mm:ss.sssZ", "json": "END"}
    )
    days: tuple[dt.date, ...] = field(default=(), metadata={"json_form": "YYYYMMDD"})
    next: Visit | Missing | None = field(default=MISSING)
    data: dict[str, Any] = field(factory=dict)


def test_a_whole_record_comes_back() -> None:
    """Nested classes, lists, dicts and both kinds of datetime in a union are written as they came."""
    sent = {
        "at": "2026-11-29 10:00", "END": "2026-11-29T10:15:00.120Z", "days": ["20261129", "20261130"], "data": {"k": ["2026-11-29 10:00"]},
        "next": {"at": "2026-11-30T10:00:00+01:00", "END": None, "days": [], "data": {}},
    }  # fmt: skip
    (visit,) = decoder_for(Visit).decode([sent], 0)
    assert visit.at == dt.datetime.fromisoformat("2026-11-29T10:00")
    assert visit.next.at.utcoffset() == dt.timedelta(hours=1)
    assert json.loads(json.dumps(to_dict(visit))) == sent
    assert pickle.loads(pickle.dumps(visit)) == visit


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (dt.datetime, "2026-11-29T10:00", "expected a date and time with offset (ISO 8601), found one without offset"),
        (
            NaiveDatetime,
            "2026-11-29T10:00Z",
            "expected a date and time without offset (ISO 8601), found one with offset",
        ),
        (NaiveDatetime, "2026-11-29", "expected a date and time without offset (ISO 8601), found text"),
        (NaiveDatetime, "2026-11-29x10:00", "expected a date and time without offset (ISO 8601), found text"),
        (NaiveDatetime, 1764410400000, "expected a date and time without offset (ISO 8601), found a whole number"),
        (NaiveDatetime, None, "expected a date and time without offset (ISO 8601), found null"),
    ],
)
def test_with_and_without_offset_are_two_types(kind: Any, text: object, words: str) -> None:
    """Each refuses the other's texts, with an error that names what is expected and shows no value."""
    with pytest.raises(DecodeError) as refused:
        decoder_for(row(kind)).decode([{"it": text}], 0)
    assert words in str(refused.value)
    assert "2026" not in str(refused.value)


def test_a_union_of_both_reads_each_as_its_own() -> None:
    """Either order of the union reads either text, and what neither reads is an error that names both."""
    for kind in (NaiveDatetime | dt.datetime, dt.datetime | NaiveDatetime):
        model = row(kind)
        assert back(model, "2026-11-29T10:00:00") == "2026-11-29T10:00:00"
        assert back(model, "2026-11-29T10:00:00Z") == "2026-11-29T10:00:00+00:00"
        with pytest.raises(DecodeError, match="with offset.* or .*without offset|without offset.* or .*with offset"):
            back(model, "x")


@pytest.mark.parametrize("text", ["10:00", "10:00:01", "10:00:00.500", "10:00:00.000005"])
def test_of_several_forms_the_first_that_holds_a_value_is_written(text: str) -> None:
    """A value is written in the first form that can hold it without loss, and as without a form where none can."""
    model = row(dt.time, "hh:mm | hh:mm:ss | hh:mm:ss.sss")
    assert back(model, text) == text


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal(12), 12),
        (Decimal("12.50"), 12.5),
        (Decimal("-0.0"), -0.0),
        (Decimal("1E+2"), 100.0),
        (Decimal(2**70), 2**70),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (Decimal("1E+999"), "1E+999"),
        (Decimal("NaN"), "NaN"),
    ],
)
def test_a_decimal_is_written_as_a_number_that_holds_all_of_it(value: Decimal, plain: object) -> None:
    """With the form "number" a Decimal is a number in `to_dict`, or text where a number would lose digits."""
    assert repr(to_dict(row(Decimal, "number")(value))["it"]) == repr(plain)
    assert to_dict(row(Decimal)(value))["it"] == str(value)
    assert to_dict(row(list[Decimal], "number | YYYYMMDD")([value]))["it"] == [plain]


@pytest.mark.parametrize(
    ("kind", "form"), [(Decimal, "YYYYMMDD"), (float, "number"), (dt.time, "YYYYMMDD | YYYY-MM-DD")]
)
def test_a_form_that_no_value_can_have(kind: Any, form: str) -> None:
    """What can have none of the forms is refused where the decoder is made."""
    with pytest.raises(ConfigurationError, match="no value of its type can have the json_form"):
        decoder_for(row(kind, form))


@pytest.mark.parametrize("text", ["", "x", "2026", "2026-11", "29.11.2026", "10", "10:00.5", "1000.5", "2026-11-29T", "T10:00", "10:00:00.1234567890", "10:00z", "10:00:00+1"])  # fmt: skip
def test_a_text_without_a_form(text: str) -> None:
    """Text that is not of the grammar has no form."""
    assert found_form(text) is None
