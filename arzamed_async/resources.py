"""A list endpoint of one clinic: read as a whole, as a stream, or in batches."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, TypeVar

from ._arguments import flag
from ._calls.clinics import ClinicState
from ._calls.engine import Engine, Options
from ._calls.request import Request
from ._frozen import total_repr
from ._http.urls import Params, endpoint_url, with_query
from ._readers.stream import RecordStream, ResumingReader
from ._readers.whole import ListReader
from ._records.decoder import decoder_for
from ._tracebacks import hides_arguments
from ._validation import whole_number
from .config import Endpoint
from .errors import DecodeError

if TYPE_CHECKING:
    from ._listed import ListResponse

__all__ = ["RecordStream", "Resource", "UnpublishedEndpointWarning"]

T = TypeVar("T")

_flag = hides_arguments(flag)
_whole_number = hides_arguments(whole_number)


class UnpublishedEndpointWarning(UserWarning):
    """The path of this endpoint is a guess, because the vendor has not published it."""


class Resource(Generic[T]):
    """A clinic's records of one kind: `list()` for all at once, `stream()` and `batches()` as they arrive.

    `params` is the query: a mapping or pairs; values are text, numbers, bools, dates or lists of those.
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
    ) -> None:
        self._engine = engine
        self._clinic = clinic
        self._name = name
        self._endpoint = endpoint
        self._options = options
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
            with_query(endpoint_url(self._engine.base_url, endpoint.path), params),
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

    def __aiter__(self) -> AsyncIterator[T]:
        """Stream the records: `async for doctor in clinic.doctors` is short for `... in clinic.doctors.stream()`."""
        return aiter(self.stream())

    def stream(self, params: Params | None = None, *, collect_errors: bool = False) -> RecordStream[T]:
        """Return the records one by one as they arrive, in memory that does not grow with the list.

        With `collect_errors` a record that does not match the class, or is not JSON, does not end the stream: its
        DecodeError is added to `.errors`, up to 10,000; the next is raised. So is that of a record whose end
        cannot be found, since a quote or bracket is missing. Each step raises what `list` raises.
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
        """Return lists of records as they arrive: as decoded, or of exactly `size` (the last one shorter).

        The records collected for one of `size` count against the limits of a list (see Limits); a step over them raises
        LimitExceededError.
        """
        try:
            if size is not None:
                _whole_number("size", size)
            whole = self._reader(params)
            reader = ResumingReader(whole.request, whole.decoder, None)
            return RecordStream(reader.batches(size), reader, None)
        finally:
            params = size = None
