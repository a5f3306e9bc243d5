"""Clinics files."""

from __future__ import annotations

from pathlib import Path

from arzamed_async import ClinicCredentials
from arzamed_async.testing import FakeArzamed

__all__ = ["milano_and_bari", "toml"]


def toml(folder: Path, clinics: list[ClinicCredentials], name: str = "invented.toml") -> str:
    """Write a clinics file and return its path."""
    file = folder / name
    lines = []
    for clinic in clinics:
        lines += [
            f'[clinics."{clinic.name}"]',
            f'client_id = "{clinic.client_id}"',
            f'client_secret = "{clinic.client_secret}"',
            f'token_url = "{clinic.token_url}"',
        ]
    file.write_text("\n".join(lines), encoding="utf-8")  # as TOML has it, whatever the locale
    file.chmod(0o600)
    return str(file)


def milano_and_bari(fake: FakeArzamed, folder: Path) -> None:
    """Write `clinics.toml` with two clinics of the fake: Milano and, revoked, Bari."""
    cities = ("Milano", "Bari")
    toml(
        folder,
        [fake.add_clinic(city, doctors=[f"Dr. Inventata {city}", "Dr. Finto"]) for city in cities],
        "clinics.toml",
    )
    fake.revoke_key("Bari")
