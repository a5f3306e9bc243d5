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
    """What `Resource.read` returns: all records, and the response that they came in. The repr shows no records."""

    records: list[T] = field(repr=lambda records: f"<{len(records)} records>")
    """All records, in the order sent."""
    status: int
    """The status, 200 to 299."""
    headers: Headers
    """The response's headers."""
    request_id: str = ""
    """The server's id of the request, empty if it sent none."""
    attempts: int = 1
    """The requests that the call took."""
