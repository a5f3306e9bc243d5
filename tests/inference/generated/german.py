"""Typed records of `praxis/termine`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import time
from typing import Any

from arzamed_async import Endpoint
from attrs import field, frozen


@frozen(kw_only=True)
class Leistung:
    """One of `Leistungen` in `Behandlung`."""

    betrag: float = field(metadata={"json": "Betrag"})
    ziffer: str = field(metadata={"json": "Ziffer"})


@frozen(kw_only=True)
class Behandlung:
    """One of `Behandlungen` in `Termin`."""

    kürzel: str = field(metadata={"json": "Kürzel"})
    leistungen: tuple[Leistung, ...] = field(metadata={"json": "Leistungen"})


@frozen(kw_only=True)
class Arzt:
    """One of `Ärzte` in `Termin`."""

    name: str = field(metadata={"json": "Name"})
    titel: Any = field(metadata={"json": "Titel"})
    """Always null."""


@frozen(kw_only=True)
class Termin:
    """A record of `praxis/termine`."""

    behandlungen: tuple[Behandlung, ...] = field(metadata={"json": "Behandlungen"})
    notiz: str | None = field(metadata={"json": "Notiz"})
    """Null in 50 % of the records."""
    straße: str = field(metadata={"json": "Straße"})
    termin_nr: int = field(metadata={"json": "TerminNr"})
    uhrzeit: time = field(metadata={"json": "Uhrzeit"})
    größe: float
    ärzte: tuple[Arzt, ...] = field(metadata={"json": "Ärzte"})


TERMINE = Endpoint("praxis/termine", Termin)
