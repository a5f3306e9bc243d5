"""Turns JSON values into attrs objects, strictly, and such objects into plain values. The only importer of cattrs.

A private cattrs converter finds the hook for a type. None of its default conversions is used (they
would turn `None` into `'None'` and `1.9` into `1`). For each attrs class a function is compiled, and kept by the class,
so that a class made in a function and its decoder are freed together.

A JSON key is the attribute's name in camelCase; `attrs.field(metadata={"json": "key"})` sets another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

import attrs
import cattrs

from .._json import Exact, exact
from ..errors import ConfigurationError, DecodeError
from ..models import OpenRecord
from .codegen import DecoderCompiler
from .fields import awaits_names, container, known_keys
from .footprint import Footprint
from .hook_builder import HookBuilder, Wanted, open_record_hook
from .hooks import Hook
from .scalars import WRITTEN, Mismatch
from .shape import Shape
from .unions import REFUSED

if TYPE_CHECKING:
    from .encoder import Encoder

__all__ = ["Decoder", "check_readable", "decoder_for", "to_dict"]

T = TypeVar("T")

#: The most errors that are collected; the next one is raised, so that memory stays bounded.
MOST_ERRORS = 10_000


def _make_hook(wanted: Any) -> Hook:
    return wanted.hook()  # type: ignore[no-any-return]


def _make_encoder(model: type[Any]) -> Encoder:
    from .encoder import make_encoder

    return make_encoder(model, to_dict)


@functools.cache
def _converter() -> cattrs.Converter:
    """Return the private converter: created with the first class that needs one, which Doctor does not."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook_factory(lambda wanted: wanted.__class__ is Wanted, _make_hook)
    converter.register_unstructure_hook_factory(attrs.has, _make_encoder)
    return converter


def _find(wanted: Wanted) -> Hook:
    return _converter().get_structure_hook(wanted, cache_result=False)  # a cache would keep the class


class Decoder(Generic[T]):
    """Turns windows of decoded JSON values into objects of one class.

    `source` is what a window was decoded from: where whole numbers of more than 64 bits, or the digits of a Decimal, are not
    in its values, it is decoded again. (An Exact has them.)
    """

    def __init__(self, model: type[T]) -> None:
        kind = container(model)
        if not attrs.has(kind):
            raise ConfigurationError(f"{kind.__name__} is not an attrs class")
        builder = HookBuilder(_find)
        is_open = issubclass(kind, OpenRecord)
        self._decode_into = _open_records(kind) if is_open else DecoderCompiler(model, builder.hook_of).compile()
        fields: tuple[Any, ...] = attrs.fields(kind)
        self._model = model
        self._known = len(known_keys(model))
        self._all_required = all(each.init and each.default is attrs.NOTHING for each in fields)
        self._is_open = is_open
        self._shape: Shape | None = None  # made for observers alone
        self._any_number = is_open or builder.any_number
        self._decimals = builder.decimals
        #: What its records take in memory.
        self.footprint = Footprint(
            widest=max(len(fields), builder.widest),
            slots="__dict__" not in dir(kind),
            nested=builder.nested,
            is_open=is_open or builder.is_open,
            bulky=builder.bulky,
        )

    def decode(self, values: list[Any], first_index: int, source: bytes | Exact = b"") -> list[T]:
        """Return an object for each value. Raises DecodeError at the first that does not match the class."""
        made: list[T] = []
        if not self._any_number:
            try:
                self._decode_into(values, made)
            except (Mismatch, RecursionError):
                pass  # what is wrong with which record is found out below
            else:
                if REFUSED:
                    REFUSED.clear()
                return made
        made, error = self.decode_good(values, first_index, source)
        if error is None:
            return made
        try:
            raise error
        finally:
            del error  # or the error would hold this frame, and the frame the error: a window kept for the collector

    def decode_good(
        self, values: list[Any], first_index: int, source: bytes | Exact = b""
    ) -> tuple[list[T], DecodeError | None]:
        """Return an object for each value before the first that does not match the class, and the error of that one."""
        made: list[T] = []
        found = self._exact(source) if self._any_number else None
        error = self._fill(made, iter(values if found is None else found.value), first_index, found)
        if error is not None and not self._any_number and (found := self._exact(source)) is not None:
            made.clear()
            error = self._fill(made, iter(found.value), first_index, found)
        return made, error

    def decode_each(
        self, values: list[Any], first_index: int, errors: list[DecodeError], source: bytes | Exact = b""
    ) -> list[T]:
        """Return an object for each good value, and add a DecodeError to `errors` for each bad one, up to MOST_ERRORS."""
        before = len(errors)
        found = self._exact(source) if self._any_number else None
        made, error = self._collect(values, first_index, errors, found)
        if len(errors) > before and not self._any_number and (found := self._exact(source)) is not None:
            del errors[before:]
            made, error = self._collect(values, first_index, errors, found)
        if error is not None:
            try:
                raise error
            finally:
                del error  # see `decode`
        return made

    def _exact(self, source: bytes | Exact) -> Exact | None:
        return source if isinstance(source, Exact) else exact(source, decimals=self._decimals)

    def _collect(
        self, values: list[Any], first_index: int, errors: list[DecodeError], found: Exact | None
    ) -> tuple[list[T], DecodeError | None]:
        made: list[T] = []
        pending = iter(values if found is None else found.value)
        bad = 0
        while error := self._fill(made, pending, first_index + bad, found):
            if len(errors) >= MOST_ERRORS:
                return made, error
            errors.append(error)
            bad += 1
        return made, None

    def _fill(self, made: list[T], pending: Iterator[Any], offset: int, found: Exact | None) -> DecodeError | None:
        """Make objects until a value is bad (it is consumed from `pending`, too) or none is left."""
        written = found.written if found is not None and self._decimals else None
        if written:
            WRITTEN.update(written)
        try:
            self._decode_into(pending, made)
        except Mismatch as fault:
            return fault.error(offset + len(made))
        except RecursionError:
            pass  # a class that holds itself, and a value that is deeper than the interpreter goes
        else:
            return None
        finally:
            REFUSED.clear()
            if written:
                for each in written:
                    del WRITTEN[each]
        return DecodeError("expected less nesting, found an object", record_index=offset + len(made))

    def unknown_fields(self, values: list[Any], *, all_good: bool = True) -> Iterable[tuple[str, str]]:
        """Return the keys of these records that the class does not know, each with its path; none for an OpenRecord."""
        if self._is_open:
            return ()
        if self._shape is None:
            self._shape = Shape((self._model,))
        flat = self._shape.flat and self._all_required
        if flat and all_good and sum(map(len, values)) == self._known * len(values):
            return ()  # each has all the known ones, and so no other
        return list(self._shape.unknown(values))


