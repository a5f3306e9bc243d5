"""`arzamed serve-fake` in this process: what it announces is there to be read, and is gone when it ends."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from support import until

from arzamed_async import ArzamedSession, ConfigurationError, load_clinics
from arzamed_async.cli import fake
from arzamed_async.cli.fake import Serving
from arzamed_async.cli.messages import StderrReporter

pytestmark = pytest.mark.asyncio


async def read(base_url: str, file: Path) -> dict[str, int]:
    """Return how many doctors each clinic of the file has."""
    async with ArzamedSession(base_url=base_url) as session:
        outcomes = await session.gather(load_clinics(file), lambda clinic: clinic.doctors.list())
    return {outcome.clinic: len(outcome.unwrap()) for outcome in outcomes}


@pytest.mark.parametrize("to_file", [False, True])
async def test_what_is_announced_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str], to_file: bool) -> None:
    """The clinics of the file, or of standard output, are read at the URL announced; a file of its own is replaced."""
    file = tmp_path / "fake.toml"
    for _ in range(2):
        serving = Serving(count=2, write_clinics=file if to_file else None)
        task = asyncio.create_task(fake._serve(serving, StderrReporter()))
        written: list[str] = []

        def announced(written: list[str] = written) -> bool:
            out, errors = capsys.readouterr()
            written += out, errors
            return "serving invented clinics until Ctrl-C" in "".join(written)

        await until(announced)
        text = "".join(written)
        if not to_file:
            file.write_text(text[text.index(fake._MARK) : text.rindex('"') + 1], encoding="utf-8")
            file.chmod(0o600)
        found = re.search(r"http://127\.0\.0\.1:\d+\S*", text)
        assert found
        assert await read(found[0].rstrip("\"'"), file) == {"fake-1": 3, "fake-2": 3}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_port_in_use_and_a_file_of_another_are_configuration_errors(tmp_path: Path) -> None:
    """Either ends the command before it serves, with what to change; the file is left as it is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=f"cannot bind 127.0.0.1:{port}"):
            await fake._serve(Serving(port=port), StderrReporter())
    other = tmp_path / "clinics.toml"
    other.write_text("# somebody's\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="choose another name"):
        await fake._serve(Serving(write_clinics=other), StderrReporter())
    assert other.read_text(encoding="utf-8") == "# somebody's\n"
