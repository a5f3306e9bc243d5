"""Where failures are read: structlog.md and sentry.md."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipe_pages import code_of

from arzamed_async.testing import FakeArzamed


def test_structlog(place: Path, fake_arzamed: FakeArzamed) -> None:
    """Each line is JSON; the library's lines have their fields and what the program has bound; retries are among them."""
    (place / "app.py").write_text(code_of("structlog")["app.py"], encoding="utf-8")
    fake_arzamed.fail(503)
    done = subprocess.run(
        [sys.executable, "-W", "error", "app.py"],
        cwd=place,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    ours = [each for each in lines if each["logger"] == "arzamed_async"]
    assert [(each["level"], each["arzamed_clinic"], each["clinic"], each["job"]) for each in ours] == [
        ("info", "Milano", "Milano", "nightly"),
        ("warning", "Bari", "Bari", "nightly"),
    ]
    read, skipped = (each for each in lines if each["logger"] == "nightly")
    assert (read["event"], read["doctors"]) == ("clinic read", 2)
    assert skipped["arzamed_call_id"] == ours[1]["arzamed_call_id"]
    assert skipped["reason"] in ours[1]["event"]


@pytest.fixture
def sentry(page: Any) -> Iterator[list[Any]]:
    """What Sentry would have got, by a transport in memory."""
    import sentry_sdk
    from sentry_sdk.transport import Transport

    kept: list[Any] = []

    class InMemory(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            kept.append(envelope.get_event())

    level = logging.getLogger("arzamed_async").level
    page.start_sentry(dsn="https://invented@sentry.invalid/1", transport=InMemory)
    sentry_sdk.get_isolation_scope().clear()
    yield kept
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_global_scope().clear()
    logging.getLogger("arzamed_async").setLevel(level)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the frameworks that Sentry looks for
@pytest.mark.parametrize("page", ["sentry"], indirect=True)
def test_sentry(page: Any, sentry: list[Any], fake_arzamed: FakeArzamed) -> None:
    """One event for the clinic that failed, with its text, tags and fingerprint; a retry is a breadcrumb; no secret."""

    async def main() -> None:
        async with page.ArzamedSession(base_url=fake_arzamed.base_url) as session:
            fake_arzamed.fail(503)
            await session.clinic(page.load_clinics("clinics.toml")[0]).doctors.list()
        await page.nightly()

    asyncio.run(main())
    (event,) = sentry
    assert event["fingerprint"] == ["{{ default }}", "Bari"]
    assert event["tags"]["clinic"] == "Bari"
    (error,) = event["exception"]["values"]
    assert error["type"] == "CredentialsRejectedError"
    assert "Bari" in error["value"]
    crumbs = event["breadcrumbs"]["values"]
    assert {each["category"] for each in crumbs} == {"arzamed_async"}
    assert [(each["level"], each["data"]["arzamed_clinic"]) for each in crumbs] == [
        ("info", "Milano"),
        ("warning", "Bari"),
    ]
    kept = json.dumps(event, default=str)
    for secret in ("Bearer", *(each.client_secret for each in page.load_clinics("clinics.toml"))):
        assert secret not in kept


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("page", ["sentry"], indirect=True)
def test_sentry_leaves_requests_on_the_direct_lane(page: Any, sentry: list[Any], fake_arzamed: FakeArzamed) -> None:
    """With the page's options, aiohttp is as it was: no query is a breadcrumb, and calls keep their speed."""
    query = f"invented-{id(page)}"  # in no source line, of which Sentry keeps some

    async def main() -> str:
        async with page.ArzamedSession(base_url=fake_arzamed.base_url) as session:
            milano = page.load_clinics("clinics.toml")[0]
            await session.clinic(milano).doctors.list({"q": query})
            fake_arzamed.script(404)
            with pytest.raises(page.ArzamedError) as caught:
                await session.clinic(milano).doctors.list({"q": query})
            page.sentry_sdk.capture_exception(caught.value)
            return str(session.stats().pool.lane)

    assert asyncio.run(main()) == "direct"
    (event,) = sentry
    assert "Milano" in event["exception"]["values"][-1]["value"]
    assert query not in json.dumps(event, default=str)
