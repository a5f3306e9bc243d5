"""Hands on the JSON objects of a list as they were decoded, without making records of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..models import OpenRecord
from .decoder import Decoder
from .scalars import Mismatch

__all__ = ["RawDecoder"]


class RawDecoder(Decoder[Any]):
    """A decoder whose records are dicts. Whole numbers are exact."""

    def __init__(self) -> None:
        super().__init__(OpenRecord)
        self._decode_into = _objects


def _objects(values: Iterable[Any], made: list[Any]) -> None:
    append = made.append
    for value in values:
        if value.__class__ is not dict:
            raise Mismatch("an object", value)
        append(value)
