"""docs/explanation/comparison.md: its three programs run, and each fault ends as its table has it.

`python tests/recipes/test_comparison.py` writes the table.
"""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from arzamed_async import ClinicCredentials
from arzamed_async.testing import FakeArzamed

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "comparison.md"
RECORD = {"name": "Dr. Inventata", "profileImage": None}
#: A fault of one of two clinics.
CASES: dict[str, Callable[[FakeArzamed, ClinicCredentials], object]] = {
    "nothing fails": lambda fake, clinic: None,
    "HTTP 503, once": lambda fake, clinic: fake.fail(503, clinic=clinic),
    "HTTP 503, always": lambda fake, clinic: fake.fail(503, None, clinic=clinic),
    "HTTP 503 of the token endpoint, once": lambda fake, clinic: fake.fail(503, clinic=clinic, on="token"),
    "the token is rejected (HTTP 401), once": lambda fake, clinic: fake.fail(401, clinic=clinic),
    "the connection breaks in the list, once": lambda fake, clinic: fake.cut_body(60, clinic=clinic),
    "the key was revoked": lambda fake, clinic: fake.revoke_key(clinic),
    "a number where a name should be": lambda fake, clinic: fake.add_endpoint(
        "equipe/doctors", clinic, [{**RECORD, "name": 1}]
    ),
    "a record without a name": lambda fake, clinic: fake.add_endpoint(
        "equipe/doctors", clinic, [{"profileImage": None}]
    ),
}
COLUMNS = ("with_aiohttp.py", "with_httpx.py", "with_arzamed.py")


def programs() -> dict[str, ModuleType]:
    """Return the page's programs as modules, by file name."""
    blocks = re.findall(
        r"^```python\n(# (\S+\.py)\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    modules = {}
    for code, file in blocks:
        module = modules[file] = ModuleType("comparison_" + file.removesuffix(".py"))
        sys.modules[module.__name__] = module  # annotations are looked up there
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Authlib's of httpx, which the page names
            exec(compile(code, f"{PAGE.name} ({file})", "exec"), module.__dict__)
    return modules


def settings_of(clinic: ClinicCredentials) -> dict[str, str]:
    """Return a clinic as `tomllib` reads it from a clinics file."""
    secret = clinic.client_secret
    assert isinstance(secret, str)
    return {"client_id": clinic.client_id, "client_secret": secret, "token_url": clinic.token_url}


def outcome_of(result: Any, secrets: list[str]) -> str:
    """Return what a caller gets, as the table has it."""
    if isinstance(result, list):
        return "the list" if all(isinstance(each.name, str) for each in result) else "**a wrong list**"
    shown = f"{result!r} {vars(result)!r} {result.args!r}" + "".join(traceback.format_exception(result))
    leaks = " with a secret in its `repr`" if any(secret in shown for secret in secrets) else ""
    return f"`{type(result).__name__}`{leaks}"


async def outcome(module: ModuleType, strike: Callable[[FakeArzamed, ClinicCredentials], object]) -> str:
    """Run a program over two clinics, one of which has the fault, and return the outcome of that one."""
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic(name, doctors=["Dr. Inventata", "Dr. Finto"]) for name in ("Milano", "Bari")]
        strike(fake, clinics[0])
        module.BASE_URL = fake.base_url
        own = module.__name__.endswith("arzamed")
        results = await module.read(clinics if own else {each.name: settings_of(each) for each in clinics})
        assert [each.name for each in results["Bari"]] == ["Dr. Inventata", "Dr. Finto"]
        return outcome_of(results["Milano"], ["Bearer ", "Basic ", settings_of(clinics[0])["client_secret"]])


async def table() -> str:
    """Return the table of the page."""
    modules = programs()
    rows = ["| fault of one clinic | aiohttp, by hand | httpx and Authlib | this library |", "|---|---|---|---|"]
    for name, strike in CASES.items():
        rows.append(f"| {name} | " + " | ".join([await outcome(modules[each], strike) for each in COLUMNS]) + " |")
    return "\n".join(rows)


def test_each_fault_ends_as_the_page_says() -> None:
    """Each cell is what the caller of that program gets, and a fault of one clinic takes no other clinic with it."""
    pytest.importorskip("authlib")
    written = PAGE.read_text(encoding="utf-8").partition("<!-- table: outcomes -->\n")[2].partition("\n<!-- end -->")[0]
    assert written == asyncio.run(table())


def test_the_page_counts_the_lines_of_its_programs() -> None:
    """The figures for the length are those of the programs above them."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [code.count("\n") for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]
    assert "| lines of the program above | {} | {} | {} |".format(*lines) in text


if __name__ == "__main__":
    written = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        re.sub(
            r"(?s)(<!-- table: outcomes -->\n).*?(\n<!-- end -->)",
            lambda found: found[1] + asyncio.run(table()) + found[2],
            written,
        ),
        encoding="utf-8",
    )
