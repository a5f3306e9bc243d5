"""A list endpoint of one clinic, as a set of coroutines."""

from __future__ import annotations

import builtins
from typing import Generic, TypeVar

from ._calls.clinics import ClinicState
from ._calls.engine import Engine, Options
from ._calls.request import Request
from ._http.urls import Params, endpoint_url, with_query
from ._readers.stream import RecordStream
from ._readers.whole import Source
from ._records.decoder import decoder_for
from .config import Endpoint
from .errors import ConfigurationError, DecodeError

__all__ = ["RecordStream", "Resource", "UnpublishedEndpointWarning"]

T = TypeVar("T")


class UnpublishedEndpointWarning(UserWarning):
    """The endpoint's path is a guess: the vendor names it, but has not published it."""


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
        self._plain: Source[T] | None = None  # without params, made once

    def __repr__(self) -> str:
        return f"<Resource {self._endpoint.path} of {self._name}>"

    def _source(self, params: Params | None) -> Source[T]:
        if params is None and self._plain is not None and not self._clinic.forgotten:
            return self._plain
        source = self._made(params)
        if params is None:
            self._plain = source
        return source

    def _made(self, params: Params | None) -> Source[T]:
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
        return Source(request, decoder_for(endpoint.model))

    async def list(self, params: Params | None = None) -> builtins.list[T]:
        """Return all records, in the order sent; all of them or an error.

        Raises TransportError (DeadlineExceededError among them), TokenError, StatusError,
        ResponseError, SessionClosedError, ConfigurationError.
        """
        source = self._source(params)
        del params  # they may hold what no traceback should show, locals and all
        if self._engine.reads is not None and not self._endpoint.personal:
            return await source.read_together()
        return await source.read()

    def stream(self, params: Params | None = None, *, collect_errors: bool = False) -> RecordStream[T]:
        """Return the records one by one as they arrive, in memory that does not grow with the list.

        With `collect_errors` a record that is not what the class promises does not end the stream: its
        DecodeError goes to `.errors`, up to 10,000 of them; the next is raised. Raises at each step what `list` raises.
        """
        errors: builtins.list[DecodeError] | None = [] if collect_errors else None
        windows = self._source(params).open(errors)
        return RecordStream(windows.records(), windows, errors)

    def batches(self, params: Params | None = None, *, size: int | None = None) -> RecordStream[builtins.list[T]]:
        """Return lists of records as they arrive: as decoded, or of exactly `size` (the last one shorter)."""
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ConfigurationError("size must be a whole number of one or more")
        windows = self._source(params).open(None)
        return RecordStream(windows.batches(size), windows, None)
