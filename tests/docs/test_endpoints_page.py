"""docs/how-to/unpublished-endpoints.md: its way is gone with real processes, its snippets are run, and what it says about
a new endpoint in the package is done to a copy of the package.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from unittest.mock import patch

import pytest
from support.cli import ended, neutral_environment, running
from support.docs_pages import CLINICS, ROOT, blocks_of, run_snippets

PAGE = "docs/how-to/unpublished-endpoints.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
BY_HAND = TEXT[: TEXT.index("## A class by hand")].count("\n")

PROGRAM = """
import asyncio
from arzamed_async import ArzamedSession, Room
from arzamed_async.testing import FakeArzamed

async def main():
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano")
        fake.add_endpoint("equipe/rooms", milano, [{"id": 1, "roomName": "Sala 1"}])
        async with ArzamedSession(base_url=fake.base_url) as session:
            print(await session.clinic(milano).rooms.list())
            async with session.clinic(milano).rooms.stream() as rooms:
                print([room async for room in rooms])

asyncio.run(main())
"""


def test_an_endpoint_is_added_to_the_package_in_nine_lines(tmp_path):
    """The page's two blocks and the name in its lists are all it takes: `clinic.rooms` lists and streams."""
    model, handle = (block.code for block in blocks_of(PAGE) if block.no_run)
    assert len([line for line in (model + handle).splitlines() if line.strip()]) == 9

    package = tmp_path / "arzamed_async"
    shutil.copytree(ROOT / "arzamed_async", package, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(name: str, *changes: tuple[str, str]) -> None:
        text = (package / name).read_text(encoding="utf-8")
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text, count=1)
            assert count, (name, pattern)
        (package / name).write_text(text, encoding="utf-8")

    edit("models.py", (r'    "Slot",\n', '    "Room",\n    "Slot",\n'), (r"\Z", lambda _: "\n\n" + model))
    edit(
        "clinic.py",
        (r"(from \.models import .*)Slot", r"\1Room, Slot"),
        (r"\n    def resource\(", lambda found: "\n" + handle + found[0]),
    )
    edit(
        "__init__.py",
        (r"(from \.models import .*)Slot", r"\1Room, Slot"),
        (r'    "Slot",\n', '    "Room",\n    "Slot",\n'),
    )

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["[Room(id=1, room_name='Sala 1')]"] * 2


@pytest.mark.asyncio
async def test_the_snippets_of_the_page_run_in_order(tmp_path, monkeypatch):
    """What the page shows of classes by hand runs, and prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    snippets = [
        each for each in blocks_of(PAGE) if each.line > BY_HAND and each.language == "python" and not each.no_run
    ]
    assert len(snippets) == 3
    with patch.dict(os.environ):
        await run_snippets(snippets, CLINICS, tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pipes and processes are others there")
def test_the_way_from_records_to_a_class_prints_what_the_page_says(tmp_path, monkeypatch):
    """Each command of the page is run, in order, and its output compared; so are the file and the program. The port is a free one."""
    neutral_environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    way = "\n".join(TEXT.splitlines()[:BY_HAND])
    blocks = re.findall(r"(?:<!-- edit: (.+?) -> (.+?) -->\n)?^```(\w+)\n(.*?)^```$", way, re.MULTILINE | re.DOTALL)
    server = shlex.split(blocks.pop(0)[3].replace("8080", "0"))[1:]
    compared, printed = 0, ""
    with running(*server) as served:
        assert served.stdout is not None
        found = re.search(rb":(\d+)/", served.stdout.read(200))
        assert found
        port = f":{found[1].decode()}/"
        for old, new, language, text in blocks:
            if old:
                changed = (tmp_path / "slots.py").read_text(encoding="utf-8").replace(old, new)
                (tmp_path / "slots.py").write_text(changed, encoding="utf-8")
            if language == "text":
                assert printed == text
                compared += 1
            elif language == "sh":
                _, written, said = ended(*shlex.split(text.replace(":8080/", port))[1:])
                printed = (written + said).decode()
            elif "asyncio.run(" in text:
                program = [sys.executable, "-W", "error", "-c", text.replace(":8080/", port)]
                printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
            else:
                assert (tmp_path / "slots.py").read_text(encoding="utf-8") == text
    assert compared == 6
    assert "invented_slot: str | int" in (tmp_path / "slots.py").read_text(encoding="utf-8")
