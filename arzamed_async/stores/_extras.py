"""Checks that the packages of an extra are installed."""

from __future__ import annotations

from importlib.util import find_spec

from arzamed_async import ConfigurationError
from arzamed_async._extras import missing_package

__all__ = ["require"]


def require(extra: str, *packages: str) -> None:
    """Raise ConfigurationError, which names the extra, if one of its packages is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise ConfigurationError(missing_package("this token store", package, extra))
