"""How decoders are made: classes that cannot be read, threads, and classes that live no longer than a call."""

import copy
import gc
import pickle
import sys
import threading
import types
import weakref
from typing import Any, Generic, TypeVar

import attrs
import cattrs
import pytest
from attrs import frozen

from arzamed_async import ConfigurationError, DecodeError
from arzamed_async._records import decoder as module
from arzamed_async._records.decoder import Decoder, decoder_for

T = TypeVar("T")


@frozen
class Node:
    child: "Node | None"
    picture: bytes  # cannot be read from JSON


@frozen
class Tree:
    root: Node


@frozen
class One:
    two: "Two | None" = None
    wrong: bytes | None = None


@frozen
class Two:
    one: One | None = None


@frozen
class HoldsOne:
    one: One


@frozen
class HoldsTwo:
    two: Two


@frozen
class Box(Generic[T]):
    item: T
    boxes: list["Box[T]"]


@pytest.mark.parametrize("model", [Node, Tree, One, Two, HoldsOne, HoldsTwo, Box[bytes]])
def test_a_class_that_cannot_be_read_says_so_at_every_use(model: Any) -> None:
    """Every use of such a class is the same ConfigurationError, whichever of the classes that hold one another came first."""
    texts: set[str] = set()
    for first in (Node, Two, One, HoldsTwo, model, model):
        with pytest.raises(ConfigurationError):
            decoder_for(first)
        with pytest.raises(ConfigurationError, match="cannot be read from JSON strictly") as caught:
            decoder_for(model)
        assert caught.value.__context__ is None
        texts.add(str(caught.value))
    assert len(texts) == 1


def fresh(number: int) -> Any:
    """Return a recursive class that no decoder has been made for, as a module's own."""
    module = types.ModuleType(f"invented_module_{number}")
    source = """
from __future__ import annotations
from attrs import frozen
@frozen
class Leaf:
    a1: int; a2: int; a3: int; a4: int; a5: int; a6: int
@frozen
class Node:
    leaf: Leaf | None = None
    nodes: list[Node] | None = None
    leaves: dict[str, Leaf] | None = None
    more: list[Leaf] | None = None
@frozen
class Tree:
    root: Node
"""
    sys.modules[module.__name__] = module
    module.__dict__["__name__"] = module.__name__
    exec(source, module.__dict__)
    return module.Tree  # type: ignore[attr-defined]


def test_threads_that_use_a_class_for_the_first_time_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that make the decoder of a recursive class at the same time all get one that works."""
    interval = sys.getswitchinterval()
    failures: list[BaseException] = []
    sys.setswitchinterval(1e-6)
    try:
        for number in range(30):
            model = fresh(number)
            start = threading.Barrier(4)

            def work(model: Any = model, start: threading.Barrier = start) -> None:
                start.wait()
                try:
                    for _ in range(2):
                        (tree,) = decoder_for(model).decode([{"root": {"nodes": [{"nodes": []}]}}], 0)
                        assert tree.root.nodes[0].nodes == []
                except BaseException as error:  # noqa: BLE001 - whatever it is, the test reports it
                    failures.append(error)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            del sys.modules[f"invented_module_{number}"]
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


def local_classes() -> list[weakref.ref[Any]]:
    """Use classes that are made here, and return references that do not keep them."""

    @frozen
    class Inner:
        a: int

    @frozen
    class Other:
        b: str

    @frozen
    class Outer:
        name: str
        inner: Inner | None = None
        many: list[Inner | Other] = attrs.Factory(list)
        again: list["Outer"] = attrs.Factory(list)

    (made,) = decoder_for(Outer).decode(
        [{"name": "x", "inner": {"a": 1}, "many": [{"b": "y"}], "again": [{"name": "z"}]}], 0
    )
    assert made == Outer("x", Inner(1), [Other("y")], [Outer("z")])
    list(decoder_for(Outer).unknown_fields([{"name": "x", "inner": {"a": 1, "new": 2}}]))
    with pytest.raises(DecodeError):
        decoder_for(Outer).decode([{"name": "x", "inner": {"a": "wrong"}}], 0)
    return [weakref.ref(each) for each in (Inner, Other, Outer)]


def test_classes_made_in_functions_are_freed() -> None:
    """A class that is gone leaves nothing: neither it nor a class in its fields, nor the decoder."""
    references = [each for _ in range(20) for each in local_classes()]
    gc.collect()
    assert [each for each in references if each() is not None] == []


def test_a_class_keeps_one_decoder() -> None:
    """A decoder is made once for each class; a subclass and a copy of the class have their own."""

    @frozen
    class Parent:
        a: int

    first = decoder_for(Parent)
    assert decoder_for(Parent) is first

    @frozen
    class Child(Parent):
        b: int

    assert decoder_for(Child) is not first
    assert decoder_for(Child).decode([{"a": 1, "b": 2}], 0) == [Child(1, 2)]

    @frozen
    class Copied:
        a: int

    type.__setattr__(
        Copied, "__arzamed_async__", vars(Parent)["__arzamed_async__"]
    )  # as a decorator that copies a class
    assert type(decoder_for(Copied).decode([{"a": 1}], 0)[0]) is Copied


def test_what_a_class_keeps_is_not_pickled() -> None:
    """A pickler that sends a class by value, as Dask's does, sends no decoder with it."""
    decoder_for(Box[int])

    @frozen
    class Kept:
        a: int

    decoder_for(Kept)
    kept = vars(Kept)["__arzamed_async__"]
    for made in (pickle.loads(pickle.dumps(kept)), copy.copy(kept), copy.deepcopy(kept)):
        assert made.decoder is None
        assert made.model is None


def test_the_converter_keeps_no_class() -> None:
    """The one cattrs converter has no class in its caches: these would keep it for the life of the process."""
    local_classes()
    decoder_for(Box[int])
    converter = module._converter()
    assert isinstance(converter, cattrs.Converter)
    cached: Any = converter._structure_func.dispatch
    assert cached.cache_info().currsize == 0


def test_a_decoder_shares_nothing_with_another() -> None:
    """Two decoders of classes that hold the same class work side by side, made one inside the other's lifetime."""

    @frozen
    class Shared:
        a: int

    @frozen
    class Left:
        it: Shared

    @frozen
    class Right:
        it: list[Shared]

    left, right = Decoder(Left), Decoder(Right)
    assert left.decode([{"it": {"a": 1}}], 0) == [Left(Shared(1))]
    assert right.decode([{"it": [{"a": 1}]}], 0) == [Right([Shared(1)])]
