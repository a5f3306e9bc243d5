"""The entry point of `arzamed`, which has to say something useful without the extra, too."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

from arzamed_async._extras import missing_package

from .ending import Code, end_process

__all__ = ["main"]

_EXTRA = ("typer", "rich")


def main() -> NoReturn:
    """Run the command line, and end the process; with 2 where the packages it needs are not installed."""
    end_process(_run)


def _run() -> None:
    try:
        import_module("rich")  # the commands import it when they run
        from .app import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(missing_package("arzamed", missing, "cli"), file=sys.stderr)  # noqa: T201 - no better way is installed
        raise SystemExit(Code.USAGE) from None
    app(prog_name="arzamed")
