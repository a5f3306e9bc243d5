"""Typed records of `equipe/slots`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import datetime
from typing import Any

from arzamed_async import MISSING, Endpoint, Missing
from attrs import frozen


@frozen(kw_only=True)
class Period:
    """`period` in `Identifier`."""

    start: datetime
    end: datetime | Missing = MISSING
    """In 25 % of the objects."""


@frozen(kw_only=True)
class Identifier:
    """One of `identifier` in `Slot`."""

    period: Period
    system: str
    value: str


@frozen(kw_only=True)
class Schedule:
    """`schedule` in `Slot`."""

    reference: str


@frozen(kw_only=True)
class Coding:
    """One of `coding` in `ServiceType`."""

    code: str
    display: str
    user_selected: bool


@frozen(kw_only=True)
class ServiceType:
    """One of `serviceType` in `Slot`."""

    coding: tuple[Coding, ...]


@frozen(kw_only=True)
class Slot:
    """A record of `equipe/slots`."""

    end: datetime
    id: str
    identifier: tuple[Identifier, ...]
    resource_type: str
    schedule: Schedule
    service_type: tuple[ServiceType, ...]
    start: datetime
    status: str
    comment: Any | Missing = MISSING
    """In 25 % of the records, always null."""


SLOTS = Endpoint("equipe/slots", Slot)
