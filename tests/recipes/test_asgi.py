"""Applications with an event loop: aiohttp-web.md, fastapi.md, litestar.md, quart.md, starlette.md."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from recipe_pages import NAMES

from arzamed_async.testing import FakeArzamed

PICTURES = pytest.mark.filterwarnings("ignore:Using `httpx`")  # of Starlette's test client


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
        assert "closed" in repr(page.app.extensions["arzamed"])

    asyncio.run(main())
    fake_arzamed.assert_token_requests("Milano", 1)


@PICTURES
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
        shape = client.get("/openapi.json").json()["components"]["schemas"]["DoctorOut"]["properties"]
        assert shape.keys() == {"name", "profileImage"}
        assert client.get("/clinics/nowhere/doctors").status_code == 404
        assert "Bari" in client.get("/clinics/Bari/doctors").json()["detail"]
        for status, ours in ((404, 404), (403, 502)):
            fake_arzamed.script(status)
            assert client.get("/clinics/Milano/doctors").status_code == ours
        fake_arzamed.fail(503, times=None)
        assert client.get("/clinics/Milano/doctors").status_code == 503


@PICTURES
@pytest.mark.parametrize("page", ["fastapi"], indirect=True)
def test_the_dependency_can_be_overridden(page: Any, arzamed_session: Any) -> None:
    """As the page says: a route takes a clinic of the fixture's session, without the lifespan."""
    from fastapi.testclient import TestClient

    milano = page.load_clinics("clinics.toml")[0]
    page.app.dependency_overrides[page.clinic_of] = lambda: arzamed_session.clinic(milano)
    assert len(TestClient(page.app).get("/clinics/any/doctors").json()) == len(NAMES)


@pytest.mark.parametrize("page", ["fastapi"], indirect=True)
def test_the_table_of_statuses_is_the_programs(page: Any) -> None:
    """Each row of the page's table has the status that the program gives these errors."""
    import re

    from recipe_pages import PAGES

    import arzamed_async

    rows = re.findall(r"^\| (`.+`) \| (\d{3})", (PAGES / "fastapi.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {
        getattr(arzamed_async, name): int(status) for names, status in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert {**told, arzamed_async.ArzamedError: 502} == page.STATUSES


@PICTURES
@pytest.mark.parametrize("page", ["starlette"], indirect=True)
def test_starlette(page: Any, fake_arzamed: FakeArzamed) -> None:
    """One session serves lists and streams; a stream that fails ends in a line that says so."""
    from starlette.testclient import TestClient

    with TestClient(page.app) as client:
        assert [each["name"] for each in client.get("/clinics/Milano/doctors").json()] == NAMES
        response = client.get("/clinics/Milano/doctors.ndjson")
        assert response.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["name"] for line in response.text.splitlines()] == NAMES
        fake_arzamed.assert_token_requests("Milano", 1)
        assert client.get("/clinics/Bari/doctors").status_code == 502
        assert [*json.loads(client.get("/clinics/Bari/doctors.ndjson").text)] == ["error"]
        assert client.get("/clinics/nowhere/doctors").status_code == 404


@pytest.mark.parametrize("page", ["litestar"], indirect=True)
def test_litestar(page: Any, fake_arzamed: FakeArzamed) -> None:
    """One clinic has its records or a status; of all clinics, one that could not be read is null."""
    from litestar.testing import TestClient

    with TestClient(page.app) as client:
        assert [each["name"] for each in client.get("/clinics/Milano/doctors").json()] == NAMES
        assert client.get("/doctors").json() == {"Milano": NAMES, "Bari": None}
        fake_arzamed.assert_token_requests("Milano", 1)
        response = client.get("/clinics/Bari/doctors")
        assert (response.status_code, "Bari" in response.json()["detail"]) == (502, True)
        assert client.get("/clinics/nowhere/doctors").status_code == 404


@pytest.mark.parametrize("page", ["aiohttp-web"], indirect=True)
def test_aiohttp_web(page: Any, fake_arzamed: FakeArzamed) -> None:
    """One session serves all requests; a clinic that fails is 502 with the remedy; the end closes the session."""
    from aiohttp.test_utils import TestClient, TestServer

    async def main() -> None:
        app = page.create_app()
        async with TestClient(TestServer(app)) as client:
            for _ in range(2):
                assert await (await client.get("/clinics/Milano/doctors")).json() == NAMES
            response = await client.get("/clinics/Bari/doctors")
            assert response.status == 502
            assert "Equipe Settings" in (await response.json())["error"]
            assert (await client.get("/clinics/nowhere/doctors")).status == 404
        assert "closed" in repr(app[page.SESSION])

    asyncio.run(main())
    fake_arzamed.assert_token_requests("Milano", 1)


@pytest.mark.parametrize("page", ["aiohttp-web"], indirect=True)
def test_a_client_that_leaves_cancels_an_aiohttp_handler_if_told_so(page: Any, fake_arzamed: FakeArzamed) -> None:
    """With `handler_cancellation` the request to the clinic ends with the client, as the page says."""
    from aiohttp.test_utils import TestClient, TestServer

    async def main() -> None:
        async with TestClient(TestServer(page.create_app())) as client:  # a TestServer has the option
            fake_arzamed.script("hang")
            call = asyncio.create_task(client.get("/clinics/Milano/doctors"))
            while not fake_arzamed.api_requests():
                await asyncio.sleep(0.005)
            call.cancel()
            await asyncio.wait([call])
            await fake_arzamed.wait_until_idle()

    asyncio.run(main())
