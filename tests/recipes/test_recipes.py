"""The pages of docs/recipes: celery.md, django.md, fastapi.md, flask.md, lambda.md, quart.md, vcrpy.md, each run as it stands."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.clinics_files import milano_and_bari

from arzamed_async import CredentialsRejectedError
from arzamed_async.testing import FakeArzamed

PAGES = Path(__file__).parents[2] / "docs" / "recipes"
NAMES = ["Dr. Inventata Milano", "Dr. Finto"]


@pytest.fixture
def page(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake_arzamed: FakeArzamed
) -> Iterator[Any]:
    """The module that a page shows, over a clinics file with Milano and, revoked, Bari."""
    milano_and_bari(fake_arzamed, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARZAMED_BASE_URL", fake_arzamed.base_url)
    monkeypatch.setenv("CELERY_BROKER", "memory://")
    file = PAGES / f"{request.param}.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    module: Any = ModuleType(f"recipe_{request.param}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, str(file), "exec"), module.__dict__)
    yield module
    if "SessionThread" in code:
        module.arzamed.close()


def test_every_page_is_run_here() -> None:
    """Each page of the folder has a test in this module that takes it."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [each.stem for each in PAGES.glob("*.md") if f'page", ["{each.stem}"]' not in source] == []


@pytest.mark.parametrize("page", ["flask"], indirect=True)
def test_flask(page: Any, fake_arzamed: FakeArzamed) -> None:
    """400 requests of 8 threads succeed with one token; a revoked clinic is 502 with the remedy; no such clinic is 404."""

    def view(_: int) -> Any:
        return page.app.test_client().get("/clinics/Milano/doctors").json

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(view, range(400))) == [NAMES] * 400
    fake_arzamed.assert_token_requests("Milano", 1)
    response = page.app.test_client().get("/clinics/Bari/doctors")
    assert response.status_code == 502
    assert "Bari" in response.json["error"]
    assert page.app.test_client().get("/clinics/nowhere/doctors").status_code == 404


@pytest.mark.parametrize("page", ["django"], indirect=True)
def test_django(page: Any, fake_arzamed: FakeArzamed) -> None:
    """One session serves WSGI requests of 8 threads, and ASGI requests, with one token request."""
    import django
    from asgiref.sync import SyncToAsync
    from django.conf import settings
    from django.test import AsyncClient, Client

    settings.configure(ALLOWED_HOSTS=["testserver"], ROOT_URLCONF=page.__name__, SECRET_KEY="invented", DATABASES={})
    django.setup()

    def view(_: int) -> Any:
        return Client().get("/clinics/Milano/doctors").json()

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(view, range(80))) == [{"doctors": NAMES}] * 80
    response: Any = asyncio.run(AsyncClient().get("/clinics/Milano/doctors"))
    assert response.json() == {"doctors": NAMES}
    fake_arzamed.assert_token_requests("Milano", 1)
    assert Client().get("/clinics/Bari/doctors").status_code == 502
    assert Client().get("/clinics/nowhere/doctors").status_code == 404
    SyncToAsync.single_thread_executor.shutdown()  # the thread that ASGI requests have had


@pytest.mark.filterwarnings("ignore::DeprecationWarning:celery", "ignore::DeprecationWarning:kombu")
@pytest.mark.parametrize("page", ["celery"], indirect=True)
def test_celery(page: Any, fake_arzamed: FakeArzamed) -> None:
    """Tasks of a worker share one session, and so one token; a revoked clinic fails the task with its error."""
    from celery.contrib.testing.worker import start_worker

    with start_worker(page.app, pool="threads", concurrency=4, perform_ping_check=False, loglevel="ERROR"):
        results = [page.count_doctors.delay("Milano") for _ in range(20)]
        assert [each.get(timeout=30) for each in results] == [2] * 20
        failed = page.count_doctors.delay("Bari")
        with pytest.raises(CredentialsRejectedError, match="Equipe Settings"):
            failed.get(timeout=30)
    fake_arzamed.assert_token_requests("Milano", 1)


@pytest.mark.parametrize("page", ["lambda"], indirect=True)
def test_lambda(page: Any, fake_arzamed: FakeArzamed) -> None:
    """Warm invocations, each with an event loop of its own, keep the token."""
    assert [page.handler({"clinic": "Milano"}, None) for _ in range(5)] == [NAMES] * 5
    fake_arzamed.assert_token_requests("Milano", 1)
    asyncio.run(page.session.aclose())


@pytest.mark.parametrize("page", ["quart"], indirect=True)
def test_quart(page: Any, fake_arzamed: FakeArzamed) -> None:
    """The session is open while the application serves, and closed afterwards."""

    async def main() -> None:
        async with page.app.test_app() as app:
            client = app.test_client()
            for _ in range(2):
                assert await (await client.get("/clinics/Milano/doctors")).json == NAMES
            assert (await client.get("/clinics/Bari/doctors")).status_code == 502
            assert (await client.get("/clinics/nowhere/doctors")).status_code == 404
        assert "closed" in repr(page.app.arzamed)

    asyncio.run(main())
    fake_arzamed.assert_token_requests("Milano", 1)


@pytest.mark.filterwarnings("ignore:Using `httpx`")  # of Starlette's test client
@pytest.mark.parametrize("page", ["fastapi"], indirect=True)
def test_fastapi(page: Any, fake_arzamed: FakeArzamed) -> None:
    """Records have the API's names, with one token; each error of the table has its status, as a JSON detail."""
    from fastapi.testclient import TestClient

    with TestClient(page.app) as client:
        for _ in range(2):
            body = client.get("/clinics/Milano/doctors").json()
            assert [each["name"] for each in body] == NAMES
            assert all(each.keys() == {"name", "profileImage"} for each in body)
        fake_arzamed.assert_token_requests("Milano", 1)
        assert client.get("/clinics/nowhere/doctors").status_code == 404
        assert "Bari" in client.get("/clinics/Bari/doctors").json()["detail"]
        for status, ours in ((404, 404), (403, 502)):
            fake_arzamed.script(status)
            assert client.get("/clinics/Milano/doctors").status_code == ours
        fake_arzamed.fail(503, times=None)
        assert client.get("/clinics/Milano/doctors").status_code == 503


@pytest.mark.parametrize("page", ["vcrpy"], indirect=True)
def test_vcrpy(page: Any, fake_arzamed: FakeArzamed, tmp_path: Path) -> None:
    """A cassette replays without a server, and holds neither the secret nor the token."""
    cassette = tmp_path / "doctors.yaml"
    assert asyncio.run(page.names(str(cassette))) == NAMES
    fake_arzamed.close()
    assert asyncio.run(page.names(str(cassette))) == NAMES
    text = cassette.read_text(encoding="utf-8")
    assert "authorization" not in text.lower()
    assert "access_token" in text
    assert "eyJ" not in text
