"""Typed records of `slots/mixed`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from typing import Any

from arzamed_async import Endpoint
from attrs import frozen


@frozen(kw_only=True)
class Value:
    """`value` in `Slot`."""

    amount: int


@frozen(kw_only=True)
class Slot:
    """A record of `slots/mixed`."""

    attachments: tuple[Any, ...]
    """Its lists were empty."""
    flag: bool | str
    matrix: tuple[tuple[int, ...], ...]
    note: Any
    """Always null."""
    price: int | str
    score: float
    tags: tuple[int | str | None, ...]
    value: tuple[int, ...] | Value


SLOTS = Endpoint("slots/mixed", Slot)
