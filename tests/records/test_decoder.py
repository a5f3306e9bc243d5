"""JSON values into attrs objects: strictly, and nothing of a value in an error."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import gc
import pickle
import traceback
import weakref
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union
from uuid import UUID

import attrs
import orjson
import pytest
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async import ConfigurationError, DecodeError, Doctor, Endpoint, OpenRecord, Patient, Slot
from arzamed_async._records.decoder import decoder_for

CANARY = "canary-value-5150"


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Lenient(enum.Enum):
    KNOWN = "known"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.OTHER


@frozen
class Phone:
    kind: Literal["home", "work"]
    number: str


@frozen
class Everything:
    text: str
    whole: int
    number: float
    flag: bool
    maybe: str | None
    old_maybe: Optional[int]  # noqa: UP045 - users write it so
    either: Union[str, int]  # noqa: UP007
    moment: dt.datetime
    day: dt.date
    hour: dt.time
    price: Decimal
    ident: UUID
    colour: Colour
    phone: Phone
    last_phone: Phone | None
    phones: list[Phone]
    tags: tuple[str, ...]
    names: Sequence[str]
    unique: frozenset[int]
    scores: dict[str, int]
    extra: Mapping[str, Any]
    anything: Any
    bare: list
    nothing: None


GOOD: dict[str, Any] = {
    "text": "a", "whole": 1, "number": 1.5, "flag": True, "maybe": None, "oldMaybe": 3, "either": "x",
    "moment": "2026-01-02T03:04:05+01:00", "day": "2026-01-02", "hour": "03:04", "price": "10.50",
    "ident": "12345678-1234-5678-1234-567812345678", "colour": "red", "phone": {"kind": "home", "number": "1"},
    "lastPhone": None, "phones": [{"kind": "work", "number": "2"}], "tags": ["a", "b"], "names": ["n"],
    "unique": [1, 2], "scores": {"a": 1}, "extra": {"k": [1]}, "anything": {"z": 0}, "bare": [1, "a"], "nothing": None,
}  # fmt: skip


def decode(model: type[Any], *values: object) -> list[Any]:
    return decoder_for(model).decode(list(values), 0)


def refused(model: type[Any], value: object) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decoder_for(model).decode([value], 7)
    error = caught.value
    assert error.record_index == 7
    assert error.__cause__ is error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(pickle.loads(pickle.dumps(error)))
    assert CANARY not in shown
    return error


def test_every_kind_of_field() -> None:
    """Each supported type is read from its JSON form."""
    (made,) = decode(Everything, GOOD)
    assert made == Everything(
        text="a", whole=1, number=1.5, flag=True, maybe=None, old_maybe=3, either="x",
        moment=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))), day=dt.date(2026, 1, 2),
        hour=dt.time(3, 4), price=Decimal("10.50"), ident=UUID("12345678-1234-5678-1234-567812345678"),
        colour=Colour.RED, phone=Phone("home", "1"), last_phone=None, phones=[Phone("work", "2")], tags=("a", "b"),
        names=["n"], unique=frozenset({1, 2}), scores={"a": 1}, extra={"k": [1]}, anything={"z": 0}, bare=[1, "a"],
        nothing=None,
    )  # fmt: skip
    assert decode(Everything, {**GOOD, "number": 2, "price": 3})[0].number == 2.0
    assert decode(Everything, {**GOOD, "price": 0.1})[0].price == Decimal("0.1")
    assert decode(Everything, {**GOOD, "moment": "2026-01-02T03:04:05Z"})[0].moment.utcoffset() == dt.timedelta(0)
    assert decode(Everything, {**GOOD, "colour": 1, "either": 5})[0].colour is Colour.ONE


@pytest.mark.parametrize(
    ("key", "value", "field", "words"),
    [
        ("text", None, "text", "expected text, found null"),
        ("text", 5, "text", "found a whole number"),
        ("whole", True, "whole", "expected a whole number, found true or false"),
        ("whole", 1.0, "whole", "found a number"),
        ("whole", "1", "whole", "found text"),
        ("number", "1.5", "number", "expected a number"),
        ("number", True, "number", "expected a number"),
        ("number", 10**400, "number", "expected a number"),
        ("flag", 1, "flag", "expected true or false, found a whole number"),
        ("maybe", 1, "maybe", "expected text or null"),
        ("oldMaybe", True, "old_maybe", "expected a whole number or null"),
        ("either", None, "either", "expected text or a whole number, found null"),
        ("moment", "2026-01-02T03:04:05", "moment", "with offset"),
        ("moment", CANARY, "moment", "ISO 8601"),
        ("moment", 5, "moment", "ISO 8601"),
        ("day", "2026-13-01", "day", "ISO 8601"),
        ("hour", CANARY, "hour", "ISO 8601"),
        ("price", CANARY, "price", "a decimal number"),
        ("price", "NaN", "price", "a decimal number"),
        ("price", "1_0", "price", "a decimal number"),
        ("price", "1e99999999999999999999", "price", "a decimal number"),
        ("price", True, "price", "a decimal number"),
        ("ident", CANARY, "ident", "a UUID"),
        ("colour", CANARY, "colour", "a value of Colour"),
        ("colour", True, "colour", "a value of Colour"),
        ("colour", [], "colour", "a value of Colour"),
        ("phone", None, "phone", "expected an object, found null"),
        ("phone", {"kind": "fax", "number": "1"}, "phone.kind", "one of the values"),
        ("phone", {"kind": "home"}, "phone.number", "expected a value, found none"),
        ("lastPhone", {"kind": "home", "number": 5}, "last_phone.number", "expected text"),
        (
            "phones",
            [{"kind": "home", "number": "1"}, {"kind": "home", "number": None}],
            "phones[1].number",
            "found null",
        ),
        ("phones", CANARY, "phones", "expected a list, found text"),
        ("tags", ["a", 1], "tags[1]", "expected text"),
        ("names", "abc", "names", "expected a list"),
        ("unique", {"a": 1}, "unique", "expected a list, found an object"),
        ("scores", {CANARY: "x"}, "scores[...]", "expected a whole number"),
        ("scores", [], "scores", "expected an object"),
        ("nothing", 0, "nothing", "expected null"),
    ],
)
def test_nothing_is_coerced(key: str, value: object, field: str, words: str) -> None:
    """A value of the wrong type names its field and the kinds, and never the value."""
    error = refused(Everything, {**GOOD, key: value})
    assert error.field == field
    assert words in str(error)
    assert str(error).startswith(f"record 7, field {field}: expected ")


@pytest.mark.parametrize("value", [None, 5, "text", [], [{}]])
def test_a_record_that_is_no_object(value: object) -> None:
    """An element that is no object is a DecodeError of the record, for every class."""
    for model in (Doctor, Slot, Everything):
        assert refused(model, value).field is None


def test_what_a_set_cannot_hold() -> None:
    """A list of objects for a field that is a set is a DecodeError."""
    model = attrs.make_class("Row", {"some": field(type=set[Any])})
    assert refused(model, {"some": [{"a": CANARY}]}).field == "some"


def test_missing_and_unknown_fields() -> None:
    """A missing required field is named as the class calls it; unknown ones are ignored."""
    assert refused(Doctor, {"name": "Dr. Uno"}).field == "profile_image"
    assert refused(Doctor, {"name": "Dr. Uno", "profile_image": None}).field == "profile_image"
    assert decode(Doctor, {"name": "Dr. Uno", "profileImage": None, "new": 1}) == [Doctor("Dr. Uno", None)]
    rows = [{"name": 1, "profileImage": 2}]
    assert set(decoder_for(Doctor).unknown_fields(rows)) == set()
    assert set(decoder_for(Doctor).unknown_fields([*rows, {**rows[0], "new": 2, "old": 3}])) == {
        ("", "new"),
        ("", "old"),
    }
    assert set(decoder_for(Doctor).unknown_fields([{"name": 1, "new": 2}], all_good=False)) == {("", "new")}
    assert set(decoder_for(Odd).unknown_fields([{"plainName": 1, "imageURL": 2, "new": 3}])) == {("", "new")}
    assert set(decoder_for(Slot).unknown_fields([{"name": 1}])) == set()


def test_the_first_bad_record_is_named() -> None:
    """Of a window with several bad records the first is named, counted over the whole list."""
    good = {"name": "Dr. Uno", "profileImage": None}
    with pytest.raises(DecodeError) as caught:
        decoder_for(Doctor).decode([good, good, {"name": 1, "profileImage": None}, None], 40)
    assert caught.value.record_index == 42


def test_collecting_errors_goes_on() -> None:
    """With decode_each the good records come, in order, and an error for each bad one."""
    good = {"name": "Dr. Uno", "profileImage": None}
    errors: list[DecodeError] = []
    made = decoder_for(Doctor).decode_each([None, good, 5, 6, good, {"name": "x"}], 10, errors)
    assert made == [Doctor("Dr. Uno", None)] * 2
    assert [error.record_index for error in errors] == [10, 12, 13, 15]
    assert errors[3].field == "profile_image"


def test_enums_that_accept_unknown_values() -> None:
    """An enum with `_missing_` takes values it does not know; one without refuses them."""
    assert decode(attrs.make_class("Row", {"kind": field(type=Lenient)}), {"kind": "new"})[0].kind is Lenient.OTHER


@frozen
class Odd:
    plain_name: str
    image_url: str = field(metadata={"json": "imageURL"})
    _hidden: int = 0
    count: int = field(default=5, kw_only=True)
    items: list[int] = field(factory=list)
    derived: str = field(init=False, default="d")
    copy: str = field(default=attrs.Factory(lambda self: self.plain_name, takes_self=True))


def test_how_names_and_defaults_work() -> None:
    """CamelCase by rule, another key by metadata, private names without the underscore; defaults where a key is absent."""
    assert decode(Odd, {"plainName": "a", "imageURL": "u"}) == [Odd("a", "u")]
    given = {"plainName": "a", "imageURL": "u", "hidden": 3, "count": 1, "items": [1], "copy": "c", "derived": "no"}
    assert decode(Odd, given) == [Odd("a", "u", 3, [1], "c", count=1)]
    assert refused(Odd, {"plainName": "a", "imageURL": "u", "items": None}).field == "items"


@define
class Checked:
    name: str = field(converter=str.strip, validator=attrs.validators.max_len(5))


def test_the_class_has_its_say() -> None:
    """A class's own converters run; what its validators refuse is a DecodeError without their text."""
    assert decode(Checked, {"name": " a "}) == [Checked("a")]
    assert "what the class accepts" in str(refused(Checked, {"name": CANARY}))


