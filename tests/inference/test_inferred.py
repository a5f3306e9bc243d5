"""`infer_model`: what is found in records, in any order and however they were divided."""

from __future__ import annotations

import pickle
import random
from typing import Any

import orjson
import pytest
from generated_modules import written_back
from hypothesis import given, settings
from hypothesis import strategies as st

from arzamed_async._inference.inferred import InferredModel, infer_model
from arzamed_async._inference.schema import Choice, Field, Kinds, ListOf, MapOf, ObjectOf, Scalar
from arzamed_async.errors import ConfigurationError

pytestmark = pytest.mark.asyncio


async def fields_of(records: list[dict[str, Any]], **options: Any) -> dict[str, Field]:
    """Return the fields of records, by key."""
    model = await infer_model(records, name="slots", **options)
    return {each.key: each for each in model.fields}


async def kinds_of(*values: Any, **options: Any) -> Kinds:
    """Return what a field with these values is."""
    return (await fields_of([{"field": each} for each in values], **options))["field"].kinds


def scalars(*names: str, null: bool = False) -> Kinds:
    """Return a union of scalars."""
    return Kinds(tuple(map(Scalar, names)), null)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a", ""], ["str"]),
        ([True, False], ["bool"]),
        ([1, 2], ["int"]),
        ([1, 2.5], ["float"]),
        ([True, 1], ["bool", "int"]),
        ([1, "a"], ["int", "str"]),
        ([2**53 + 1], ["int"]),
        ([2**70], ["int"]),
        ([2**53 + 1, 0.5], ["int", "float"]),
        (["2026-11-29"], ["date"]),
        (["20261129"], ["date"]),
        (["99999999"], ["str"]),
        (["2026-02-30"], ["str"]),
        (["2026-11-29", "soon"], ["str"]),
        (["2026-11-29", ""], ["str"]),
        (["10:30", "10:30:01"], ["time"]),
        (["25:30"], ["str"]),
        (["24:00"], ["str"]),
        (["1030"], ["str"]),
        (["2026-11-29T10:30:00Z", "2026-11-29T10:30:00+01:00"], ["datetime"]),
        (["2026-11-29T10:30:00+0100"], ["datetime"]),
        (["2026-11-29T10:30:00+01"], ["datetime"]),
        (["2026-11-29T24:00:00Z"], ["str"]),
        (["2026-11-29T10:30:60Z"], ["str"]),
        (["2026-11-29T10:30:00-00:00"], ["str"]),
        (["2026-11-29 10:30"], ["NaiveDatetime"]),
        (["20261129T103000.5Z"], ["datetime"]),
        (["2026-11-29T10:30:00.1234560Z"], ["datetime"]),
        (["2026-11-29T10:30:00.1234567Z"], ["str"]),
        (["2026-11-29T10:30:00", "2026-11-29T10:30:00Z"], ["NaiveDatetime", "datetime"]),
        (["2026-11-29", "2026-11-29T10:30:00Z"], ["datetime", "date"]),
        (["2026-11-29", "10:30"], ["str"]),
        (["3f2504e0-4f89-11d3-9a0c-0305e82c3301"], ["UUID"]),
        (["3F2504E0-4F89-11D3-9A0C-0305E82C3301"], ["str"]),
        (["3f2504e04f8911d39a0c0305e82c3301"], ["str"]),
        (["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "2026-11-29"], ["str"]),
    ],
)
async def test_scalars(values: list[Any], names: list[str]) -> None:
    """Each text is what its digits, letters and marks are; one that is plain makes the field text, in any order."""
    assert await kinds_of(*values) == scalars(*names)
    assert await kinds_of(*reversed(values)) == scalars(*names)
    window = [values[0]] * 200  # more than one window
    assert await kinds_of(*window, *values) == scalars(*names)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["2026-11-29", "2026-11-30T10:00:00+01:00"], None),
        (["2026-11-29T10:00:00.123456", "2026-11-29T10:00:00"], None),
        (["2026-11-29T10:00:00.120000+01:00"], None),
        (["2026-11-29T10:00:00.120000+01:00", "2026-11-29T10:00:00.000000+01:00"], "YYYY-MM-DDThh:mm:ss.ssssss+hh:mm"),
        (["2026-11-29T10:00:00Z"], "YYYY-MM-DDThh:mm:ssZ"),
        (["2026-11-29T10:00:00Z", "2026-11-29T10:00:00+01:00"], "YYYY-MM-DDThh:mm:ssZ"),
        (["10:30", "10:30:01"], "hh:mm"),
        (["20261129"], "YYYYMMDD"),
        (["2026-11-29 10:00"], "YYYY-MM-DD hh:mm"),
        (["2026-11-29T10:00:00.5Z"], "YYYY-MM-DDThh:mm:ss.sZ"),
        (["2026-11-29T10:00:00Z", "2026-11-29T10:00:00.5Z"], "YYYY-MM-DDThh:mm:ssZ | YYYY-MM-DDThh:mm:ss.sZ"),
        (["10:30", "10:30:01", "10:30:01.5", "10:30:00.25"], "hh:mm | hh:mm:ss | hh:mm:ss.s | hh:mm:ss.ss"),
        (["2026-11-29 10:00:00+01", "2026-11-29 10:00:00+05:30"], "YYYY-MM-DD hh:mm:ss+hh | YYYY-MM-DD hh:mm:ss+hh:mm"),
        (["20261129", "20261129T1000Z", "20261129T1000+0100"], "YYYYMMDD | YYYYMMDDThhmmZ | YYYYMMDDThhmm+hhmm"),
    ],
)
async def test_forms(values: list[str], form: str | None) -> None:
    """The form is that which `to_dict` has to write for the same texts; None where it is its own."""
    records = [{"field": each} for each in values]
    field = (await fields_of(records))["field"]
    assert field.form == form
    assert field.notes == ()
    model = await infer_model(records, name="slots", path="equipe/slots")
    assert written_back(model.source, records) == records


