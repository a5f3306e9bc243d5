"""A list together with facts of its response. Imported when the first one is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

from attrs import field

from ._counted import counted
from ._frozen import frozen

if TYPE_CHECKING:
    from .models import Headers

__all__ = ["ListResponse"]

T = TypeVar("T")


@final
@frozen
class ListResponse(Generic[T]):
    """The result of `Resource.read`: all records, with facts of their response. The repr shows no records."""

    records: list[T] = field(repr=lambda records: f"<{counted(len(records), 'record', form='')}>")
    """All records, in the order sent."""
    status: int
    """The status, 200 to 299."""
    headers: Headers
    """The response's headers."""
    request_id: str = ""
    """The server's id of the request, empty if it sent none."""
    attempts: int = 1
    """The number of requests that the call sent."""
