"""What extras use of the core beside its public names; and the text of the error where a package of an extra is not installed."""

from __future__ import annotations

from ._frozen import frozen
from ._tracebacks import hides_arguments

__all__ = ["INSTALL", "frozen", "hides_arguments", "missing_package"]

#: The one way to install an extra, until there is a release to download; the documentation gives the same.
INSTALL = "python3 -m pip install '.[{extra}]'"


def missing_package(user: str, package: str, extra: str) -> str:
    """Return the text of the error: what needs the package, and how to install the extra that brings it."""
    return (
        f"{user} needs {package}, which is not installed: in a checkout of arzamed_async, {INSTALL.format(extra=extra)}"
    )