@pytest.mark.parametrize(
    "values",
    [
        ["2026-11-29T10:00:00Z", "2026-11-29T10:00:00+00:00"],
        ["10:30", "10:30:00"],
        ["2026-11-29T10:00:00Z", "2026-11-29T10:00:00.0Z"],
        ["10:30:00.5", "10:30:00.50"],
        ["2026-11-29T10:00:00+01", "2026-11-29T10:00:00+01:00"],
        ["2026-11-29T10:00:00+0100", "2026-11-29T10:00:00+01:00"],
        ["2026-11-29", "20261129"],
        [f"10:30:00.{'1' * n}" for n in (1, 2, 3, 4, 5)],  # more than are chosen among
    ],
)
async def test_several_forms(values: list[str]) -> None:
    """Where no form gives all texts back, none is set, and a note reports it."""
    field = (await fields_of([{"at": each} for each in values]))["at"]
    assert field.form is None
    assert "several forms" in field.notes[0]


async def test_epoch_stays_int() -> None:
    """Whole numbers that may be times stay whole numbers, with a note."""
    fields = await fields_of([{"ms": 1_795_946_400_000, "s": 1_795_946_400, "n": 17}])
    assert {key: each.kinds for key, each in fields.items()} == dict.fromkeys(("ms", "s", "n"), scalars("int"))
    assert [len(fields[key].notes) for key in ("ms", "s", "n")] == [1, 1, 0]


async def test_null_and_missing() -> None:
    """Null and missing are counted apart."""
    fields = await fields_of([{"a": None, "b": 1}, {"a": 1}, {"a": 2, "b": None}, {}])
    assert fields["a"] == Field("a", scalars("int", null=True), seen=3, of=4, nulls=1)
    assert fields["b"] == Field("b", scalars("int", null=True), seen=2, of=4, nulls=1)


