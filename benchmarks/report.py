"""Write the report: its pictures and tables out of what the benchmarks have measured, and its prose as it stands.

On its pages a table stands between `<!-- table: NAME -->` and `<!-- end -->`, and NAME is a function of tools/tables.py. Only
what is between the two is written. The same figures make the same bytes.

    python benchmarks/report.py --out docs/benchmarks
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tools.tables import filled


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON and of the report")
    parser.add_argument("--no-pictures", action="store_true", help="tables only: matplotlib is not needed")
    parser.add_argument("--quick", action="store_true", help="what the benchmarks take: it makes no difference here")
    arguments = parser.parse_args()
    for page in arguments.out.glob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8"), arguments.out), encoding="utf-8")
    if arguments.no_pictures:
        return
    from tools.plots import PLOTS

    for name, draw in PLOTS.items():
        figures = arguments.out / f"{name}.json"
        if figures.exists():
            draw(json.loads(figures.read_text(encoding="utf-8")), figures.with_suffix(".svg"))


if __name__ == "__main__":
    main()
