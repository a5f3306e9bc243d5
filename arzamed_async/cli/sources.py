"""Where a command finds its clinics."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from arzamed_async import ClinicCredentials, ConfigurationError, load_clinics

from .voice import Voice

__all__ = ["DEFAULT_FILE", "clinics_of"]

DEFAULT_FILE = Path("clinics.toml")
_VARIABLES = ("ARZAMED_CLIENT_ID", "ARZAMED_CLIENT_SECRET", "ARZAMED_TOKEN_URL")
_MOST_NAMES = 10


def clinics_of(file: Path | None, names: Sequence[str], voice: Voice) -> list[ClinicCredentials]:
    """Return the clinics of the file (by default ./clinics.toml, else one from the environment), or those named.

    Raises ConfigurationError, with what to do.
    """
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is None:
        found, where = [_from_environment()], "the environment"
    else:
        if not file.exists():
            raise ConfigurationError(
                f"{file}: there is no such file. `arzamed init {shlex.quote(str(file))}` writes one"
            )
        found, where = load_clinics(file), str(file)
        _warn_of_readers(file, voice)
    if not names:
        return found
    by_name = {clinic.display_name: clinic for clinic in found}
    for name in names:
        if name not in by_name:
            known = [*by_name][:_MOST_NAMES]
            more = f" and {len(by_name) - len(known)} more" if len(by_name) > len(known) else ""
            raise ConfigurationError(f"there is no clinic {name!r} in {where}, which has {', '.join(known)}{more}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _from_environment() -> ClinicCredentials:
    if not any(os.environ.get(name) for name in _VARIABLES):
        raise ConfigurationError(
            f"no clinics: there is no {DEFAULT_FILE} here, and {', '.join(_VARIABLES)} are not set."
            f" `arzamed init` writes a {DEFAULT_FILE} to fill in, --clinics names another"
        )
    return ClinicCredentials.from_env()


def _warn_of_readers(file: Path, voice: Voice) -> None:
    if os.name != "posix":  # elsewhere the mode tells nothing
        return
    mode = file.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        quoted = shlex.quote(str(file))
        voice.say(f"{file} is open to others (mode {stat.S_IMODE(mode):04o}), secrets and all: chmod 600 {quoted}")