async def test_nested() -> None:
    """Objects, arrays, arrays of arrays and empty arrays are described where they are."""
    records = [
        {"doc": {"name": "Dr. Inventata"}, "grid": [[1, 2], []], "none": [], "mixed": [{"a": 1}, {"b": "x"}, 3, None]},
        {"doc": {"name": None}, "grid": [], "none": [], "mixed": []},
    ]
    fields = await fields_of(records)
    name = Field("name", scalars("str", null=True), seen=2, of=2, nulls=1)
    assert fields["doc"].kinds == Kinds((ObjectOf((name,)),))
    assert fields["grid"].kinds == Kinds((ListOf(Kinds((ListOf(scalars("int")),))),))
    assert fields["none"].kinds == Kinds((ListOf(Kinds(())),))
    inner = ObjectOf((Field("a", scalars("int"), seen=1, of=2), Field("b", scalars("str"), seen=1, of=2)))
    assert fields["mixed"].kinds == Kinds((ListOf(Kinds((Scalar("int"), inner), null=True)),))


@pytest.mark.parametrize(
    "keys",
    [
        ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"],
        ["98765"],
        ["2026-11-29"],
        ["mario@example.com"],
        ["INVENT80A01H501U"],
        ["x" * 65],
        ["a\nb"],
        ["room12", "room34"],
        [f"slug{chr(97 + n)}" for n in range(20)],
        [f"key{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(300)],
    ],
)
async def test_maps(keys: list[str]) -> None:
    """Objects keyed by identifiers are maps, and nothing shows a key."""
    records: list[dict[str, Any]] = [{"by": {key: {"n": 1}}} for key in keys]
    model = await infer_model(records, name="slots")
    item = Kinds((ObjectOf((Field("n", scalars("int"), seen=len(keys), of=len(keys)),)),))
    assert model.fields[0].kinds == Kinds((MapOf(item),))
    shown = repr(model) + repr(model.fields) + repr(model.schema) + model.source
    shown += str(pickle.dumps(model)) * (not keys[0].startswith("slug"))  # which other models may turn out to be fields
    assert not any(key in shown for key in keys)


PERSON = {"name": "Dr. Inventata", "free": 3}
DOCTORS = ("rossi", "bianchi", "verdi", "neri")


@pytest.mark.parametrize(
    "objects",
    [
        [{DOCTORS[n % 4]: PERSON} for n in range(8)],
        [{DOCTORS[n % 4]: [PERSON, PERSON]} for n in range(8)],
        [{DOCTORS[n % 4]: PERSON, DOCTORS[(n + 1) % 4]: {"name": "x"}} for n in range(8)],
        [{DOCTORS[n % 4]: PERSON if n < 8 else None} for n in range(12)] + [{"gialli": None}, {}],
        [{f"d{n % 3}": n} for n in range(6)],
        [{f"{n % 3}a": "text"} for n in range(6)],
        [{f"doctor-{'abcdefghijkl'[n % 12]}": PERSON, f"doctor-{'abcdefghijkl'[(n + 5) % 12]}": PERSON} for n in range(24)],
        [{chr(97 + n // 26) + chr(97 + n % 26): {f"field{letter}": n for letter in "abcdefghijklmnopqrst"}} for n in range(250)],
    ],
)  # fmt: skip
async def test_maps_of_keys_that_look_like_names(objects: list[dict[str, Any]]) -> None:
    """Keys of which no object has most are identifiers, if they hold objects of one shape or have digits."""
    kind = (await kinds_of(*objects)).kinds[0]
    assert isinstance(kind, MapOf)
    assert await kinds_of(*reversed(objects)) == await kinds_of(*objects)


@pytest.mark.parametrize(
    "objects",
    [
        [{"home": PERSON}, {"work": PERSON}, {"billing": PERSON}] * 3,
        [{"self": {"href": "/1", "type": "a"}, name: {"href": "/2", "type": "a"}} for name in ("next", "prev", "last", "first")],
        [{name: "+39 000"} for name in ("phone", "fax", "mobile", "pager", "home", "work")],
        [{"line1": "Via Inventata", **{f"line{n}": "x" for n in range(2, 2 + n)}} for n in range(3)] * 3,
        [{name: {"text": "x"}} for name in ("subject", "author", "encounter", "custodian")] * 2,
        [{"text": {"body": "x", "lang": "it"}}, {"image": {"url": "x", "size": 1}}, {"video": {"url": "x", "codec": "y", "fps": 2}}, {"call": {"number": "1", "at": "x"}}],
        [dict.fromkeys(DOCTORS, PERSON)] * 4,
        [{"rossi": PERSON, "bianchi": PERSON}, {"verdi": PERSON, "neri": PERSON}],
        [{"mon": 1, "tue": 2}, {"wed": 3}, {"thu": 4}, {"fri": 5}],
    ],
)  # fmt: skip
async def test_objects_with_optional_fields(objects: list[dict[str, Any]]) -> None:
    """Few keys that are often there, hold text, or objects of several shapes, are names of fields."""
    kind = (await kinds_of(*objects)).kinds[0]
    assert isinstance(kind, ObjectOf)
    assert {each.key for each in kind.fields} == {key for each in objects for key in each}


@pytest.mark.parametrize(
    "key", ["class", "größe", "first name", "@type", "xml:lang", "$ref", "_id", "iso3166", "line1"]
)
async def test_names(key: str) -> None:
    """Keys that are unusual but names are those of fields."""
    kind = (await kinds_of({key: 1, "other": "a"})).kinds[0]
    assert isinstance(kind, ObjectOf)
    assert {each.key for each in kind.fields} == {key, "other"}


async def test_unnamed_keys_of_records() -> None:
    """A key of a record itself that is no name is left out, and a note reports it."""
    model = await infer_model([{"a": 1, "": 2, "mario@example.com": 3}], name="slots")
    assert [each.key for each in model.fields] == ["a"]
    assert len(model.schema.notes) == 1
    assert b"mario" not in pickle.dumps(model)


@pytest.mark.parametrize(
    ("name", "path"),
    [("patients", None), ("people", "equipe/patients"), ("visits", "equipe/patients/{patient}/visits")],
)
async def test_records_of_patients_are_personal(name: str, path: str | None) -> None:
    """What name or path call patients is personal without being marked, and has no enumerations."""
    model = await infer_model([{"a": 1}], name=name, path=path)
    assert model.schema.personal
    with pytest.raises(ConfigurationError, match="leave enums out"):
        await infer_model([], name=name, path=path, enums=True)
    assert not (await infer_model([{"a": 1}], name="slots", path="equipe/{patients}/slots")).schema.personal


async def test_enums() -> None:
    """Few short texts, seen often, are choices where these are requested; names are not."""
    texts = ["free", "busy", "checked-in"] * 10
    assert await kinds_of(*texts) == scalars("str")
    assert await kinds_of(*texts, enums=True) == Kinds((Choice(("busy", "checked-in", "free")),))
    assert await kinds_of(*texts, "rare", enums=True) == scalars("str")
    assert await kinds_of(*["Dr. Inventata", "Dr. Altra"] * 20, enums=True) == scalars("str")
    assert await kinds_of(*["2026-11-29", "2026-11-30"] * 20, enums=True) == scalars("date")
    assert await kinds_of(*[f"v{chr(97 + n)}" for n in range(13)] * 20, enums=True) == scalars("str")


async def test_decimals() -> None:
    """Numbers with a fraction are Decimals on request."""
    assert await kinds_of(1, 2.5, decimals=True) == scalars("Decimal")
    assert await kinds_of(1, 2, decimals=True) == scalars("int")
    assert await kinds_of("2.5", 2.5, decimals=True) == scalars("str", "Decimal")


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, -0.0, 0.1, 1e-7, 1e22, 12.5, 2**53 + 1, -(2**63)],
        ["2.5", 2.5, "1e3", "free"],
        ["20261129", 2.5, 3],
        [[1.5, [2]], {"a": 0.5, "b": {"c": 1}}],
    ],
)
async def test_decimals_are_written_back_as_numbers(values: list[Any]) -> None:
    """A number that was read as a Decimal is a number again in `to_dict`, and a text stays a text."""
    records = [{"field": each} for each in values]
    model = await infer_model(records, name="slots", path="equipe/slots", decimals=True)
    assert [repr(each) for each in written_back(model.source, records)] == [
        repr(each) for each in orjson.loads(orjson.dumps(records))
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.5, -float("inf")]])
async def test_a_number_that_json_does_not_have_is_refused(value: object) -> None:
    """NaN and infinity, which `json.loads` accepts, are refused: no API sends them, and no class would read them."""
    with pytest.raises(ConfigurationError, match="a number that JSON does not have"):
        await kinds_of(1.5, value)
    assert await kinds_of(1e308, 1.7e308) == scalars("float")


