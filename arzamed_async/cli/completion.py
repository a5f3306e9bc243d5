"""The names of clinics, for the completion of a shell."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from .sources import default_file

__all__ = ["clinic_names"]

#: Names that need no quotes: shells evaluate what a completion writes.
_PLAIN = re.compile(r"[\w.@%+,-]+")


def clinic_names(file: Path | str | None, incomplete: str) -> list[str]:
    """Return the names in a clinics file that begin so and need no quotes. Secrets are not resolved; whatever fails completes nothing."""
    try:
        path = Path(file) if file is not None else default_file()
        clinics: dict[str, Any] = {}
        if path is not None:
            clinics = tomllib.loads(path.read_text(encoding="utf-8")).get("clinics", {})
        names = [str(clinic.get("name", key)) for key, clinic in clinics.items()]
    except Exception:  # noqa: BLE001 - a message would be in the middle of what is typed
        return []
    return [name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name)]
