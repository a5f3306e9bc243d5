"""A token, and the response to `clinic.get`: frozen values. Imported when a session is created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from attrs import field

from ._counted import counted
from ._frozen import empty_mapping, frozen
from ._json import loads
from ._masked import as_plain, masked_repr
from ._memory import excess, most_memory
from ._tracebacks import hides_arguments
from .errors import DecodeError, LimitExceededError

__all__ = ["Headers", "Response", "Token"]


@frozen
class Token:
    """An access token and its expiry. The repr does not show the token."""

    access_token: str = field(converter=as_plain, repr=masked_repr)
    """The text of the token."""
    expires_at: datetime
    """The time of its expiry, an aware datetime in UTC."""


class Headers(Mapping[str, str]):
    """Response headers. Names are case-insensitive; the values of a repeated header are joined by ', '."""

    __slots__ = ("_values",)

    @hides_arguments
    def __init__(self, items: Mapping[str, str] | list[tuple[str, str]]) -> None:
        values: dict[str, str] = {}
        for name, value in items.items() if isinstance(items, Mapping) else items:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        self._values = values

    if not TYPE_CHECKING:
        __getattr__ = empty_mapping

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} headers>"


@frozen
class Response:
    """The response to `clinic.get`."""

    status: int
    """The status, 200 to 299."""
    headers: Headers
    """The response's headers."""
    body: bytes = field(repr=lambda body: f"<{counted(len(body), 'byte', form='')}>")
    """The body, after decompression."""
    clinic: str = ""
    """The clinic's name. Errors of `json` have it."""
    path: str = ""
    """The path as errors show it: the `route`, or `<raw>`."""
    received_bytes: int = field(default=0, repr=False, eq=False)
    """The size of the body before decompression. 0: it was not compressed."""

    def json(self) -> Any:
        """Return the body decoded as JSON. Raises DecodeError if it is not JSON.

        Raises LimitExceededError, before decoding, if the values would take more than 3 MiB of memory and more than 256
        times the bytes received.
        """
        if sizes := excess(self.body, self.received_bytes or len(self.body)):
            raise self._too_large(sizes)
        try:
            return loads(self.body.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark, as in a list
        except orjson.JSONDecodeError:
            pass  # its `doc` holds the body: nothing may chain to it
        raise DecodeError("the body is not JSON", clinic=self.clinic, method="GET" if self.path else "", path=self.path)

    def _too_large(self, sizes: dict[str, int]) -> LimitExceededError:
        what, hint, method = "the body expands to too much memory", "Its bytes are in .body", "GET" if self.path else ""
        most = most_memory(sizes["received_bytes"])
        error = LimitExceededError(
            what, limit="body_bytes", limit_bytes=most, hint=hint, clinic=self.clinic, method=method
        )
        error.path = self.path
        error.add_sizes(**sizes)
        return error
