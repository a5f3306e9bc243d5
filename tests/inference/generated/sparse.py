"""Typed records of `slots/free`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import date, datetime
from typing import Literal

from arzamed_async import MISSING, Endpoint, Missing
from attrs import frozen


@frozen(kw_only=True)
class Period:
    """`period` in `FreeSlot`, `period` in `Room`."""

    start: date


@frozen(kw_only=True)
class Room:
    """`room` in `FreeSlot`."""

    id: int
    period: Period


@frozen(kw_only=True)
class PreferredLanguagesOfCommunicationInTheClinicToday:
    """One of `preferredLanguagesOfCommunicationInTheClinicToday` in `FreeSlot`."""

    preferred_language_code: str


@frozen(kw_only=True)
class PreferredLanguageOfCommunication:
    """One of `preferredLanguageOfCommunication` in `VeryLongNameOfAFieldThatTheVendorThoughtOf`."""

    a: int


@frozen(kw_only=True)
class VeryLongNameOfAFieldThatTheVendorThoughtOf:
    """`veryLongNameOfAFieldThatTheVendorThoughtOf` in `FreeSlot`."""

    preferred_language_of_communication: tuple[PreferredLanguageOfCommunication, ...]


@frozen(kw_only=True)
class FreeSlot:
    """A record of `slots/free`."""

    fee: float
    id: int
    period: Period
    state: Literal["booked", "free"]
    cancelled_at: datetime | Missing | None = MISSING
    """In 65 % of the records, null in 35 %."""
    room: Room | Missing = MISSING
    """In 50 % of the records."""
    preferred_languages_of_communication_in_the_clinic_today: (
        tuple[PreferredLanguagesOfCommunicationInTheClinicToday, ...] | Missing
    ) = MISSING
    """In 5 % of the records."""
    very_long_name_of_a_field_that_the_vendor_thought_of: (
        VeryLongNameOfAFieldThatTheVendorThoughtOf | Missing
    ) = MISSING
    """In 5 % of the records."""


FREE_SLOTS = Endpoint("slots/free", FreeSlot)
