"""A dozen invented clinics on this machine, for the page to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arzamed_async import Doctor
from arzamed_async.testing import FakeArzamed

from .app import Place

__all__ = ["demo_clinics"]

_CITIES = (
    "Milano Centro", "Roma Prati", "Napoli Vomero", "Torino Crocetta", "Palermo Kalsa", "Genova Nervi",
    "Bologna Saragozza", "Firenze Oltrarno", "Bari Vecchia", "Catania Etnea", "Venezia Mestre", "Verona Arena",
)  # fmt: skip
_NAMES = (
    "Dr. Ada Inventata", "Dr. Bruno Finto", "Prof. Carla Esempio", "Dr. Dino Immaginario", "Dr. Elsa Fittizia",
    "Dr. Fabio Prova", "Dr. Gina Ipotetica", "Prof. Ivo Qualunque", "Dr. Lia Nessuno", "Dr. Mauro Bozza",
    "Dr. Nora Campione", "Dr. Otto Segnaposto", "Dr. Pia Modello", "Prof. Renzo Figurato", "Dr. Sara Città",
    "Dr. Teo Astratto", "Dr. Ugo Simulato",
)  # fmt: skip
_SECONDS = (0.3, 0.9, 0.5, 1.4, 4.0, 0.7, 0.2, 1.1, 0.4, 1.9, 2.4, 0.6)
_REVOKED = "Bari Vecchia"
_WITHOUT_PHOTO = 7  # every seventh doctor


@asynccontextmanager
async def demo_clinics() -> AsyncIterator[Place]:
    """Start the embedded Arzamed: clinics that take their time, one of them very slow, one with a revoked key."""
    async with FakeArzamed() as fake:
        fake.token_latency_seconds = 0.1
        clinics = []
        number = 0
        for city, seconds in zip(_CITIES, _SECONDS, strict=True):
            doctors = []
            for _ in range(2 + (number * 5 + len(city)) % 4):
                number += 1
                name = _NAMES[number * 5 % len(_NAMES)]
                doctors.append(Doctor(name, fake.photo_url(f"{name}, {city}") if number % _WITHOUT_PHOTO else None))
            clinics.append(fake.add_clinic(city, doctors=doctors))
            fake.set_latency(seconds, city)
        fake.revoke_key(_REVOKED)
        yield Place(clinics, fake.base_url, [fake.origin])
