"""Endpoints, and an endpoint of one clinic: its list read as a whole, as a stream, or in batches; or its one object."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

import attrs
from attrs import field

from ._arguments import described, flag
from ._calls.clinics import ClinicState
from ._calls.engine import Engine, Options
from ._calls.request import Request
from ._frozen import frozen, total_repr
from ._http.urls import Params, endpoint_url, with_query
from ._readers.stream import RecordStream, ResumingReader
from ._readers.whole import ListReader
from ._records.decoder import check_readable, decoder_for
from ._tracebacks import hides_arguments
from ._validation import relative_path, whole_number
from .errors import ConfigurationError, DecodeError

if TYPE_CHECKING:
    from ._listed import ListResponse

__all__ = ["Endpoint", "RecordStream", "Resource", "UnpublishedEndpointWarning"]

T = TypeVar("T")

_flag = hides_arguments(flag)
_whole_number = hides_arguments(whole_number)


def _endpoint_path(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    name = f"Endpoint.{attribute.name}"
    text = relative_path(name, value)
    if "{" in text or "}" in text:
        from ._http.templates import parameters_of  # few programs have such a path

        parameters_of(name, text)
    if text is not value:  # of a subclass of str
        object.__setattr__(instance, attribute.name, text)


def _attrs_class(_instance: object, _attribute: attrs.Attribute[Any], value: Any) -> None:
    kind = get_origin(value) or value
    if not (isinstance(kind, type) and attrs.has(kind)):
        raise ConfigurationError(f"Endpoint.model must be an attrs class, not {described(value)}")
    check_readable(value)


def _true_or_false(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    flag(f"Endpoint.{attribute.name}", value)


@frozen
class Endpoint(Generic[T]):
    """An endpoint: its path below the base URL and the attrs class of its records.

        ROOMS = Endpoint("equipe/rooms", Room)
        rooms = await clinic.resource(ROOMS).list()

    A path can have parameters, each a segment of its own. Their values are given to `clinic.resource`; errors, events,
    metrics and logs show the path with the names alone.

        SLOTS = Endpoint("equipe/rooms/{room}/slots", RoomSlot)
        slots = await clinic.resource(SLOTS, room="Sala 1").list()

    Raises ConfigurationError for a path that could lead elsewhere, and for a class that cannot be read: the text names class,
    field and type. Where an annotation has a name that is not defined yet, `clinic.resource` raises that instead.

    A field's JSON key is its name in camelCase (`room_name`: `roomName`), or the one given by
    `attrs.field(metadata={"json": "key"})`. Fields may be str, int, float, bool, None, Any, datetime (ISO
    8601 with offset; truncated to microseconds), NaiveDatetime (without offset), date, time, Decimal (from text or a
    number), UUID, an Enum (by value), attrs classes, Literals, lists, tuples `tuple[T, ...]`, sets, `dict[str, T]`, and
    unions of these. Nothing is coerced, except a whole number to float. Whole numbers and Decimals are exact at any
    size; a number that no float holds is a DecodeError. A field with a default may be absent (see Missing). A value
    unknown to an Enum is a DecodeError, unless the Enum defines `_missing_`.

    A union is read as its first member that matches. Of several classes, the one that knows the most of the
    object's keys comes first; classes that nothing distinguishes are a ConfigurationError.
    """

    path: str = field(validator=_endpoint_path)
    """The path below the base URL, relative, with a name in braces for each parameter."""
    model: type[T] = field(validator=_attrs_class)
    """The attrs class of the records."""
    personal: bool = field(default=False, validator=_true_or_false)
    """Marks records about people: their values never appear in events, and no two calls share a response."""


class UnpublishedEndpointWarning(UserWarning):
    """The path of this endpoint is a guess, because the vendor has not published it."""


class Resource(Generic[T]):
    """A clinic's records of one kind: `list()` for all at once, `stream()` and `batches()` as they arrive; `one()` for one object.

    Args:
        params: The query: a mapping or pairs; values are text, numbers, bools, dates or lists of those.
    """

    def __init__(
        self,
        engine: Engine,
        clinic: ClinicState,
        name: str,
        endpoint: Endpoint[T],
        options: Options,
        *,
        guessed: bool = False,
        url: str = "",
    ) -> None:
        self._engine = engine
        self._clinic = clinic
        self._name = name
        self._endpoint = endpoint
        self._options = options
        self._url = url  # masked, if the path has parameters
        self._hint = "This path is unpublished; the path itself may be wrong" if guessed else ""
        self._plain: ListReader[T] | None = None  # without params, created lazily

    @total_repr
    def __repr__(self) -> str:
        return f"<Resource {self._endpoint.path} of {self._name}>"

    def _reader(self, params: Params | None) -> ListReader[T]:
        if params is None and self._plain is not None and not self._clinic.forgotten:
            return self._plain
        try:
            return self._new_reader(params)
        finally:
            params = None  # no traceback may show them: they can identify a person

    @hides_arguments
    def _new_reader(self, params: Params | None) -> ListReader[T]:
        endpoint = self._endpoint
        self._clinic = self._engine.clinics.live(self._clinic)
        request = Request(
            self._engine,
            self._options,
            self._clinic,
            self._name,
            endpoint.path,
            with_query(self._url or endpoint_url(self._engine.base_url, endpoint.path), params),
            hint=self._hint,
        )
        reader = ListReader(request, decoder_for(endpoint.model))
        if params is None:
            self._plain = reader
        return reader

    async def list(self, params: Params | None = None) -> builtins.list[T]:
        """Return all records, in the order sent. A list is never cut short: it is complete, or an error is raised.

        Raises TransportError (DeadlineExceededError among them), TokenError, StatusError,
        ResponseError, SessionClosedError, ConfigurationError.
        """
        try:
            reader = self._reader(params)
        finally:
            params = None
        if self._engine.reads is not None and not self._endpoint.personal:
            return await reader.read_shared()
        return await reader.read()

    async def read(self, params: Params | None = None) -> ListResponse[T]:
        """Return what `list` returns with the response: its status, headers and request id. Never coalesced.

            response = await clinic.doctors.read()
            print(len(response.records), response.request_id)

        Raises what `list` raises.
        """
        try:
            reader = self._reader(params)
        finally:
            params = None
        return await reader.read_response()

    async def one(self, params: Params | None = None) -> T:
        """Return the one JSON object that an endpoint sends which is no list, as an object of the class.

            room = await clinic.resource(Endpoint("equipe/rooms/{room}", Room), room=7).one()

        At most `Limits.body_bytes` are read. Raises what `list` raises: NotFoundError where the API has no such object, and
        DecodeError where it sends a list, null or nothing.
        """
        try:
            whole = self._reader(params)
        finally:
            params = None
        from ._readers.one import ObjectReader

        reader = ObjectReader(whole.request, whole.decoder)
        if self._engine.reads is not None and not self._endpoint.personal:
            return (await reader.read_shared())[0]
        return (await reader.read())[0]

    def __aiter__(self) -> AsyncIterator[T]:
        """Stream the records: `async for doctor in clinic.doctors` is short for `... in clinic.doctors.stream()`."""
        return aiter(self.stream())

    def stream(self, params: Params | None = None, *, collect_errors: bool = False) -> RecordStream[T]:
        """Return the records one by one as they arrive, in memory that does not grow with the list.

        Each step raises what `list` raises.

        Args:
            collect_errors: A record that does not match the class, or is not JSON, does not end the stream: its DecodeError is
                added to `.errors`, up to 10,000; the next is raised. So is that of a record whose end cannot be found, since a
                quote or bracket is missing.
        """
        try:
            if not isinstance(collect_errors, bool):
                _flag("collect_errors", collect_errors)
            errors: builtins.list[DecodeError] | None = [] if collect_errors else None
            whole = self._reader(params)
        finally:
            params, collect_errors = None, False  # see hides_arguments, which each call would pay for
        reader = ResumingReader(whole.request, whole.decoder, errors)
        return RecordStream(reader.records(), reader, errors)

    def batches(self, params: Params | None = None, *, size: int | None = None) -> RecordStream[builtins.list[T]]:
        """Return lists of records as they arrive: as decoded, or of one size.

        Each step raises what `list` raises.

        Args:
            size: The records of each list (the last one may be shorter), which count against the limits of a list (see Limits);
                None: as decoded.
        """
        try:
            if size is not None:
                _whole_number("size", size)
            whole = self._reader(params)
            reader = ResumingReader(whole.request, whole.decoder, None)
            return RecordStream(reader.batches(size), reader, None)
        finally:
            params = size = None
