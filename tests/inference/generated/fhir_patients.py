"""Typed records of `equipe/patients`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import date
from uuid import UUID

from arzamed_async import MISSING, Endpoint, Missing
from attrs import frozen


@frozen(kw_only=True)
class Period:
    """`period` in `Address`."""

    end: date
    start: date


@frozen(kw_only=True)
class Address:
    """One of `address` in `Patient`."""

    city: str
    line: tuple[str, ...]
    period: Period


@frozen(kw_only=True)
class ContactName:
    """`name` in `Contact`."""

    family: str
    given: tuple[str, ...]


@frozen(kw_only=True)
class Contact:
    """One of `contact` in `Patient`."""

    name: ContactName
    relationship: str


@frozen(kw_only=True)
class Name:
    """One of `name` in `Patient`."""

    family: str
    given: tuple[str, ...]
    use: str


@frozen(kw_only=True)
class TelecomPeriod:
    """`period` in `Telecom`."""

    start: date


@frozen(kw_only=True)
class Telecom:
    """One of `telecom` in `Patient`."""

    period: TelecomPeriod
    system: str
    value: str


@frozen(kw_only=True)
class MaritalStatus:
    """`maritalStatus` in `Patient`."""

    text: str


@frozen(kw_only=True)
class Patient:
    """A record of `equipe/patients`."""

    address: tuple[Address, ...]
    birth_date: date
    contact: tuple[Contact, ...]
    deceased_boolean: bool
    id: UUID
    name: tuple[Name, ...]
    resource_type: str
    telecom: tuple[Telecom, ...]
    marital_status: MaritalStatus | Missing = MISSING
    """In 20 % of the records."""


PATIENTS = Endpoint("equipe/patients", Patient, personal=True)
