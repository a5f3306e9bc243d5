"""Each application of docs/how-to/web-apps.md, run as it stands there on a loopback port."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from aiohttp import web
from support.clinics_files import milano_and_bari
from web_support import serving

from arzamed_async.testing import FakeArzamed

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "web-apps.md").read_text(encoding="utf-8")
BLOCKS = {
    heading.partition(":")[0]: code
    for heading, code in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
}
session_loop = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def running(app: object) -> AsyncIterator[str]:
    """Serve an application of either kind."""
    if not isinstance(app, web.Application):
        async with serving(app) as url:
            yield url
        return
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def application(
    name: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> AsyncIterator[tuple[str, FakeArzamed]]:
    """Run the page's block under this heading, over a clinics file with Milano and, revoked, Bari."""
    async with FakeArzamed() as fake:
        milano_and_bari(fake, folder)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("ARZAMED_BASE_URL", fake.base_url)
        module = ModuleType(f"web_apps_{name.lower().replace('.', '_')}")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # annotations are looked up there
        exec(compile(BLOCKS[name], f"docs/how-to/web-apps.md ({name})", "exec"), module.__dict__)
        async with running(module.app) as url:
            yield url, fake


def test_every_application_of_the_page_is_run_here():
    """The page has four applications, each under a heading of its own."""
    assert BLOCKS.keys() == {"aiohttp.web", "Starlette", "FastAPI", "Litestar"}
    assert PAGE.count("```python") == len(BLOCKS)


@session_loop
async def test_the_aiohttp_application_answers_with_doctors_and_502_for_a_clinic_that_fails(monkeypatch, tmp_path):
    """One session serves both requests; the revoked clinic's error tells the remedy."""
    async with application("aiohttp.web", monkeypatch, tmp_path) as (url, fake), aiohttp.ClientSession() as http:
        for _ in range(2):
            async with http.get(f"{url}/clinics/Milano/doctors") as response:
                assert await response.json() == ["Dr. Inventata Milano", "Dr. Finto"]
        assert fake.token_requests("Milano") == 1
        async with http.get(f"{url}/clinics/Bari/doctors") as response:
            assert response.status == 502
            assert "Equipe Settings" in (await response.json())["error"]
        async with http.get(f"{url}/clinics/nowhere/doctors") as response:
            assert response.status == 404


@session_loop
async def test_the_starlette_application_streams_ndjson_and_ends_a_short_list_in_an_error(monkeypatch, tmp_path):
    """A line for each record; a list that fails ends in a line that says so."""
    async with application("Starlette", monkeypatch, tmp_path) as (url, _), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/clinics/Milano/doctors") as response:
            assert response.content_type == "application/x-ndjson"
            lines = [json.loads(line) for line in (await response.text()).splitlines()]
        assert lines == [{"name": "Dr. Inventata Milano"}, {"name": "Dr. Finto"}]
        async with http.get(f"{url}/clinics/Bari/doctors") as response:
            assert [*json.loads(await response.text())] == ["error"]
        async with http.get(f"{url}/clinics/nowhere/doctors") as response:
            assert response.status == 404


@session_loop
@pytest.mark.parametrize("name", ["FastAPI", "Litestar"])
async def test_the_applications_that_read_all_clinics_tell_which_failed(monkeypatch, tmp_path, name):
    """Each clinic has its doctors, or null where it could not be read."""
    async with application(name, monkeypatch, tmp_path) as (url, _), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/doctors") as response:
            assert await response.json() == {"Milano": ["Dr. Inventata Milano", "Dr. Finto"], "Bari": None}
