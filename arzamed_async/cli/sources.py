"""The clinics of a command: from a file, or from the environment."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from arzamed_async import ClinicCredentials, ConfigurationError, load_clinics

from .messages import StderrReporter

__all__ = ["DEFAULT_FILE", "clinics_of", "default_file", "exists"]

DEFAULT_FILE = Path("clinics.toml")
_VARIABLES = ("ARZAMED_CLIENT_ID", "ARZAMED_CLIENT_SECRET", "ARZAMED_TOKEN_URL")
_MOST_NAMES = 10
#: Beside this user: the administrator.
_TRUSTED = (0,)


def clinics_of(
    file: Path | None, names: Sequence[str] | None, reporter: StderrReporter, *, verbose: bool = False
) -> list[ClinicCredentials]:
    """Return the clinics of the file (by default `default_file()`, else one from the environment), or those named.

    Raises ConfigurationError with a remedy.
    """
    if file is None:
        file = default_file()
        if file is not None:
            _check_owner(file)
    if file is None:
        found, where = [_from_environment()], "the environment"
        if verbose:
            reporter.message(f"clinics: from the environment ({', '.join(_VARIABLES)})")
    else:
        if not exists(file):
            raise ConfigurationError(f"{file}: no such file. Create it with `arzamed init {shlex.quote(str(file))}`")
        found, where = load_clinics(file), str(file)
        if verbose:
            reporter.message(f"clinics: {file}")
        _warn_of_readers(file, reporter)
    if not names:
        return found
    by_name = {clinic.display_name: clinic for clinic in found}
    for name in names:
        if name not in by_name:
            known = [*by_name][:_MOST_NAMES]
            more = f" and {len(by_name) - len(known)} more" if len(by_name) > len(known) else ""
            raise ConfigurationError(f"no clinic {name!r} in {where} (found {', '.join(known)}{more})")
    return [by_name[name] for name in dict.fromkeys(names)]


def default_file() -> Path | None:
    """Return ./clinics.toml, else the one in the user's configuration folder, where no variables name a clinic."""
    if exists(DEFAULT_FILE):
        return DEFAULT_FILE
    if any(os.environ.get(name) for name in _VARIABLES):
        return None
    file = _users_file()
    return file if file is not None and exists(file) else None


def exists(file: Path) -> bool:
    """Return whether there is such a file, for what this user may see.

    Path's method raises for a name that is too long, and before Python 3.14 for a folder that this user may not enter.
    """
    return os.path.exists(file)  # noqa: PTH110


def _users_file() -> Path | None:
    from arzamed_async.stores._user_folder import user_folder

    try:
        return Path(user_folder("config"), DEFAULT_FILE.name)
    except ConfigurationError:  # there is none: its text would not help to find the clinics
        return None


def _from_environment() -> ClinicCredentials:
    if not any(os.environ.get(name) for name in _VARIABLES):
        users = _users_file()
        also = f", {users} neither" if users is not None else ""
        raise ConfigurationError(
            f"no clinics: {DEFAULT_FILE} does not exist here{also}, and {', '.join(_VARIABLES)} are not set."
            " Create the file with `arzamed init`, or name another with --clinics"
        )
    return ClinicCredentials.from_env()


def _check_owner(file: Path) -> None:
    """Raise ConfigurationError if another user chooses the clinics: each decides where a secret of this user is sent."""
    if os.name != "posix":
        return
    found = file.stat()
    if found.st_uid not in (os.geteuid(), *_TRUSTED):
        problem = "belongs to another user"
    elif found.st_mode & stat.S_IWOTH:
        problem = "can be changed by every user"
    else:
        return
    raise ConfigurationError(
        f"{file} in this folder {problem}, who could send your secrets to another host: if you trust the file, pass --clinics {file}"
    )


def _warn_of_readers(file: Path, reporter: StderrReporter) -> None:
    if os.name != "posix":  # elsewhere the mode has no meaning
        return
    mode = file.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        quoted = shlex.quote(str(file))
        reporter.message(
            f"{file} holds secrets and is open to other users (mode {stat.S_IMODE(mode):04o}): chmod 600 {quoted}"
        )
