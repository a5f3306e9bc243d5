"""docs/how-to/nightly-export.md: its command does what the page says, and cron and systemd run that command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pyarrow.parquet
import pytest
from support.cli import Beside, ended, neutral_environment
from support.docs_pages import ROOT, blocks_of

from arzamed_async.testing import FakeArzamed

BLOCKS = blocks_of("docs/how-to/nightly-export.md")
PAGE = (ROOT / "docs/how-to/nightly-export.md").read_text(encoding="utf-8")
COMMAND = shlex.split(BLOCKS[0].code)


def test_cron_and_systemd_run_the_command_of_the_page() -> None:
    """The line of the crontab and ExecStart have the arguments that the page explains, and set the clinics file."""
    cron, service, _timer, _printed = [block.code for block in BLOCKS if block.language == "text"][1:]
    line = cron.splitlines()[-1]
    started = re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)
    assert shlex.split(line.partition("/bin/arzamed ")[2]) == COMMAND[1:]
    assert [shlex.split(each)[1:] for each in started] == [COMMAND[1:]]
    assert "%" not in line  # a line break to cron
    for text in (line, service):
        assert "ARZAMED_CLINICS=/etc/arzamed/clinics.toml" in text


@pytest.mark.parametrize(
    ("revoked", "code", "replaced"), [((), 0, True), (("fake-2",), 3, True), (("fake-1", "fake-2", "fake-3"), 4, False)]
)
def test_the_exit_code_the_file_and_the_messages_are_those_of_the_page(
    revoked: tuple[str, ...], code: int, replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the night before is replaced where the page says so, and the last lines are the page's."""
    neutral_environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = Path("doctors.parquet")
    before.write_bytes(b"that of the night before")

    def revoke(fake: FakeArzamed) -> None:
        for name in revoked:
            fake.revoke_key(name)

    with Beside() as beside:
        monkeypatch.setenv("ARZAMED_CLINICS", beside.clinics(tmp_path, "fake-1", "fake-2", "fake-3"))
        beside.do(revoke)
        got, _, said = ended(*COMMAND[1:], "--base-url", beside.fake.base_url)
    row = re.search(rf"^\| {code} \| [^|]* \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert row is not None
    assert (got, row[1].startswith("replaced")) == (code, replaced)
    assert Path("report.json").exists()
    if replaced:
        assert pyarrow.parquet.read_table(before).num_rows == 3 * (3 - len(revoked))
    else:
        assert before.read_bytes() == b"that of the night before"
    if code == 3:
        shown = next(block.code for block in BLOCKS if block.code.startswith("arzamed: "))
        assert re.fullmatch(re.escape(shown).replace("…", ".*"), said.decode()), said.decode()
