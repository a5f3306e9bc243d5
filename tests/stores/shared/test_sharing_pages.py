"""docs/how-to/redis.md and dask.md: what they show runs, with a real Redis and a Dask cluster in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis
from redis_server import RedisServer
from support.docs_pages import CLINICS, ROOT, Block, blocks_of
from support.docs_program import default_base_url, write_clinics

from arzamed_async.testing import FakeArzamed

REDIS = blocks_of("docs/how-to/redis.md")
DASK = blocks_of("docs/how-to/dask.md")
PAGE = (ROOT / "docs/how-to/redis.md").read_text(encoding="utf-8")
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
    server: RedisServer, fake: FakeArzamed, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's ACL and its worker are enough: of two workers, one requests the clinics' tokens. `ping` is allowed, as a check."""
    (acl,) = [block.code.split() for block in REDIS if block.code.startswith("ACL ")]
    server.client.execute_command(*[word.replace("PASSWORD", PASSWORD) for word in acl])
    os.environ["REDIS_URL"] = server.url.replace("//", f"//arzamed:{PASSWORD}@")
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        assert client.ping()
    (program,) = [block.code for block in REDIS if block.is_program]
    (shown,) = [block.code for block in REDIS if block.code.endswith(" token requests\n")]
    names: dict[str, Any] = {}
    exec(program.replace("asyncio.run(main())\n", ""), names)
    for _ in range(2):
        await names["main"]()
    assert capsys.readouterr().out == shown
    assert fake.token_requests() == 3
    places = {key.decode().rpartition(":")[2] for key in server.client.scan_iter("arzamed:token:*")}
    rows = re.findall(r"^\| `:(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == ["kept", "fence", "lease"]
    assert places == {"kept", "fence"}  # and no lease: no request is under way


@pytest.mark.asyncio
async def test_the_clients_of_the_redis_page_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store takes the clients for Sentinel and Cluster as the page makes them."""
    monkeypatch.setenv("REDIS_URL", "redis://redis.invented.example")
    names: dict[str, Any] = {}
    for block in REDIS:
        if block.language == "python" and not block.is_program:
            exec(block.code, names)
    await names["cluster"].aclose()


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
