"""The command line that the benchmarks have in common: their options, and the file of a report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["new_parser", "write_report"]


def new_parser(description: str | None, *, quick: str) -> argparse.ArgumentParser:
    """Return a parser with `--out` and `--quick`; `quick` is the help of the latter."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="folder for JSON")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def write_report(report: dict[str, Any], out: Path | None, name: str) -> None:
    """Write a benchmark's report as `name`.json into the folder given with `--out`, if one is given."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
