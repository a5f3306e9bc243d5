"""docs/how-to/redis.md and dask.md: what they show runs, with a real Redis and a Dask cluster in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from redis_server import RedisServer
from support.docs_pages import CLINICS, Block, blocks_of
from support.docs_program import default_base_url, write_clinics

from arzamed_async import ArzamedSession, load_clinics
from arzamed_async.testing import FakeArzamed

REDIS = blocks_of("docs/how-to/redis.md")
DASK = blocks_of("docs/how-to/dask.md")
PASSWORD = "invented-password-77ac"


def python(blocks: list[Block]) -> list[str]:
    """Return the code of a page's Python blocks."""
    return [block.code for block in blocks if block.language == "python"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArzamed]:
    """Serve the clinics of a `clinics.toml` in the current folder, to sessions that are given no base_url."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ), FakeArzamed() as fake, default_base_url(fake.base_url):
        write_clinics(fake, CLINICS, tmp_path, os.environ)
        yield fake


@pytest.mark.asyncio
async def test_sessions_of_the_redis_page_share_tokens_with_the_rights_that_it_sets(
    server: RedisServer, fake: FakeArzamed
) -> None:
    """The page's ACL and its session are enough: of two processes' sessions, one requests a clinic's token."""
    (acl,) = [block.code.split() for block in REDIS if block.language == "text"]
    server.client.execute_command(*[word.replace("PASSWORD", PASSWORD) for word in acl])
    os.environ["REDIS_URL"] = server.url.replace("//", f"//arzamed:{PASSWORD}@")
    clinic = load_clinics("clinics.toml")[0]
    for _ in range(2):
        names: dict[str, Any] = {}
        exec(python(REDIS)[0], names)
        async with names["session"] as session:
            await session.clinic(clinic).doctors.list()
        await names["store"].aclose()
    assert fake.token_requests(clinic) == 1


@pytest.mark.asyncio
async def test_the_clients_of_the_redis_page_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store takes the clients for Sentinel and Cluster as the page makes them."""
    monkeypatch.setenv("REDIS_URL", "redis://redis.invented.example")
    names: dict[str, Any] = {}
    for code in python(REDIS):
        exec(code, names)
    await names["cluster"].aclose()
    session: ArzamedSession = names["session"]
    await session.aclose()


@pytest.mark.asyncio
async def test_the_fan_out_of_the_dask_page_reads_all_clinics(
    server: RedisServer, fake: FakeArzamed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's program prints one outcome for each clinic, with a worker that shares its tokens by Redis."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    os.environ["REDIS_URL"] = server.url
    (code,) = python(DASK)
    with (
        dask.config.set({"temporary-directory": str(tmp_path / "dask")}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(code.replace("tls://scheduler.example:8786", cluster.scheduler_address), names)
        await names["main"]()
    printed = capsys.readouterr().out.splitlines()
    assert sorted(line.split("'")[1] for line in printed) == ["bari", "milano", "roma"]
    assert all(line.startswith("Success(") and "value=3" in line for line in printed), printed
    assert fake.token_requests() == 3
