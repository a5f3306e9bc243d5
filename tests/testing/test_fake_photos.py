"""The photos of FakeArzamed, requested as a browser would."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from arzamed_async import ArzamedSession
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeArzamed]:
    async with FakeArzamed() as server:
        yield server


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_photos_of_invented_doctors_are_pictures_that_need_no_token(fake, http):
    """Each doctor that a clinic has of its own leads to an SVG at the fake, without authorization."""
    milano = fake.add_clinic("Milano")
    async with ArzamedSession(base_url=fake.base_url) as session:
        doctors = await session.clinic(milano).doctors.list()
    assert doctors
    for doctor in doctors:
        assert doctor.profile_image is not None
        assert doctor.profile_image.startswith(f"{fake.origin}/photos/")
        async with http.get(doctor.profile_image) as response:
            assert (response.status, response.content_type) == (200, "image/svg+xml")
            assert ET.fromstring(await response.read()).tag == "{http://www.w3.org/2000/svg}svg"


async def test_a_name_has_one_photo_and_another_name_another(fake, http):
    """The photo is drawn from the name alone."""

    async def photo(name: str) -> bytes:
        async with http.get(fake.photo_url(name)) as response:
            return await response.read()

    assert await photo("Dr. Inventata Uno") == await photo("Dr. Inventata Uno")
    assert await photo("Dr. Inventata Uno") != await photo("Dr. Finto Due")


@pytest.mark.parametrize("name", ["Dr. <script>alert(1)</script>", "a/b?c#d", "../../api", "%41", "è 医生", ".svg"])
async def test_any_name_has_a_photo_and_none_of_it_stands_in_the_picture(fake, http, name):
    """A name that would be markup or a path gives a well-formed picture of shapes alone."""
    async with http.get(fake.photo_url(name)) as response:
        body = await response.read()
        assert response.status == 200
    picture = ET.fromstring(body)
    assert {element.tag.rpartition("}")[2] for element in picture.iter()} <= {"svg", "g", "path", "circle", "ellipse"}
    assert not "".join(picture.itertext()).strip()


async def test_photos_may_be_cached_for_good_and_run_nothing(fake, http):
    """A photo may be kept for a year, and opened by itself it loads and runs nothing."""
    async with http.get(fake.photo_url("Dr. Finto")) as response:
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_photos_are_no_requests_of_the_api(fake, http):
    """Photos are not counted, and a fault scripted for the API does not meet them."""
    fake.fail(503, times=None)
    async with http.get(fake.photo_url("Dr. Finto")) as response:
        assert response.status == 200
    assert (fake.api_requests(), fake.requests) == (0, [])


async def test_below_photos_nothing_else_is_served(fake, http):
    """A photo without a name or of another kind is 404, another method 405."""
    for path in ("", ".svg", "finto.png"):
        async with http.get(f"{fake.origin}/photos/{path}") as response:
            assert response.status == 404
    async with http.post(fake.photo_url("Dr. Finto")) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    async with http.head(fake.photo_url("Dr. Finto")) as response:
        assert (response.status, await response.read()) == (200, b"")