async def test_depth_is_bounded() -> None:
    """What is nested deeper than 32 levels is "Any"."""
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    kinds = await kinds_of(deep)
    depth = 0
    while isinstance(kinds.kinds[0], ListOf):
        kinds, depth = kinds.kinds[0].item, depth + 1
    assert kinds == scalars("Any")
    assert depth == 32


async def test_merge_refuses_other_endpoints() -> None:
    """Models of different endpoints or options are not merged."""
    model = await infer_model([{"a": 1}], name="slots")
    for other in (
        await infer_model([{"a": 1}], name="patients"),
        await infer_model([{"a": 1}], name="slots", decimals=True),
    ):
        with pytest.raises(ConfigurationError):
            model.merge(other)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["2026-11-29", "2026-11-29T10:00:00Z", "10:30", "free", "busy", ""])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "room12", "room34", "17", "c"]), inner, max_size=4)
    ),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", "17"]), JSON, max_size=4), max_size=12)


@pytest.mark.parametrize("dense", [0, 1, 24])
async def test_a_map_is_decided_when_all_records_are_known(dense: int) -> None:
    """Keys that only some records seem to be identifiers in are decided by all, in whatever order models are pickled and merged."""
    sparse = [{"by": {key: {"n": 1}}} for key in "abcdefgh"]
    full = [{"by": {key: {"n": 1} for key in "abcdefgh"}}] * dense
    whole = await infer_model(sparse + full, name="slots", path="equipe/slots")
    parts = [await infer_model(each, name="slots", path="equipe/slots") for each in (sparse, full)]
    for one, other in (parts, parts[::-1]):
        merged = pickle.loads(pickle.dumps(one)).merge(pickle.loads(pickle.dumps(other)))
        assert merged == whole
        assert merged.source == whole.source
    assert isinstance(whole.fields[0].kinds.kinds[0], ObjectOf if dense > 8 else MapOf)


