"""A class that cannot be read is refused where its Endpoint is made, and one that is not complete yet is not."""

from __future__ import annotations

import copy
import enum
import pickle
import subprocess
import sys
import textwrap
import types
from typing import Any, Generic, Literal, TypeVar

import pytest
from attrs import field, frozen, make_class

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Endpoint,
    OpenRecord,
    Patient,
    Slot,
)
from arzamed_async._records import decoder
from arzamed_async._records.codegen import LONGEST_TYPE

T = TypeVar("T")
CREDENTIALS = ClinicCredentials("id", "invented", "https://auth.example/token")


class Shape(enum.Enum):
    ROUND = (1, 2)


class Own:
    """No attrs class."""


@frozen
class Box(Generic[T]):
    item: T


@frozen
class Inner:
    number: complex


@frozen
class Node:
    child: Node | None
    picture: bytes


@frozen
class One:
    value: int


@frozen
class Two:
    value: int


@frozen
class Widened(OpenRecord):
    name: str


@frozen
class WidenedWithDefault(OpenRecord):
    name: str = ""


def of(kind: Any) -> Any:
    """Return a class with a field of this type."""
    return make_class("Room", {"size": field(type=kind)}, frozen=True)


UNREADABLE: dict[str, tuple[Any, str]] = {
    "bytes": (of(bytes), r"Room\.size: the type bytes cannot"),
    "complex": (of(complex), r"Room\.size: the type complex cannot"),
    "a class": (of(Own), r"Room\.size: the type Own cannot"),
    "in a list": (of(list[bytes]), r"Room\.size: list\[bytes\]: the type bytes cannot"),
    "in a dict": (of(dict[str, bytes | None]), r"Room\.size: dict\[str, bytes \| None\]: the type bytes cannot"),
    "in a union": (of(int | bytes), r"Room\.size: int \| bytes: the type bytes cannot"),
    "a key": (of(dict[int, str]), r"Room\.size: dict\[int, str\]: the keys of a JSON object are text"),
    "a tuple": (of(tuple[int, str]), r"Room\.size: tuple\[int, str\]: a tuple of fixed length"),
    "a literal": (of(Literal[b"x"]), r"Room\.size: .*Literal\[b'x'\]: a Literal from JSON"),
    "an enum": (of(Shape), r"Room\.size: Shape has no member whose value is text, a number, true, false or null"),
    "a nested class": (of(Inner), r"Room\.size: Inner\.number: the type complex"),
    "nested in a list": (of(list[Inner]), r"Room\.size: list\[.*Inner\]: Inner\.number: the type complex"),
    "classes that hold themselves": (Node, r"Node\.picture: the type bytes"),
    "no type": (make_class("Room", ["size"]), r"Room\.size has no type"),
    "a type variable": (Box, r"Box\.item: the type T cannot"),
    "a generic of it": (Box[bytes], r"Box\.item: the type bytes"),
    "a generic in a field": (of(Box[complex]), r"Room\.size: .*Box\[complex\]: Box\.item: the type complex"),
    "two alike": (of(One | Two), r"Room\.size: .*One and Two cannot be distinguished"),
    "an annotation that fails": (of("1 / 0"), r"Room: its annotations cannot be resolved \(ZeroDivisionError\)"),
    "a wrong generic": (of("int[str]"), r"Room: its annotations cannot be resolved \(TypeError\)"),
    "an open record with a field": (Widened, r"Widened\.name: an OpenRecord is read into its field data"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_class_that_cannot_be_read_is_refused_where_the_endpoint_is_made(name: str) -> None:
    """The error names class, field and type, at each attempt, and no foreign exception hangs on it."""
    model, text = UNREADABLE[name]
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=text) as caught:
            Endpoint("equipe/rooms", model)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_long_type_is_cut() -> None:
    """An error is no page of one type."""
    with pytest.raises(ConfigurationError) as caught:
        Endpoint("equipe/rooms", of(tuple[Literal[tuple(f"{n:09}" for n in range(99))], bytes]))  # type: ignore[misc]
    assert len(str(caught.value)) < LONGEST_TYPE + 200


@pytest.mark.parametrize(
    "model", [Doctor, Slot, Patient, OpenRecord, Box[int], Box[list[One]], One, WidenedWithDefault]
)
def test_what_can_be_read_is_accepted(model: Any) -> None:
    """An Endpoint of a class that can be read is made, compared, copied and pickled as before."""
    endpoint = Endpoint("equipe/rooms", model)
    assert endpoint == copy.copy(endpoint) == pickle.loads(pickle.dumps(endpoint))


def module_of(source: str) -> types.ModuleType:
    """Return a module made of this source, which may see itself half-made."""
    module = types.ModuleType(f"invented_{abs(hash(source))}")
    sys.modules[module.__name__] = module
    try:
        exec(textwrap.dedent(source), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


HEAD = """
from __future__ import annotations
import sys
from typing import TYPE_CHECKING
from attrs import frozen
from arzamed_async import Endpoint
"""
LATER = {
    "a name": 'owner: "Person"',
    "a name in quotes, nested": 'owner: list["Person | None"]',
    "a name of this module": "owner: sys.modules[__name__].Person",
    "a name two classes down": "owner: Middle",
}


@pytest.mark.parametrize("annotation", LATER.values(), ids=LATER)
@pytest.mark.parametrize(("kind", "good"), [("str", True), ("bytes", False)])
def test_a_name_that_is_defined_later(annotation: str, kind: str, good: bool) -> None:
    """A class whose types are defined below its Endpoint is accepted, and checked by `clinic.resource` when they are there."""
    source = f"""
    @frozen
    class Middle:
        person: Person
    @frozen
    class Room:
        {annotation}
    ROOMS = Endpoint("equipe/rooms", Room)
    @frozen
    class Person:
        name: {kind}
    """
    module = types.ModuleType("invented_module")
    sys.modules[module.__name__] = module
    try:
        exec(HEAD + textwrap.dedent(source), module.__dict__)
        clinic = ArzamedSession().clinic(CREDENTIALS)
        if good:
            assert clinic.resource(module.ROOMS).__class__.__name__ == "Resource"
            return
        with pytest.raises(ConfigurationError, match=r"Room\.owner: .*Person\.name: the type bytes"):
            clinic.resource(module.ROOMS)
    finally:
        del sys.modules[module.__name__]


def test_a_name_that_never_comes() -> None:
    """A name for type checkers alone is accepted by the Endpoint, and refused by `clinic.resource`, before any call."""
    module = module_of(
        HEAD
        + textwrap.dedent("""
    if TYPE_CHECKING:
        from somewhere import Person
    @frozen
    class Room:
        owner: Person
    ROOMS = Endpoint("equipe/rooms", Room)
    """)
    )
    with pytest.raises(ConfigurationError, match=r"Room: its annotations cannot be resolved \(NameError\)"):
        ArzamedSession().clinic(CREDENTIALS).resource(module.ROOMS)


def test_classes_defined_in_a_function() -> None:
    """A class in a function that needs another one there is no class of a module: it is refused before any call."""

    @frozen
    class Person:
        name: str

    @frozen
    class Room:
        owner: Person

    endpoint = Endpoint("equipe/rooms", Room)
    with pytest.raises(ConfigurationError, match="define the class and its types at the module's top level"):
        ArzamedSession().clinic(CREDENTIALS).resource(endpoint)


def test_the_decoder_is_made_once() -> None:
    """What the check of the Endpoint makes is what the calls use: nothing is made twice."""
    endpoint = Endpoint("equipe/rooms", of(dict[str, One]))
    made = decoder.decoder_for(endpoint.model)
    assert decoder.decoder_for(Endpoint("equipe/others", endpoint.model).model) is made


def test_importing_the_package_makes_no_decoder() -> None:
    """The package's own endpoint costs nothing before it is used, and an Endpoint with parameters is imported lazily."""
    program = (
        "import sys, arzamed_async; from arzamed_async._records import decoder;"
        "assert '__arzamed_async__' not in vars(arzamed_async.Doctor);"
        "assert 'arzamed_async._http.templates' not in sys.modules; assert 'arzamed_async._readers.one' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