def test_post_init_and_own_init_run() -> None:
    """No class's own code is passed by: `__attrs_post_init__` runs."""
    seen = []

    @frozen
    class Posted:
        name: str

        def __attrs_post_init__(self) -> None:
            seen.append(self.name)

    decode(Posted, {"name": "a"})
    assert seen == ["a"]


@frozen
class Base:
    name: str


@frozen
class Child(Base):
    age: int


@define(slots=False)
class Dicted:
    name: str


@frozen
class Tree:
    name: str
    children: list[Tree]


def test_inheritance_dict_classes_and_recursion() -> None:
    """Inherited fields, classes without slots and classes that hold themselves are read."""
    assert decode(Child, {"name": "a", "age": 3}) == [Child("a", 3)]
    assert decode(Dicted, {"name": "a"}) == [Dicted("a")]
    assert decode(Tree, {"name": "a", "children": [{"name": "b", "children": []}]}) == [Tree("a", [Tree("b", [])])]
    assert refused(Tree, {"name": "a", "children": [{"name": 5, "children": []}]}).field == "children[0].name"


@pytest.mark.parametrize("kind", [bytes, complex, dict[int, str], tuple[int, str], "Nowhere", None])
def test_types_that_cannot_be_read(kind: object) -> None:
    """A field whose type has no strict reading is refused before anything is sent, and named."""
    model = attrs.make_class("Row", {"thing": field(type=kind) if kind is not None else field()})
    with pytest.raises(ConfigurationError, match="Row"):
        decoder_for(model)


