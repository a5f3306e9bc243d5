"""A store's password never passes through a Dask scheduler: what would hold it is refused, and the ways that do not work."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dask_support import Clinics, names, set_variable, store_of_module
from redis_server import RedisServer
from test_dask import _scratch, client, cluster, tracker  # noqa: F401 - fixtures

from arzamed_async import ConfigurationError, SecretFromEnv
from arzamed_async.dask import _store, fan_out_dask
from arzamed_async.stores import FileTokenStore, RedisTokenStore
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

PASSWORD = "invented-c4n4ry-5e1d"
URL = f"rediss://:{PASSWORD}@redis.invented.example/0"
HOLDER = {"store": (URL,)}


@pytest_asyncio.fixture
async def fake() -> Any:
    async with FakeArzamed() as fake:
        yield fake


def with_default(url: str = URL) -> RedisTokenStore:
    return RedisTokenStore(url)


class Maker:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> RedisTokenStore:
        return RedisTokenStore(self.url)


def from_main(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as if it were of the program, which cloudpickle sends with its content."""
    function.__module__ = "__main__"
    return function


def closing_over(url: str) -> list[Any]:
    return [
        lambda: RedisTokenStore(url),
        lambda: RedisTokenStore("rediss://:invented-c4n4ry-5e1d@redis.invented.example/0"),
        lambda: RedisTokenStore("redis://redis.invented.example/0?password=invented-c4n4ry-5e1d"),
        lambda: RedisTokenStore(f"rediss://:{PASSWORD}@redis.invented.example/0"),
        lambda: RedisTokenStore(HOLDER["store"][0]),
        lambda where=url: RedisTokenStore(where),
        functools.partial(RedisTokenStore, url),
        functools.partial(lambda where, prefix: RedisTokenStore(where, prefix=prefix), where=url),
        from_main(with_default),
        Maker(url),
    ]


@pytest.mark.parametrize("number", range(10))
async def test_what_holds_a_url_with_a_password_is_refused(client: Any, number: int) -> None:  # noqa: F811
    """In a cell, a constant, a default, an argument, an attribute or a global: the error says why, and names the ways."""
    for function in closing_over(URL):
        if getattr(function, "__module__", "") == __name__:
            from_main(function)
    with pytest.raises(
        ConfigurationError, match=r"through the Dask scheduler in plain text.*package\.module:function"
    ) as caught:
        fan_out_dask(client, [], names, token_store=closing_over(URL)[number])
    assert PASSWORD not in str(caught.value)


async def test_a_store_with_a_password_is_refused_at_the_call(client: Any) -> None:  # noqa: F811
    """So is a store itself; one that a fetch closes over is refused where it is pickled."""
    store = RedisTokenStore(URL)
    with pytest.raises(ConfigurationError, match="is not pickled"):
        fan_out_dask(client, [], names, token_store=store)

    async def fetch(_clinic: Any) -> bool:
        return store is None

    with pytest.raises(ConfigurationError, match="is not pickled"):
        await anext(fan_out_dask(client, [], fetch))


@pytest.mark.parametrize(
    "name", ["", "module", "module:", ":function", "a b:c", "module:function()", URL, "os:system;x", "m:f\n"]
)
async def test_a_name_that_is_none_is_refused(client: Any, name: str) -> None:  # noqa: F811
    """A text for a store has to be package.module:function; a URL is none, and the error does not show it."""
    with pytest.raises(ConfigurationError, match=r'"package\.module:function"') as caught:
        fan_out_dask(client, [], names, token_store=name)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("name", ["dask_support:missing", "invented_module:store", "dask_support:CALLER"])
async def test_a_name_that_no_worker_has_is_an_error(name: str) -> None:
    """A missing module or function, and one that is no function, is a ConfigurationError that names it."""
    with pytest.raises(ConfigurationError, match=f"no function {name} on the Dask worker"):
        _store.create_store(name)


async def test_what_holds_no_password_is_accepted(tmp_path: Path) -> None:
    """Stores without a password, references, functions of modules and lambdas that hold none of it can be sent."""
    port = "redis://redis.invented.example:6379/0"
    accepted: list[Any] = [
        None, "dask_support:store_of_module", store_of_module, FileTokenStore(tmp_path), RedisTokenStore(port),
        RedisTokenStore(SecretFromEnv("INVENTED_REDIS_URL")), lambda: RedisTokenStore(SecretFromEnv("INVENTED_REDIS_URL")),
        lambda: RedisTokenStore("redis://[::1]:6379/0"), lambda: RedisTokenStore(port), functools.partial(RedisTokenStore, port),
    ]  # fmt: skip
    for store in accepted:
        _store.check_store(store, allow_literal_secrets=False)
    _store.check_store(Maker(URL), allow_literal_secrets=True)
    assert isinstance(_store.create_store("arzamed_async.testing:MemoryTokenStore"), object)


@pytest.mark.parametrize("given", ["name", "function", "store"])
async def test_no_password_reaches_the_scheduler(
    cluster: Any,  # noqa: F811
    client: Any,  # noqa: F811
    fake: FakeArzamed,
    tmp_path: Path,
    given: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a cluster, with a Redis that needs a password: tokens are shared, and no message to the scheduler holds it."""
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", "--requirepass", PASSWORD, password=PASSWORD) as server:
        url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
        await client.run(set_variable, "INVENTED_REDIS_URL", url)
        stores: dict[str, Any] = {
            "name": "dask_support:store_of_module",
            "function": store_of_module,
            "store": RedisTokenStore(SecretFromEnv("INVENTED_REDIS_URL")),
        }
        sent: list[bytes] = []
        submit = client.submit

        def watched(function: Any, job: Any, **options: Any) -> Any:
            sent.append(pickle.dumps((function, job)))
            return submit(function, job, **options)

        monkeypatch.setattr(client, "submit", watched)
        clinics = Clinics(fake, tmp_path)(4)
        async with fan_out_dask(
            client, clinics, names, shard_size=1, token_store=stores[given], base_url=fake.base_url
        ) as outcomes:
            async for outcome in outcomes:
                assert outcome.ok
                held = [pickle.dumps(task.run_spec) for task in cluster.scheduler.tasks.values()]
                assert not [each for each in held if PASSWORD.encode() in each]
        assert sent
        assert not [each for each in sent if PASSWORD.encode() in each]
        assert server.client.keys("arzamed:token:*:kept")
