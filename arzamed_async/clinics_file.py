"""Reads the clinics file: the credentials of many clinics in TOML.

[clinics.milano]
client_id = "..."
token_url = "https://..."
client_secret_env = "MILANO_SECRET"     # or client_secret_file = "milano.secret", or client_secret = "..."
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from ._arguments import path_like, shown_name, shown_path
from ._masked import masked
from ._tracebacks import hides_arguments
from ._validation import decoded_text
from .credentials import ClinicCredentials, SecretFromEnv, SecretFromFile
from .errors import ConfigurationError

__all__ = ["load_clinics"]

#: The most bytes of a clinics file, which are 50,000 clinics: a device, or the wrong file, must not fill the memory.
_MOST_BYTES = 16 * 1024 * 1024
_SECRETS = ("client_secret", "client_secret_env", "client_secret_file")
_OPTIONAL = ("scope", "basic_encoding")
_MOST_DOTS = 256  # tomllib takes quadratic time, and more, for a key of many parts
_KNOWN = {"client_id", "token_url", *_SECRETS, *_OPTIONAL}


@hides_arguments
def load_clinics(path: str | os.PathLike[str]) -> list[ClinicCredentials]:
    """Read a clinics file; return the credentials of each clinic, in the order of the file.

    Each clinic is a table `[clinics.<name>]` with `client_id`, `token_url` and exactly one of these: `client_secret`,
    `client_secret_env` (the name of an environment variable), or `client_secret_file` (a path, relative to the clinics
    file). `scope` and `basic_encoding` are optional.

    Args:
        path: The path of a TOML file of at most 16 MiB.

    Raises:
        ConfigurationError: The file cannot be read, or a key is wrong. The text names the file and the key.
    """
    file = Path(path_like("path", path))
    document = _read(file)
    clinics: dict[str, Any] | None = document.get("clinics")
    unknown = sorted(set(document) - {"clinics"})
    if unknown:
        raise ConfigurationError(
            f"{shown_path(file)}: unknown key {_shown_key(unknown[0])} (expected tables [clinics.<name>])"
        )
    if not isinstance(clinics, dict) or not clinics:
        raise ConfigurationError(f"{shown_path(file)}: no clinics found (expected tables [clinics.<name>])")
    return [_clinic(file, name, table) for name, table in clinics.items()]


def _read(file: Path) -> dict[str, Any]:
    import tomllib  # imported here, so that importing the package stays fast

    problem = ""
    try:
        # A traceback printed with its locals shows this document. Any value may be a secret, even under a misspelt key.
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
        large = f"has more than {_MOST_BYTES >> 20} MiB" if len(data) > _MOST_BYTES else ""
        text, problem = masked(["", large] if large else [*decoded_text(data)])
        if not problem and any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
            problem = f"has a line with more than {_MOST_DOTS} dots"
        if not problem:
            return cast("dict[str, Any]", masked(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"  # tomllib's text gives the position, and quotes at most a key
    except RecursionError:
        problem = "is nested too deeply"
    except (OSError, ValueError) as error:  # a path with NUL in it is a ValueError
        problem = f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    raise ConfigurationError(f"{shown_path(file)}: {problem}")


def _shown_key(key: str) -> str:
    """Return a key in quotes if it looks like one."""
    shown = key if key.replace("-", "_").lower() in _KNOWN else shown_name(key)
    return repr(key) if shown == key else shown


def _clinic(file: Path, name: str, table: Any) -> ClinicCredentials:
    where = f"{shown_path(file)}: [clinics.{name}]"
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where} is not a table")
    table = cast("dict[str, Any]", table)
    for key, value in table.items():
        if key not in _KNOWN:
            raise ConfigurationError(f"{where}: unknown key {_shown_key(key)} (known: {', '.join(sorted(_KNOWN))})")
        if not isinstance(value, str):
            raise ConfigurationError(f"{where}: {key} must be a string")
    for key in ("client_id", "token_url"):
        if key not in table:
            raise ConfigurationError(f"{where}: {key} is missing")
    given = [key for key in _SECRETS if key in table]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ConfigurationError(f"{where}: set exactly one of {', '.join(_SECRETS)} (found {found})")
    optional: dict[str, Any] = {key: str(table[key]) for key in _OPTIONAL if key in table}
    problem = ""
    try:
        return ClinicCredentials(
            str(table["client_id"]),
            _secret(file, given[0], table[given[0]]),
            str(table["token_url"]),
            name=name,
            **optional,
        )
    except ConfigurationError as error:
        problem = str(error)
    raise ConfigurationError(f"{where}: {problem}")


def _secret(file: Path, key: str, value: str) -> str | SecretFromEnv | SecretFromFile:
    if key == "client_secret_env":
        return SecretFromEnv(str(value))
    if key == "client_secret_file":
        return SecretFromFile(file.parent / value)
    return value
