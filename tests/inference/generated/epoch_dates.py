"""Typed records of `v2/slots`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from arzamed_async import Endpoint
from attrs import frozen


@frozen(kw_only=True)
class Slot:
    """A record of `v2/slots`."""

    duration: float
    end: int
    """Whole numbers that may be milliseconds since 1970."""
    id: int
    start: int
    """Whole numbers that may be milliseconds since 1970."""


SLOTS = Endpoint("v2/slots", Slot)