def _open_records(model: type[Any]) -> Callable[[Iterable[Any], list[Any]], None]:
    for each in attrs.fields(model):
        if each.name != "data" and each.init and each.default is attrs.NOTHING:
            raise ConfigurationError(
                f"{model.__name__}.{each.name}: an OpenRecord is read into its field data: give all other fields a default"
            )
    make = open_record_hook(model)

    def decode_into(values: Iterable[Any], made: list[Any]) -> None:
        for value in values:
            made.append(make(value, model))  # noqa: PERF401 - what was made before a bad one counts

    return decode_into


class _Kept:
    """What is made for a class, as an attribute of the class. A copy of the class, pickled or decorated again, has none."""

    __slots__ = ("decoder", "encoder", "model")
    NAME = "__arzamed_async__"

    def __init__(self, model: Any = None) -> None:
        self.model = model
        self.decoder: Decoder[Any] | None = None
        self.encoder: Encoder | None = None

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


def _kept_by(model: type[Any]) -> _Kept:
    kept: _Kept | None = vars(model).get(_Kept.NAME)
    if kept is None or kept.model is not model:
        kept = _Kept(model)
        type.__setattr__(model, _Kept.NAME, kept)
    return kept


@functools.lru_cache(maxsize=32)  # typing keeps as many of these, and the classes in them
def _decoder_of_alias(
    model: Any, _text: str
) -> Decoder[Any]:  # Box[int | str] equals Box[str | int]; the order matters
    return Decoder(model)


def decoder_for(model: type[T]) -> Decoder[T]:
    """Return the decoder of an attrs class, made once. Raises ConfigurationError, which names class and field."""
    kind: Any = model
    if isinstance(kind, type):
        kept = vars(kind).get(_Kept.NAME)
        if kept is not None and kept.model is kind and kept.decoder is not None:
            return kept.decoder  # type: ignore[no-any-return]
        decoder = Decoder[Any](kind)
        _kept_by(kind).decoder = decoder
        return decoder
    if not isinstance(get_origin(kind), type):
        raise ConfigurationError("the model is not an attrs class")
    return _decoder_of_alias(kind, str(kind))


def check_readable(model: type[Any]) -> None:
    """Raise ConfigurationError if no decoder can be made for a class, unless names in its annotations are not defined yet."""
    problem: ConfigurationError | None = None
    try:
        decoder_for(model)
    except ConfigurationError as error:
        problem = error
    if problem is not None and not awaits_names(model):
        raise problem


def to_dict(record: object) -> dict[str, Any]:
    """Convert a record to a dict of plain values, with the JSON keys of the API. Reading the dict gives an equal record.

    Attrs objects become dicts, tuples and sets become lists, and enums become their values. Dates, times, Decimals and
    UUIDs become text.

        json.dumps([to_dict(doctor) for doctor in await clinic.doctors.list()])

    Args:
        record: An object of an attrs class.

    Raises:
        ConfigurationError: `record` is not a record, or a value cannot be converted. The text names class and field.
    """
    model = type(record)
    if not attrs.has(model):
        raise ConfigurationError(f"to_dict takes a record, an object of an attrs class, not a {model.__name__}")
    kept = _kept_by(model)
    if kept.encoder is None:
        kept.encoder = _converter().get_unstructure_hook(model, cache_result=False)
    return kept.encoder(record)
