"""For any JSON list of objects, the module that is made of it reads it and turns it back to the same JSON."""

from __future__ import annotations

import json
from typing import Any

from generated_modules import inferred, read, written_back
from hypothesis import assume, given
from hypothesis import strategies as st

from arzamed_async._inference.source import write

ODD = (
    "id Id ID class from date time str self field dt start first_name firstName _id größe 日本 @type items Item period"
    " periods None MISSING any mro"
)
KEYS = st.one_of(st.sampled_from(ODD.split()), st.from_regex(r"[A-Za-zäÖß_@$-][A-Za-z0-9ßü_ .-]{0,12}", fullmatch=True))
TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["2026-11-29", "2026-11-29T10:00:00Z", "2026-11-29T10:00:00", "10:30", "10:30:00", "20261129"]),
    st.datetimes().map(lambda each: each.isoformat()),
    st.dates().map(str),
    st.uuids().map(str),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=5), min_size=1, max_size=5)


def canonical(value: Any) -> str:
    """Return a JSON value as text, in which true is not 1, and 1.0 is 1, as JSON's numbers are."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


@given(RECORDS, st.booleans(), st.booleans())
def test_the_module_of_any_list_reads_it(records: list[Any], decimals: bool, enums: bool) -> None:
    """Any list of objects is read by the module that was made of it, without an error."""
    source = inferred(records, decimals=decimals, enums=enums).source
    assert len(read(source, records)) == len(records)


@given(RECORDS, st.booleans())
def test_the_module_of_any_list_writes_it_back(records: list[Any], decimals: bool) -> None:
    """What `to_dict` makes of the records is the JSON that they came as; keys that are no names are left out.

    Of a field whose dates have several forms that their values do not show, `to_dict` writes one, and the module says so.
    """
    model = inferred(records, decimals=decimals)
    assume("in several forms" not in model.source)
    named = {each.key for each in model.fields}
    expected = [{key: value for key, value in each.items() if key in named} for each in records]
    assert [canonical(each) for each in written_back(model.source, records)] == [canonical(each) for each in expected]


@given(RECORDS)
def test_widening_by_the_same_records_changes_nothing(records: list[Any]) -> None:
    """A module is its own result: the same records leave its text as it is."""
    model = inferred(records)
    assert write(model.schema, existing=model.source) == model.source


@given(RECORDS, RECORDS)
def test_a_widened_module_reads_what_it_read_and_what_is_new(before: list[Any], after: list[Any]) -> None:
    """A module made of some records and widened by others reads both, and is not changed by either again."""
    source = write(inferred(after).schema, existing=inferred(before).source)
    assert len(read(source, before)) == len(before)
    assert len(read(source, after)) == len(after)
