"""Infers the model of records: `infer_model`, and what it returns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .._arguments import flag
from .._counted import counted
from .._http.templates import parameters_of
from .._tracebacks import drop_frames, hides_arguments
from .._validation import plain_text, relative_path, whole_number
from ..errors import ConfigurationError
from .bounds import Budget
from .naming import is_of_patients
from .observed import Objects
from .reading import Records, check_records, read_windows
from .resolve import resolved
from .schema import Field, Model

__all__ = ["InferredModel", "infer_model", "observed"]


class InferredModel:
    """A description of an endpoint's records, inferred from those that were read.

    `source` is a Python module with a class for them. `merge` combines the models of two clinics. Models are equal if their
    descriptions are. A model contains no value of a record, except those of enumerations if `enums` was set. It can be
    pickled. Keys that look like names are kept, and pickled, until they prove to be the identifiers of a map. `source` has no
    key of a map.

    Attributes:
        name: The endpoint's name.
        path: The endpoint's path, None if it was not given.
    """

    __slots__ = ("_objects", "_options", "_resolved", "name", "path")

    def __init__(self, name: str, path: str | None, options: tuple[bool, bool, bool], objects: Objects) -> None:
        self.name = name
        self.path = path
        self._options = options  # personal, decimals, enums
        self._objects = objects
        self._resolved: Model | None = None

    @property
    def records(self) -> int:
        """The number of records read."""
        return self._objects.count

    @property
    def schema(self) -> Model:
        """The description of the records, with the share of each field and type."""
        if self._resolved is None:
            personal, decimals, _ = self._options
            self._resolved = resolved(
                self._objects, name=self.name, path=self.path, personal=personal, decimals=decimals
            )
        return self._resolved

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the records, the most frequent first."""
        return self.schema.object.fields

    @property
    def source(self) -> str:
        """The source of a Python module with a class for the records and its Endpoint."""
        from .source import write

        return write(self.schema)

    def merge(self, other: InferredModel) -> InferredModel:
        """Return one model for the records of both. The order does not matter.

        Raises ConfigurationError if the models are of different endpoints or options. Raises LimitExceededError if they
        have too many fields together.

        Args:
            other: The model of the same endpoint, inferred with the same options.
        """
        if not isinstance(other, InferredModel):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"merge takes an InferredModel, not a {type(other).__name__}")
        if self.name != other.name or (self.path or other.path) != (other.path or self.path):
            raise ConfigurationError("the models are of different endpoints: their name and path must be the same")
        if self._options != other._options:
            raise ConfigurationError("the models were inferred with different options (personal, decimals, enums)")
        objects = _new_objects(enums=self._options[2])
        objects.absorb(self._objects)
        objects.absorb(other._objects)
        return InferredModel(self.name, self.path or other.path, self._options, objects)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InferredModel):
            return NotImplemented
        if not (hasattr(self, "_objects") and hasattr(other, "_objects")):  # one whose constructor was not run
            return self is other
        return self._options == other._options and self.schema == other.schema

    def __hash__(self) -> int:
        if not hasattr(self, "_objects"):
            return hash(InferredModel)
        return hash((self._options, self.schema))

    def __repr__(self) -> str:
        if not hasattr(self, "_objects"):
            return "<InferredModel, not initialized>"
        return f"<InferredModel {self.name}: {counted(self.records, 'record')}, {counted(len(self._objects.fields), 'field')}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if not hasattr(self, "_objects"):
            raise TypeError("an InferredModel that was not initialized cannot be pickled")
        objects = _new_objects(enums=self._options[2])
        objects.absorb(self._objects)
        return InferredModel, (self.name, self.path, self._options, objects)


def _new_objects(*, enums: bool) -> Objects:
    return Objects(Budget(choices=enums), top=True)


@hides_arguments
def _checked(
    records: Records, name: str, path: str | None, flags: dict[str, bool], max_records: int | None
) -> tuple[str, str | None]:
    check_records(records)
    for each, value in flags.items():
        flag(each, value)
    if max_records is not None:
        whole_number("max_records", max_records)
    if path is not None:
        path = relative_path("path", path)
        parameters_of("path", path)
    name = plain_text("name", name)
    if flags["enums"] and (flags["personal"] or is_of_patients(name, path)):
        raise ConfigurationError(
            "enums keeps values of records, which is not allowed for personal ones: leave enums out"
        )
    return name, path


async def infer_model(
    records: Records,
    *,
    name: str,
    path: str | None = None,
    personal: bool = False,
    decimals: bool = False,
    enums: bool = False,
    max_records: int | None = None,
) -> InferredModel:
    """Read records and infer their fields and types. The model's `source` is a module with a class for them.

        model = await infer_model(clinic.slots.stream(), name="slots", path="equipe/slots")
        print(model.source)

    Memory use does not grow with the number of records. No value of a record is kept, unless `enums` is set. Raises
    ConfigurationError, LimitExceededError for records with too many fields, and what reading the stream raises.

    Args:
        records: A stream, or any iterable of OpenRecords or JSON objects.
        name: The endpoint's name, such as "slots". The name of the class is derived from it.
        path: The endpoint's path, for the Endpoint in the module. None: the module has no Endpoint.
        personal: True: the records are about people.
        decimals: True: numbers with a fraction become Decimal instead of float.
        enums: True: fields with a few frequent texts become enumerations, and the model contains these texts.
        max_records: The maximum number of records to read. None: all.
    """
    reading = observed(
        records,
        name=name,
        path=path,
        max_records=max_records,
        personal=personal,
        decimals=decimals,
        enums=enums,
    )
    records = ()  # see hides_arguments
    return await reading


async def observed(
    records: Records,
    *,
    name: str,
    path: str | None,
    max_records: int | None,
    on_records: Callable[[int], None] | None = None,
    **options: bool,
) -> InferredModel:
    """Do what `infer_model` does. `on_records` is called with the number of records of each window."""
    handled = sys.exception()
    try:
        name, path = _checked(records, name, path, options, max_records)
        options["personal"] |= is_of_patients(name, path)
        objects = _new_objects(enums=options["enums"])

        def use(window: list[dict[str, Any]]) -> None:
            objects.add(window)
            if on_records is not None:
                on_records(len(window))

        await read_windows(records, max_records, use)
        return InferredModel(name, path, (options["personal"], options["decimals"], options["enums"]), objects)
    except BaseException as error:
        drop_frames(error, handled)
        raise
    finally:
        records, handled = (), None  # see hides_arguments
