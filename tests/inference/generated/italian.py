"""Typed records of `clinica/appuntamenti`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

from datetime import date

from arzamed_async import Endpoint
from attrs import field, frozen


@frozen(kw_only=True)
class Disponibilità:
    """`disponibilità` in `Appuntamento`."""

    piano: int
    sala: str


@frozen(kw_only=True)
class Paziente:
    """One of `pazienti` in `Appuntamento`."""

    codice_fiscale: str = field(metadata={"json": "codice_fiscale"})
    età: int


@frozen(kw_only=True)
class Prestazione:
    """One of `prestazioni` in `Appuntamento`."""

    descrizione: str
    prezzo: int | str


@frozen(kw_only=True)
class Appuntamento:
    """A record of `clinica/appuntamenti`."""

    codice_appuntamento: int = field(metadata={"json": "codice_appuntamento"})
    data_inizio: date = field(metadata={"json": "data_inizio"})
    disponibilità: Disponibilità | None
    """Null in 5 % of the records."""
    pazienti: tuple[Paziente, ...]
    prestazioni: tuple[Prestazione, ...]


APPUNTAMENTI = Endpoint("clinica/appuntamenti", Appuntamento, personal=True)
