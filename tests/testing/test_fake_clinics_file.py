"""The clinics file that a fake Arzamed writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from arzamed_async import ArzamedSession, ConfigurationError, load_clinics
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio


async def test_the_file_loads_with_any_name_and_secret(tmp_path: Path) -> None:
    """What load_clinics reads are the fake's own clinics, whatever is in their texts, and they are served."""
    file = tmp_path / "fake.toml"
    async with FakeArzamed() as fake:
        written = [
            fake.add_clinic("Milano"),
            fake.add_clinic('Sala "1" \\ [x].y = z # \U0001f600', client_secret='a"b\\c\U0001f511'),
            fake.add_clinic("Città", client_id="città=1", basic_encoding="raw"),
        ]
        fake.write_clinics(file)
        clinics = load_clinics(file)
        assert clinics == written
        assert [clinic.name for clinic in clinics] == [clinic.name for clinic in written]
        async with ArzamedSession(base_url=fake.base_url) as session:
            for clinic in clinics:
                assert len(await session.clinic(clinic).doctors.list()) == 3
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_the_newest_key_replaces_the_old_one_in_the_file(tmp_path: Path) -> None:
    """A file of a fake is written again, with the key of a rotation; that of another is left as it is."""
    file, other = tmp_path / "fake.toml", tmp_path / "clinics.toml"
    other.write_text("# mine\n", encoding="utf-8")
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano")
        fake.write_clinics(str(file))
        assert load_clinics(file) == [milano]
        new = fake.rotate_key(milano)
        fake.write_clinics(file)
        assert load_clinics(file) == [new]
        with pytest.raises(ConfigurationError, match="choose another name"):
            fake.write_clinics(other)
    assert other.read_text(encoding="utf-8") == "# mine\n"