def test_open_records_are_immutable_and_show_nothing() -> None:
    """Slots and patients are the JSON object as sent, deeply immutable, picklable, and silent in their repr."""
    sent = {"who": CANARY, "list": [1, {"deep": CANARY}], "none": None}
    (patient,) = decode(Patient, sent)
    assert patient == Patient(sent)
    assert isinstance(patient, OpenRecord)
    assert patient.data["list"][1]["deep"] == CANARY
    assert CANARY not in repr(patient) + repr(patient.data)
    assert pickle.loads(pickle.dumps(patient)) == patient
    assert hash(patient) == hash(Patient(sent))
    with pytest.raises(AttributeError):
        patient.data.anything = 1
    with pytest.raises(TypeError):
        patient.data["who"] = 1
    with pytest.raises(TypeError):
        patient.data["list"][0] = 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(["red", "x", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["kind", "number"]), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), json_values, max_size=3))
def test_any_value_is_read_as_it_is_or_refused(changes: dict[str, object]) -> None:
    """Whatever JSON comes, the object holds it unbent or there is a DecodeError that names a changed field."""
    record = orjson.loads(orjson.dumps({**GOOD, **changes}))
    try:
        (made,) = decode(Everything, record)
    except DecodeError as error:
        assert error.field is not None
        names = {"old_maybe": "oldMaybe", "last_phone": "lastPhone"}
        top = error.field.split(".")[0].split("[")[0]
        assert names.get(top, top) in changes
    else:
        for key in ("text", "whole", "flag", "maybe", "anything", "bare"):
            value = getattr(made, key)
            assert type(value) is type(record[key])
            assert value == record[key]


