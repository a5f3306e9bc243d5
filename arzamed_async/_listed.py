"""A list together with the response that it came in. Imported with the first one that is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

from attrs import field

from ._frozen import frozen

if TYPE_CHECKING:
    from .models import Headers

__all__ = ["ListResponse"]

T = TypeVar("T")


@final
@frozen
class ListResponse(Generic[T]):
    """What `Resource.read` returns: all `records`, and the response that they came in.

    `request_id` is the server's, empty if it sent none; `attempts` the requests that the call took. The repr shows no records.
    """

    records: list[T] = field(repr=lambda records: f"<{len(records)} records>")
    status: int
    headers: Headers
    request_id: str = ""
    attempts: int = 1
