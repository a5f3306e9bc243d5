"""A store in Redis in forked children: its connections are its parent's, and what it stores is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_server import RedisServer
from support.forks import run_forks


@pytest.mark.asyncio
@pytest.mark.parametrize(("how", "given"), [("same", "redis"), ("running", "client"), ("thread", "redis")])
async def test_parent_and_child_do_not_disturb_each_other(
    how: str, given: str, tmp_path: Path, shared_server: RedisServer
) -> None:
    """Neither gets a reply of the other's, and a token that one requests is the other's as well."""
    shared_server.client.flushdb()  # the clinics' ports may come again
    await run_forks(tmp_path, how, store=f"{given}={shared_server.url}")