class TextEnum(str, enum.Enum):  # noqa: UP042 - users write it so
    A = "a"


class PlainStrEnum(enum.StrEnum):
    A = "a"


class NumberEnum(enum.IntEnum):
    A = 1


class Raising(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Raising:
        raise KeyError(value)


class Wrong(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return value


class Arrays(enum.Enum):
    A = (1, 2)


class Words(str):
    __slots__ = ()


def row(kind: object, **options: Any) -> type[Any]:
    return attrs.make_class("Row", {"it": field(type=kind, **options)}, frozen=True, slots=True)


@pytest.mark.parametrize("kind", [TextEnum, PlainStrEnum, NumberEnum])
@pytest.mark.parametrize("wrong", ["unknown", 7, True, None])
def test_enums_that_are_text_or_numbers_too(kind: Any, wrong: object) -> None:
    """An enum that is a str or an int as well gives members, and refuses values that are none of its own."""
    assert decode(row(kind), {"it": kind.A.value})[0].it is kind.A
    assert decode(row(list[kind]), {"it": [kind.A.value]})[0].it[0] is kind.A
    assert refused(row(kind), {"it": wrong}).field == "it"


@pytest.mark.parametrize("kind", [Raising, Wrong])
def test_what_an_enum_raises_for_unknown_values_is_not_shown(kind: Any) -> None:
    """Whatever `_missing_` does with a value, the outcome is a DecodeError without it."""
    assert "a value of" in str(refused(row(kind), {"it": CANARY}))


@pytest.mark.parametrize("digits", ["1e9999999999999999999999", "-1E-9999999999999999999999"])
def test_decimals_beyond_all_bounds(digits: str) -> None:
    """An exponent that no Decimal holds is a DecodeError."""
    assert refused(row(Decimal), {"it": digits}).field == "it"


def test_unions_keep_their_own_order() -> None:
    """Members of a union are tried as written, though Python holds unions of other order to be equal."""
    text = "2026-01-02T03:04:05Z"
    assert decode(row(str | dt.datetime), {"it": text})[0].it == text
    assert decode(row(dt.datetime | str), {"it": text})[0].it == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert type(decode(row(list[int | float]), {"it": [1]})[0].it[0]) is int
    assert type(decode(row(list[float | int]), {"it": [1]})[0].it[0]) is float


def test_unions_of_more_than_one_kind_and_null() -> None:
    """A union names all it would have taken; null is one of them only where it is declared."""
    kind = dt.date | Decimal | None
    assert [each.it for each in decode(row(kind), {"it": None}, {"it": "1.5"})] == [None, Decimal("1.5")]
    assert "expected a date (ISO 8601) or a decimal number or null, found a list" in str(refused(row(kind), {"it": []}))
    assert refused(row(dt.date | Decimal), {"it": None}).field == "it"


def test_sets_of_what_no_set_can_hold() -> None:
    """Values that cannot stand in a set are a DecodeError."""
    assert refused(row(frozenset[Any]), {"it": [{"a": 1}]}).field == "it"


UserId = NewType("UserId", str)
E = TypeVar("E")


@frozen
class Page(Generic[E]):
    first: E
    rest: list[E]
    after: str | None = None


def test_names_for_types_and_type_variables() -> None:
    """NewType and Annotated are what they stand for; a generic class is read with the types it is given."""
    assert decode(row(UserId), {"it": "u"})[0].it == "u"
    assert refused(row(list[UserId]), {"it": [1]}).field == "it[0]"
    assert refused(row(Annotated[int, {"note": 1}]), {"it": "u"}).field == "it"
    page = {"first": {"name": "a"}, "rest": [{"name": "b"}]}
    assert decode(row(Page[Base]), {"it": page})[0].it == Page(Base("a"), [Base("b")])
    assert refused(Page[Base], {**page, "rest": [{"name": 1}]}).field == "rest[0].name"


@pytest.mark.parametrize("kind", [Path, list[Path], Words, Arrays, Literal[Colour.RED], Page, E])
def test_more_types_that_cannot_be_read(kind: object) -> None:
    """Types that cattrs would read by calling them are refused as well, and so are open type variables."""
    with pytest.raises(ConfigurationError, match=r"Row\.it"):
        decoder_for(row(kind))


@pytest.mark.parametrize("model", [int, dict, 3, None, [1]])
def test_models_that_are_not_attrs_classes(model: Any) -> None:
    """A decoder is made for attrs classes alone; anything else is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="not an attrs class"):
        decoder_for(model)


def test_annotations_that_fail_in_other_ways() -> None:
    """An annotation that raises anything when it is looked up is a ConfigurationError that names the class."""

    @frozen
    class Broken:
        it: "enum.Nowhere"  # noqa: UP037

    with pytest.raises(ConfigurationError, match=r"Broken.*AttributeError") as caught:
        decoder_for(Broken)
    assert caught.value.__context__ is None


@frozen
class Holder:
    details: OpenRecord
    more: list[OpenRecord]


def test_open_records_inside_a_record() -> None:
    """An OpenRecord as a field takes the whole JSON object; anything else is refused by its field."""
    made = decode(Holder, {"details": {"a": 1}, "more": [{"b": 2}]})[0]
    assert (made.details.data["a"], made.more[0].data["b"]) == (1, 2)
    assert refused(Holder, {"details": {}, "more": [5]}).field == "more[0]"


@frozen
class Choosy(OpenRecord):
    def __attrs_post_init__(self) -> None:
        raise KeyError(self.data["who"])


def test_what_an_open_record_raises_is_not_shown() -> None:
    """What a subclass's own code raises, and nesting beyond the interpreter's depth, are DecodeErrors."""
    assert refused(Choosy, {"who": CANARY}).field is None
    deep: Any = CANARY
    for _ in range(1000):
        deep = {"a": deep}
    assert "expected less nesting" in str(refused(Slot, deep))
    tree: Any = {"name": "x", "children": []}
    for _ in range(1000):
        tree = {"name": "x", "children": [tree]}
    assert "expected less nesting" in str(refused(Tree, tree))


@frozen(cache_hash=True)
class Hashed:
    name: str


@define
class Guarded:
    name: str

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, f"<{value}>")


@frozen
class Mixed:
    late: int = field(kw_only=True, validator=attrs.validators.ge(0))
    early: int


@frozen(init=False)
class OwnInit:
    one: str
    two: str
    three: str = "class"

    def __init__(self, two: str, one: str, three: str = "init") -> None:
        self.__attrs_init__(one, two, three)


def test_no_code_of_a_class_is_passed_by() -> None:
    """Cached hashes, own `__setattr__`, own `__init__` in any order, keyword-only fields: as if the class were called."""
    assert hash(decode(Hashed, {"name": "a"})[0]) == hash(Hashed("a"))
    assert decode(Guarded, {"name": "a"})[0].name == "<a>"
    assert decode(Mixed, {"late": 1, "early": 2}) == [Mixed(2, late=1)]
    assert decode(OwnInit, {"one": "1", "two": "2"}) == [OwnInit(one="1", two="2")]


@frozen
class Policy:
    name: str = field(converter=lambda value: value.index("a"))
    size: int = field(validator=attrs.validators.gt(0))
    other: int = field(default=0, validator=[attrs.validators.lt(9)])

    def __attrs_post_init__(self) -> None:
        if self.size == 5:
            raise ValueError(self.name)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": "x"}, "name"), ({"size": -5150}, "size"), ({"other": 5150}, "other"), ({"size": 5}, None)],
)
def test_the_field_that_the_class_refuses_is_named(change: dict[str, object], field: str | None) -> None:
    """What a converter or validator refuses carries its field; what the class refuses as a whole, none."""
    good = {"name": "a", "size": 1}
    assert decode(Policy, good)[0].other == 0
    error = refused(Policy, {**good, **change})
    assert error.field == field
    assert "expected what the class accepts" in str(error)
    assert "5150" not in str(error)


class Marker:
    """Something whose end can be seen."""


def test_a_failed_window_is_not_kept() -> None:
    """Nothing of a window waits for the garbage collector, neither after an error nor where a union looked twice."""
    gc.disable()
    try:
        for kind, value in ((int, "bad"), (dt.datetime | str, "not a date"), (dt.date | Decimal, "bad")):
            model = attrs.make_class("Row", {"it": field(type=kind), "any": field(type=Any)})
            marker = Marker()
            seen = weakref.ref(marker)
            window = [{"it": value, "any": marker}]
            del marker
            try:
                decoder_for(model).decode(window, 0)
            except DecodeError as error:
                assert error.record_index == 0
            del window
            assert seen() is None, kind
    finally:
        gc.enable()


def test_collecting_errors_stays_linear() -> None:
    """A window of bad records alone is gone through once: no slice of it is made."""

    class Window(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            raise AssertionError(index)

    errors: list[DecodeError] = []
    assert decoder_for(Doctor).decode_each(Window([None] * 100), 0, errors) == []
    assert [error.record_index for error in errors] == list(range(100))


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


def test_one_and_true_are_two_values() -> None:
    """Each value finds its own member; a Literal of 1 does not take true, nor one of true a 1."""
    assert [each.it for each in decode(row(Size), {"it": "l"}, {"it": "s"})] == [Size.LARGE, Size.SMALL]
    assert decode(row(Literal[1, "x"]), {"it": 1})[0].it == 1
    assert refused(row(Literal[1, "x"]), {"it": True}).field == "it"
    assert refused(row(Literal[True, "x"]), {"it": 1}).field == "it"


def test_decimals_under_a_lenient_context() -> None:
    """Where the caller's decimal context turns what it cannot hold into NaN, it is a DecodeError all the same."""
    with decimal.localcontext() as context:
        context.traps[decimal.InvalidOperation] = False
        assert refused(row(Decimal), {"it": "1e9999999999999999999999"}).field == "it"


def _looks_at_derived(instance: Any, _attribute: object, _value: object) -> None:
    assert instance.derived


@frozen
class Derived:
    name: str = field(validator=_looks_at_derived)
    derived: str = field(init=False, default="d")
    age: int = field(default=1, validator=attrs.validators.gt(0))


def test_no_field_is_named_on_a_guess() -> None:
    """Where it is unknown which field a class has refused, none is named."""
    assert decode(Derived, {"name": "a"}) == [Derived("a")]
    assert refused(Derived, {"name": "a", "age": 0}).field is None


@frozen
class And:
    left: And | Or | None
    a: int


@frozen
class Or:
    left: And | Or | None
    a: str


@frozen
class Top:
    f: And | Or


def test_a_union_of_classes_that_hold_it_is_tried_once_a_value() -> None:
    """A deep value of such classes with a fault at its bottom is refused at once; a good one is still read."""
    bad: object = None
    good: object = None
    for depth in range(200):
        bad = {"left": bad, "a": None}
        good = {"left": good, "a": depth if depth % 2 else "x"}
    decoder = decoder_for(Top)
    with pytest.raises(DecodeError, match="field f: expected"):
        decoder.decode([{"f": bad}], 0)
    assert isinstance(decoder.decode([{"f": good}], 0)[0].f, And)


class Level(enum.IntEnum):
    UNKNOWN = 0
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Level:
        return cls.UNKNOWN


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class IntRights(enum.IntFlag):
    READ = 1
    WRITE = 2


@frozen
class Leveled:
    level: Level


@frozen
class Righted:
    rights: Rights
    more: IntRights


def test_an_enum_that_accepts_unknown_values_gets_only_those() -> None:
    """`true` and `1.0` are not the member of value 1, although Python's equality holds."""
    levels = decoder_for(Leveled).decode([{"level": value} for value in (1, True, 1.0, 7)], 0)
    assert [each.level for each in levels] == [Level.ONE, Level.UNKNOWN, Level.UNKNOWN, Level.UNKNOWN]


@pytest.mark.parametrize("value", [True, 1.0, 4, 4096, -1, "1", None])
def test_flags_are_whole_numbers_of_known_bits(value: object) -> None:
    """A Flag takes any of its bits together, and nothing else."""
    assert decoder_for(Righted).decode([{"rights": 3, "more": 0}], 0) == [
        Righted(Rights.READ | Rights.WRITE, IntRights(0))
    ]
    for record in ({"rights": value, "more": 1}, {"rights": 1, "more": value}):
        with pytest.raises(DecodeError, match="expected flags of"):
            decoder_for(Righted).decode([record], 0)


@frozen
class Exact:
    amount: decimal.Decimal | None = None
    key: UUID | None = None
    at: dt.datetime | None = None


@pytest.mark.parametrize(
    "text",
    [
        '{"amount": 12345678901234567.89}', '{"amount": 18446744073709551617}', '{"amount": 0.12345678901234567}',
        '{"key": "+2345678123456781234567812345678"}', '{"key": "1-2-3-45678123456781234567812345678"}',
        '{"key": "{12345678-1234-5678-1234-567812345678}"}', '{"at": "2024-01-01x10:00:00Z"}',
    ],
)  # fmt: skip
def test_what_would_be_changed_is_refused(text: str) -> None:
    """Numbers longer than a float keeps, and texts that only Python's constructors take, are errors."""
    with pytest.raises(DecodeError):
        decoder_for(Exact).decode([orjson.loads(text)], 0)


def test_what_is_exact_is_kept() -> None:
    """Decimals of fifteen digits come as they were written, whole ones and texts of any length; a UUID in both its forms."""
    texts = [
        '{"amount": 123456789012.345}', '{"amount": 9223372036854775807}', '{"amount": "0.12345678901234567890"}',
        '{"key": "12345678-1234-5678-1234-567812345678"}', '{"key": "12345678123456781234567812345678"}',
        '{"at": "2024-01-01t10:00:00.123456Z"}', '{"at": "20240101T100000Z"}',
    ]  # fmt: skip
    records = decoder_for(Exact).decode([orjson.loads(text) for text in texts], 0)
    assert [str(each.amount) for each in records[:3]] == [
        "123456789012.345", "9223372036854775807", "0.12345678901234567890",
    ]  # fmt: skip
    assert records[3].key == records[4].key is not None
    assert all(each.at is not None for each in records[5:])


V = TypeVar("V")


@frozen
class Housed:
    class Kind(enum.Enum):  # noqa: D106
        A = "a"

    kind: Kind


@frozen
class Boxed(Generic[V]):
    value: V


@frozen
class IntBoxed(Boxed[int]):
    n: int


@frozen
class Twig(Generic[V]):
    v: V
    twigs: list[Twig[V]]


def test_classes_in_classes_and_classes_of_generic_ones() -> None:
    """A class nested in the model is found; a base's type variable is what the subclass declares; trees may be generic."""
    assert decoder_for(Housed).decode([{"kind": "a"}], 0)[0].kind is Housed.Kind.A
    assert decoder_for(IntBoxed).decode([{"value": 1, "n": 2}], 0) == [IntBoxed(1, 2)]
    with pytest.raises(DecodeError, match="field value"):
        decoder_for(IntBoxed).decode([{"value": "1", "n": 2}], 0)
    assert decoder_for(Endpoint("x/y", Boxed[int]).model).decode([{"value": 3}], 0) == [Boxed(3)]
    tree = decoder_for(Twig[int]).decode([{"v": 1, "twigs": [{"v": 2, "twigs": []}]}], 0)
    assert tree == [Twig(1, [Twig(2, [])])]


def test_a_default_that_cannot_be_made_is_an_error_of_the_record() -> None:
    """A factory that raises is reported as a DecodeError of its field, with nothing chained."""

    @frozen
    class Failing:
        x: int = field(factory=lambda: 1 // 0)

    with pytest.raises(DecodeError, match="field x: expected what the class accepts") as caught:
        decoder_for(Failing).decode([{}], 0)
    assert caught.value.__context__ is None


def test_collected_errors_have_an_end() -> None:
    """So many errors are collected; the next is raised."""
    errors: list[DecodeError] = []
    with pytest.raises(DecodeError, match="record 10000"):
        decoder_for(Leveled).decode_each([0] * 10_001, 0, errors)
    assert len(errors) == 10_000


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.one_of(st.text(max_size=3), st.none(), st.integers())},
            optional={"profileImage": st.one_of(st.text(max_size=3), st.none(), st.booleans()), "more": st.none()},
        )
        | st.none(),
        max_size=4,
    )
)
def test_the_short_way_of_a_good_list_decides_nothing(values: list[Any]) -> None:
    """Decoding in one call gives the records of the ordinary way, or its error with index and field."""
    decoder = decoder_for(Doctor)
    made, error = decoder.decode_good(values, 5)
    if error is None:
        assert decoder.decode(values, 5) == made
    else:
        with pytest.raises(DecodeError) as caught:
            decoder.decode(values, 5)
        assert (caught.value.record_index, caught.value.field) == (error.record_index, error.field)
