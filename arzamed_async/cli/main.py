"""The entry point of `arzamed`, which has to say something useful without the extra, too."""

from __future__ import annotations

import io
import sys
from importlib import import_module

from arzamed_async._extras import missing_package

__all__ = ["main"]

_EXTRA = ("typer", "rich")


def main() -> None:
    """Run the command line; exit with 2 where the packages it needs are not installed."""
    try:
        import_module("rich")  # the commands import it when they run
        from .app import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(missing_package("arzamed", missing, "cli"), file=sys.stderr)  # noqa: T201 - no better way is installed
        raise SystemExit(2) from None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows fewer letters is no error
    app(prog_name="arzamed")
