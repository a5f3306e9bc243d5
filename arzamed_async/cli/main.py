"""The entry point of `arzamed`, which `_arzamed_async_script` calls. Without the extra it reports how to install it."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

from arzamed_async._extras import missing_package

from .ending import Code, end_process

__all__ = ["main"]

_EXTRA = ("typer", "rich")


def main() -> NoReturn:
    """Run the command line, and end the process; exit code 2 where a required package is not installed."""
    end_process(_run)


def _run() -> None:
    try:
        import_module("rich")  # the commands import it later
        from .app import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(missing_package("arzamed", missing, "cli"), file=sys.stderr)  # noqa: T201 - Rich may be missing
        raise SystemExit(Code.USAGE) from None
    app(prog_name="arzamed")
