"""Endpoint (a path and a class), and Resource: an endpoint of one clinic, read as a list, a stream, batches or one object."""

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
    """An endpoint of the API: its path below the base URL, and the attrs class of its records.

        ROOMS = Endpoint("equipe/rooms", Room)
        rooms = await clinic.resource(ROOMS).list()

    A path can have parameters, each a whole segment. Pass their values to `clinic.resource`. Errors, events, metrics
    and logs show the path with the names of the parameters, never with their values.

        SLOTS = Endpoint("equipe/rooms/{room}/slots", RoomSlot)
        slots = await clinic.resource(SLOTS, room="Sala 1").list()

    Raises ConfigurationError for a path that could lead outside the base URL, and for a class that cannot be read from
    JSON: the text names class, field and type. If an annotation has a name that is not defined yet, the class is checked
    by `clinic.resource` instead.

    A field's JSON key is its name in camelCase (`room_name`: `roomName`). To set another key, use
    `attrs.field(metadata={"json": "key"})`. A field with a default may be absent in JSON (see Missing).

    A field can have one of these types: str, int, float, bool, None, Any, date, time, UUID, datetime (ISO 8601 with an
    offset, truncated to microseconds), NaiveDatetime (without an offset), Decimal (from text or a number), an Enum (by
    value), a Literal, an attrs class, `list[T]`, `tuple[T, ...]`, a set, `dict[str, T]`, or a union of these.

    Decoding is strict: the only conversion of type is from a whole number to float. Whole numbers and Decimals are exact
    at any size. A number too large for a float is a DecodeError, and so is a value that an Enum does not have, unless it
    defines `_missing_`.

    A union is read as its first member that matches. Among several classes, the one that declares most of the object's
    keys is tried first. Classes that cannot be distinguished are a ConfigurationError.
    """

    path: str = field(validator=_endpoint_path)
    """The path below the base URL, relative, with a name in braces for each parameter."""
    model: type[T] = field(validator=_attrs_class)
    """The attrs class of the records."""
    personal: bool = field(default=False, validator=_true_or_false)
    """True for records about people: their values never appear in events, and calls never share a response."""


class UnpublishedEndpointWarning(UserWarning):
    """The path of this endpoint is a guess, because the vendor has not published it."""


class Resource(Generic[T]):
    """An endpoint of one clinic. Read it with `list`, `read`, `stream` or `batches`, or a single object with `one`.

    Args:
        params: The query: a mapping or pairs. Values are text, numbers, bools, dates or lists of those.
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
        self._url = url  # empty unless the path has parameters; its repr is masked then
        self._hint = "This path is unpublished; the path itself may be wrong" if guessed else ""
        self._plain: ListReader[T] | None = None  # the reader of a call without params, created lazily and reused

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
        """Return all records, in the order sent. The list is complete, or an error is raised.

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
        """Return all records together with the response's status, headers and request id. Never coalesced.

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
        """Return one record, from an endpoint that sends a JSON object instead of a list.

            room = await clinic.resource(Endpoint("equipe/rooms/{room}", Room), room=7).one()

        The body may have up to `Limits.body_bytes`. Raises what `list` raises: NotFoundError if the API has no such
        object, and DecodeError if it sends a list, null or an empty body.
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
        """Stream the records: `async for doctor in clinic.doctors` is short for `async for doctor in clinic.doctors.stream()`."""
        return aiter(self.stream())

    def stream(self, params: Params | None = None, *, collect_errors: bool = False) -> RecordStream[T]:
        """Return a stream that yields each record as it arrives. Its memory use does not grow with the list.

        Each step raises what `list` raises.

        Args:
            collect_errors: True: a record that is invalid does not end the stream. Its DecodeError is added to `.errors`,
                which holds up to 10,000; one more is raised. An error is also raised if the end of a record cannot be
                found, because a quote or bracket is missing.
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
        """Return a stream that yields lists of records as they arrive.

        Each step raises what `list` raises.

        Args:
            size: The number of records in each list; the last one may be shorter. The limits of a list apply to each
                (see Limits). None: lists of any length, as the records are decoded.
        """
        try:
            if size is not None:
                _whole_number("size", size)
            whole = self._reader(params)
            reader = ResumingReader(whole.request, whole.decoder, None)
            return RecordStream(reader.batches(size), reader, None)
        finally:
            params = size = None
