"""Reads one object, in a request of its own or in one that concurrent callers share."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import orjson

from .._http.response import HttpResponse, read_body
from .._memory import excess, most_memory
from .._records.elements import take_apart
from ..errors import DecodeError, LimitExceededError
from .body import PARTIAL
from .whole import ListReader

__all__ = ["ObjectReader"]

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"  # RFC 8259 section 8.1: a parser may ignore it
_MISMATCH = "Check the path: the response is not such an object, or the class declares other fields than the API sends"
_LIST = "This is a list: use list() or stream()"
_NOTHING = "The API has sent no object: check the path and the values of its parameters"


class ObjectReader(ListReader[T]):
    """Reads the one JSON object that a request returns, and returns it as a list of one record."""

    async def read_all(self, response: HttpResponse) -> list[T]:
        """Return the one record in the body of a response."""
        if response.status == PARTIAL:
            raise DecodeError("the response is a part of the object (HTTP 206), which was not requested")
        limit = self.request.options.limits.body_bytes
        body = await read_body(response, limit)
        if body is None:
            raise LimitExceededError(limit="body_bytes", limit_bytes=limit)
        body = body.removeprefix(_BOM)
        received_bytes = response.compressed_bytes or len(body)
        if sizes := excess(body, received_bytes):
            most = most_memory(received_bytes)
            hint = "clinic.get returns the bytes of the response"
            error = LimitExceededError(
                "the body expands to too much memory", limit="body_bytes", limit_bytes=most, hint=hint
            )
            error.add_sizes(**sizes)
            raise error
        values = [_object(body)]
        records, mismatch = self.decoder.decode_good(values, 0, b"[%b]" % body)
        if mismatch is not None:
            raise DecodeError(str(mismatch.args[0]), field=mismatch.field, remedy=_MISMATCH)
        request = self.request
        watch = request.engine.observers.field_watcher(request.name, request.path)
        if watch is not None and (unknown := self.decoder.unknown_fields(values)):
            watch(unknown)
        return records


def _object(body: bytes) -> Any:
    """Return the JSON object that a body is. Raises DecodeError for any other body."""
    if not body.strip():
        raise DecodeError("the body is empty", remedy=_NOTHING)
    value: Any = orjson  # which no document is
    with contextlib.suppress(orjson.JSONDecodeError):  # its `doc` holds the body: nothing may chain to it
        value = orjson.loads(body)
    if value is orjson:
        reason = take_apart(body, passing=False).reason
        raise DecodeError("the body is not JSON" if reason in ("", "not JSON") else reason, remedy=_MISMATCH)
    if value.__class__ is list:
        raise DecodeError("the body is a JSON array, not one object", remedy=_LIST)
    if value is None:
        raise DecodeError("the body is null", remedy=_NOTHING)
    if value.__class__ is not dict:
        raise DecodeError("the body is not a JSON object", remedy=_MISMATCH)
    return value
