"""The user's folders for this package, as the platform names them: absolute, or an error."""

from __future__ import annotations

from pathlib import Path

from arzamed_async import ConfigurationError

from ._extras import require

__all__ = ["user_folder"]


def user_folder(kind: str) -> str:
    """Return the user's "cache" or "config" folder for `arzamed-async`.

    Raises ConfigurationError where the environment gives none that is absolute: HOME unset with an unknown user id, a
    relative HOME or XDG_* variable. A `~` that is not expanded would be a folder in the working folder.
    """
    require("stores", "platformdirs")
    import platformdirs

    find = {"cache": platformdirs.user_cache_dir, "config": platformdirs.user_config_dir}[kind]
    try:
        folder = find("arzamed-async", appauthor=False)
    except (KeyError, OSError, RuntimeError, ValueError):  # no home, no entry for the user id
        folder = ""
    if not Path(folder).is_absolute():
        raise ConfigurationError(
            f"the user's {kind} folder is not known: set HOME, or XDG_{kind.upper()}_HOME, to an absolute path"
        )
    return folder
