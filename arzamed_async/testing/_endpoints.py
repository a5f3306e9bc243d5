"""The endpoints of a fake: which of them serves a path, and what it sends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from attrs import AttrsInstance
from multidict import MultiMapping

from arzamed_async import ConfigurationError, Endpoint, OpenRecord

from ._answer import Answer
from ._paths import is_parameter, values_in
from ._records import Body, as_doctor, is_record, list_body, record_body

__all__ = ["EndpointTable", "FakeEndpoint", "Served"]

Values = Mapping[str, str]
#: What an endpoint serves: a list of records, one record, or a function that returns either.
Made = Iterable[object] | AttrsInstance | Answer | None
Served = Iterable[object] | AttrsInstance | Callable[[], Made] | Callable[[Values, MultiMapping[str]], Made]

_WHAT = "records must be a list of records, one record, or a function that returns either"


class FakeEndpoint:
    """What one path serves. The parameters of the path, if any, are given to a function that takes two arguments."""

    __slots__ = ("_body", "_call", "_convert", "_segments")

    def __init__(self, path: str, records: Any, *, only_lists: bool = False) -> None:
        if "{" in path or "}" in path:
            Endpoint(path, OpenRecord)  # which raises ConfigurationError for braces that are no parameter
        self._segments = path.split("/")
        self._convert = as_doctor if path == "equipe/doctors" else None
        self._body: Body | None = None
        self._call: Callable[[Values, MultiMapping[str]], Made] | None = None
        if callable(records) and not isinstance(records, type):
            self._call = _function_of_two(records)
        elif only_lists or not is_record(records):
            self._body = list_body(records, self._convert)
        else:
            self._body = record_body(records)

    def values(self, segments: list[str]) -> dict[str, str] | None:
        """Return the values of the path's parameters, by their names; None for another path."""
        return values_in(self._segments, segments)

    @property
    def rank(self) -> tuple[bool, ...]:
        """What sorts a path before those that are less exact."""
        return tuple(map(is_parameter, self._segments))

    def respond(self, values: Values, query: MultiMapping[str]) -> Body | Answer | None:
        """Return what the endpoint sends; None if there is nothing with these values."""
        if self._call is None:
            return self._body
        made = self._call(values, query)
        if made is None or isinstance(made, Answer):
            return made
        return record_body(made) if is_record(made) else list_body(made, self._convert, lazily=True)


def _function_of_two(function: Callable[..., Any]) -> Callable[[Values, MultiMapping[str]], Made]:
    """Return a function of path parameters and query. One that can be called without arguments is."""
    if inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"{_WHAT}, not a coroutine function: it is not awaited")
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a function in C
        return lambda _values, _query: function()
    if _takes(signature, 0):
        return lambda _values, _query: function()
    if not _takes(signature, 2):
        raise ConfigurationError(f"{_WHAT}: it takes no arguments, or the path's parameters and the query")
    return function


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


class EndpointTable:
    """Endpoints by their path. Any thread may add one."""

    def __init__(self, given: Mapping[str, FakeEndpoint] | None = None) -> None:
        self._by_path = dict(given or {})

    def add(self, path: str, endpoint: FakeEndpoint) -> None:
        """Add an endpoint, in the place of one with the same path."""
        self._by_path[path] = endpoint

    def copy(self) -> dict[str, FakeEndpoint]:
        """Return all, by their path."""
        return self._by_path.copy()

    def find(self, raw_path: str) -> tuple[FakeEndpoint, dict[str, str]] | None:
        """Return the endpoint of a path as it came over the wire, the most exact one, and the values in the path."""
        segments = list(map(unquote, raw_path.strip("/").split("/")))
        found = [(each, each.values(segments)) for each in self.copy().values()]
        fitting = [(each, values) for each, values in found if values is not None]
        return min(fitting, key=lambda pair: pair[0].rank, default=None)
