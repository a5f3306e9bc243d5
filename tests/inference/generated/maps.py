"""Typed records of `slots/days`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import date

from arzamed_async import Endpoint
from attrs import frozen


@frozen(kw_only=True)
class SlotsByDoctor:
    """One of `slotsByDoctor` in `Day`."""

    free: int
    rooms: tuple[str, ...]


@frozen(kw_only=True)
class Day:
    """A record of `slots/days`."""

    counts: dict[str, int]
    day: date
    slots_by_doctor: dict[str, SlotsByDoctor]


DAYS = Endpoint("slots/days", Day)
