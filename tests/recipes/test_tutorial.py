"""docs/tutorial/fastapi-page.md, done as it stands: the commands, the programs, and the tests that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_pages import PAGES, code_of, import_page
from support.docs_program import write_clinics

from arzamed_async.testing import FakeArzamed

PAGE = "../tutorial/fastapi-page"
TEXT = (PAGES / f"{PAGE}.md").read_text(encoding="utf-8")


def test_the_first_program_prints_what_the_page_shows(fake_arzamed: FakeArzamed, tmp_path: Path) -> None:
    """It reads the first clinic from the clinics file of its folder."""
    write_clinics(
        fake_arzamed, '[clinics.fake-1]\nclient_id = "a"\nclient_secret = "b"\ntoken_url = "c"\n', tmp_path, {}
    )
    code = code_of(PAGE)["first.py"]
    assert "http://127.0.0.1:8080/api/v1" in code
    (tmp_path / "first.py").write_text(
        code.replace("http://127.0.0.1:8080/api/v1", fake_arzamed.base_url), encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "first.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    shown = re.search(r"```text\n(.*?)```", TEXT, re.DOTALL)
    assert shown
    assert (done.stderr, done.stdout) == ("", shown[1])


@pytest.mark.filterwarnings("ignore:Using `httpx`")  # of Starlette's test client
def test_the_page_shows_what_has_failed(
    monkeypatch: pytest.MonkeyPatch, fake_arzamed: FakeArzamed, tmp_path: Path
) -> None:
    """With a slow clinic and a revoked key it responds within its deadline, and names both errors as the tutorial does."""
    from fastapi.testclient import TestClient

    clinics = [fake_arzamed.add_clinic(name) for name in ("fake-1", "fake-2", "fake-3")]
    fake_arzamed.set_latency(8, "fake-2")
    fake_arzamed.revoke_key("fake-3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARZAMED_BASE_URL", fake_arzamed.base_url)
    app = import_page(PAGE, monkeypatch, 1)
    monkeypatch.setattr(app, "load_clinics", lambda _path: clinics)
    with TestClient(app.app) as client:
        text = client.get("/").text
    assert "<h2>fake-1</h2><p>Dr. Inventata Uno, Dr. Finto Due, Dr. Esempio Terzo</p>" in text
    for error in ("DeadlineExceededError", "CredentialsRejectedError"):
        assert f"not available ({error})" in text
        assert f'"not available ({error})"' in re.sub(r"\s+", " ", TEXT)


def test_its_tests_pass(tmp_path: Path) -> None:
    """The tests of the page pass in a folder with its application."""
    for file, code in code_of(PAGE).items():
        (tmp_path / file).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "test_app.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr
