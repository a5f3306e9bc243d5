"""Typed records of `slots/keywords`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import datetime
from typing import Any

from arzamed_async import Endpoint
from attrs import field, frozen


@frozen(kw_only=True)
class Lambda:
    """One of `lambda` in `Slot`."""

    def_: int


@frozen(kw_only=True)
class Self:
    """`self` in `Slot`."""

    href: str


@frozen(kw_only=True)
class Slot:
    """A record of `slots/keywords`."""

    field_2fa: bool = field(metadata={"json": "2fa"})
    type_2: str = field(metadata={"json": "@type"})
    id_2: str = field(metadata={"json": "ID"})
    id_3: Any = field(metadata={"json": "Id"})
    """Always null."""
    none: int = field(metadata={"json": "None"})
    id_4: str = field(metadata={"json": "_id"})
    class_: str
    first_name: str = field(metadata={"json": "first-name"})
    from_: datetime = field(metadata={"json_form": "YYYY-MM-DDThh:mm:ssZ"})
    id: int
    lambda_: tuple[Lambda, ...]
    self_: Self
    str_: str
    type: str


SLOTS = Endpoint("slots/keywords", Slot)
