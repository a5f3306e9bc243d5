"""docs/explanation/design.md: its tree, its table of imports, and the walks, which are held against calls that are recorded."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import aiohttp
import pytest
from architecture.test_layers import LOW, MAY_IMPORT, VALUES
from support.raw_server import take_ordinary_lane
from support.sources import CORE, EXTRAS, MODULES, PACKAGE, tree_of

from arzamed_async import ArzamedError, ArzamedSession, RetryPolicy, Success
from arzamed_async.testing import FakeArzamed, MemoryTokenStore

TEXT = (Path(__file__).parents[2] / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
Step = tuple[str, str]


def section(heading: str) -> str:
    """Return the text below a heading, to the next one of any level."""
    return re.split(r"^#+ ", TEXT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def walk(heading: str) -> list[Step]:
    """Return module and function of each step of a walk."""
    return [(row[0].strip("`"), name) for row in rows(heading) for name in re.findall(r"`([\w.]+)`", row[1])]


def functions_of(path: Path) -> set[str]:
    """Return the qualified names of the functions and methods in a module."""
    tree = tree_of(path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    methods = {f"{each.name}.{node.name}" for each in classes for node in each.body if isinstance(node, kinds)}
    return methods | {node.name for node in tree.body if isinstance(node, kinds)}


@contextmanager
def recorded() -> Iterator[list[Step]]:
    """Record each function of the core that this thread enters."""
    entered: list[Step] = []

    def enter(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            module = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            entered.append((module, frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(enter)
    try:
        yield entered
    finally:
        sys.setprofile(before)


async def read_a_list(fake: FakeArzamed) -> None:
    async with ArzamedSession(base_url=fake.base_url, token_store=MemoryTokenStore()) as session:
        assert await session.clinic(fake.add_clinic("Milano")).doctors.list()


async def read_a_stream(fake: FakeArzamed) -> None:
    credentials = fake.add_clinic("Milano", doctors=[f"Dr. Inventata {number}" for number in range(500)])
    async with ArzamedSession(base_url=fake.base_url) as session:
        await session.clinic(credentials).token()
        async with session.clinic(credentials).doctors.stream() as stream:
            assert len([doctor async for doctor in stream]) == 500


async def fan_out(fake: FakeArzamed) -> None:
    async def name(clinic: object) -> str:
        return str(clinic)

    clinics = [fake.add_clinic(city) for city in ("Milano", "Roma")]
    async with ArzamedSession(base_url=fake.base_url) as session, session.fan_out(clinics, name) as outcomes:
        assert [type(outcome) async for outcome in outcomes] == [Success, Success]


async def read_observed(fake: FakeArzamed) -> None:
    events: list[object] = []
    async with ArzamedSession(base_url=fake.base_url, observers=[events.append]) as session:
        clinic = session.clinic(fake.add_clinic("Milano"))
        await clinic.token()
        events.clear()
        assert await clinic.doctors.list()
    assert [type(event).__name__ for event in events] == ["RequestFinished"]


WALKS: dict[str, Callable[[FakeArzamed], Awaitable[None]]] = {
    "A token, from credentials to header": read_a_list,
    "A record, from socket to caller": read_a_stream,
    "An outcome of a fan-out": fan_out,
    "An event, from request to observer": read_observed,
}


@pytest.mark.parametrize("heading", WALKS)
def test_each_function_of_a_walk_exists(heading: str) -> None:
    """A walk names functions and methods that its modules define."""
    steps = walk(heading)
    assert len(steps) > 7
    assert [step for step in steps if step[1] not in functions_of(PACKAGE / step[0])] == []


@pytest.mark.asyncio
@pytest.mark.parametrize("heading", WALKS)
async def test_the_functions_of_a_walk_are_entered_in_its_order(heading: str, fake_arzamed: FakeArzamed) -> None:
    """A recorded call enters the functions of a walk one after another, as the page lists them."""
    with recorded() as entered:
        await WALKS[heading](fake_arzamed)
    rest = iter(entered)
    assert [step for step in walk(heading) if step not in rest] == []


def test_the_table_of_imports_is_the_one_that_is_tested() -> None:
    """The page gives each package the imports that the test of layers allows it."""
    for name, written in (("Values", VALUES), ("Tools", LOW)):
        sentence = re.search(rf"\*{name}\* are (.*?)\.(?:\s|$)", section("Imports"), re.DOTALL)
        assert sentence is not None
        assert set(re.findall(r"`(\w+)`", sentence[1])) == written
    table = {
        package.strip("`"): set(re.findall(r"`(\w+)`", imports))
        | (VALUES if "*values*" in imports else set())
        | (LOW if "*tools*" in imports else set())
        for package, imports in rows("Imports")
    }
    assert table == MAY_IMPORT


def test_the_tree_shows_every_package_and_module() -> None:
    """Each package, and each module beside them, is in the tree; and the tree names nothing else."""
    tree = section("One package per concern")
    shown = set(re.findall(r"(?<![\w/])(\w+)(?:\.py|/)(?=\s)", tree.partition("```text")[2].partition("```")[0]))
    assert shown - {PACKAGE.name} == ({name.partition(".")[0] for name in MODULES if name} | set(EXTRAS))
    assert {name.partition(".")[0] for name in CORE} < shown


@pytest.mark.asyncio
async def test_the_table_of_the_lanes_has_the_texts_of_stats(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each case in the table of the two lanes, in its order, `stats().pool.lane` is the text beside it."""

    async def lane(**options: object) -> str:
        async with FakeArzamed() as fake:
            credentials = fake.add_clinic("Milano", doctors=["Dr. Inventata"])
            async with ArzamedSession(base_url=fake.base_url, retry=RetryPolicy.none(), **options) as session:  # type: ignore[arg-type]
                with suppress(ArzamedError):  # the proxy does not exist
                    await session.clinic(credentials).doctors.list()
                return session.stats().pool.lane

    found = [
        await lane(),
        await lane(http=aiohttp.ClientSession),
        await lane(proxy="http://127.0.0.1:9"),
        await lane(trust_env=True),
    ]
    with monkeypatch.context() as patch:
        trace_configs = property(lambda _: [aiohttp.TraceConfig()])
        patch.setattr(aiohttp.ClientSession, "trace_configs", trace_configs)
        found.append(await lane())
    with monkeypatch.context() as patch:
        take_ordinary_lane(patch)
        found.append(await lane())
    assert [row[1] for row in rows("The two lanes")] == [f"`{text}`" for text in found]
