"""docs/how-to/unpublished-endpoints.md: what it says about a new endpoint in the package is done to a copy of the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from support.docs_pages import ROOT, blocks_of

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
    model, handle = (block.code for block in blocks_of("docs/how-to/unpublished-endpoints.md") if block.no_run)
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