#: Objects that are maps or not by how often each key is there: both while divided, and together.
UNDECIDED = st.lists(
    st.fixed_dictionaries(
        {
            "by": st.dictionaries(
                st.sampled_from([*DOCTORS, *"abcdef", "d1", "d2", "d3"]),
                st.just(PERSON) | st.just({"name": "x"}) | st.integers(0, 1),
                max_size=3,
            )
            | st.fixed_dictionaries({key: st.just(PERSON) for key in DOCTORS})
        }
    ),
    max_size=24,
)


@given(records=RECORDS | UNDECIDED, seed=st.integers(0, 1000), enums=st.booleans())
@settings(deadline=None)
async def test_order_and_division_do_not_matter(records: list[dict[str, Any]], seed: int, enums: bool) -> None:
    """The same records in any order, divided in any way, pickled or not, make an equal model."""
    chance = random.Random(seed)
    whole = await infer_model(records, name="slots", enums=enums)
    shuffled = chance.sample(records, len(records))
    parts: list[InferredModel] = []
    while shuffled or not parts:
        size = chance.choice((1, 2, 3, 8))
        parts.append(await infer_model(shuffled[:size], name="slots", enums=enums))
        shuffled = shuffled[size:]
    while len(parts) > 1:
        one = parts.pop(chance.randrange(len(parts)))
        other = parts.pop(chance.randrange(len(parts)))
        parts.append(pickle.loads(pickle.dumps(one)).merge(other))
    assert parts[0] == whole
    assert parts[0].schema == whole.schema
    assert hash(parts[0]) == hash(whole)
