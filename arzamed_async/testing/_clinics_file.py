"""The clinics file of a fake Arzamed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from arzamed_async import ClinicCredentials
from arzamed_async._private_file import write_private

__all__ = ["MARK", "text_of", "write"]

MARK = "# Written by a fake Arzamed: invented clinics."
#: The second one is that of version 0.1.0.
_MARKS = (MARK.encode(), b"# Written by arzamed serve-fake: invented clinics.")


def text_of(base_url: str, clinics: Sequence[ClinicCredentials]) -> str:
    """Return a clinics file."""
    lines = [MARK, f"# base URL: {base_url}"]
    for clinic in clinics:
        lines += [
            "",
            f"[clinics.{_key(clinic.name)}]",
            f"client_id = {_quoted(clinic.client_id)}",
            f"client_secret = {_quoted(str(clinic.client_secret))}",
            f"token_url = {_quoted(clinic.token_url)}",
        ]
        if clinic.basic_encoding != "form":
            lines.append(f"basic_encoding = {_quoted(clinic.basic_encoding)}")
    return "\n".join([*lines, ""])


def write(path: Path, text: str) -> None:
    """Write it with mode 0600. Raises ConfigurationError where another file is there, or it cannot be written."""
    write_private(path, text, replace=_is_ours(path), remedy="no fake wrote it: choose another name")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            return opened.read(max(map(len, _MARKS))).startswith(_MARKS)
    except (OSError, ValueError):  # a path with a NUL
        return False


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _quoted(name)


def _quoted(text: str) -> str:
    """Return a string of TOML: its escapes are JSON's, except those for characters outside ASCII."""
    return json.dumps(text, ensure_ascii=False)
