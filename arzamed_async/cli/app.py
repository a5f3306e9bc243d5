"""The commands of `arzamed`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from arzamed_async import __version__

from .demo import run_demo

__all__ = ["app"]

# Locals of a traceback may be secrets.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arzamed-async {__version__}")
        raise typer.Exit


@app.callback()
def arzamed(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read live data of Arzamed clinics."""


@app.command()
def demo() -> None:
    """Read a dozen invented clinics on this machine: the real client over real HTTP."""
    run_demo(Console())
