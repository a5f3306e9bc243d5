"""The application of docs/how-to/web-apps.md, run as it stands there on a loopback port."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from support.clinics_files import milano_and_bari
from web_support import serving

from arzamed_async.testing import FakeArzamed

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "web-apps.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
session_loop = pytest.mark.asyncio(loop_scope="session")


@session_loop
async def test_the_application_that_reads_all_clinics_tells_which_failed(monkeypatch, tmp_path):
    """Each clinic has its doctors, or null where it could not be read."""
    async with FakeArzamed() as fake:
        milano_and_bari(fake, tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ARZAMED_BASE_URL", fake.base_url)
        module = ModuleType("web_apps_page")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # annotations are looked up there
        exec(compile(PROGRAM, "docs/how-to/web-apps.md", "exec"), module.__dict__)
        async with serving(module.app) as url, aiohttp.ClientSession() as http:
            async with http.get(f"{url}/doctors") as response:
                assert await response.json() == {"Milano": ["Dr. Inventata Milano", "Dr. Finto"], "Bari": None}
