"""A Redis that others write to: what is planted under a clinic's keys counts as missing, and is gone after the next token."""

from __future__ import annotations

import logging
import pickle
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis_server import RedisServer
from support import RawServer

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ConfigurationError,
    CredentialsRejectedError,
    Event,
    SecretFromEnv,
    SecretFromFile,
    StoredRejection,
    StoredToken,
    TokenStoreFailed,
)
from arzamed_async._tokens.shared import store_key
from arzamed_async.stores import RedisTokenStore

pytestmark = pytest.mark.asyncio

KEY = "a" * 64
LONG = 600.0
PASSWORD = "invented-password-c4n4ry"
SOUND = {"token": "planted", "rejection": "", "born": str(int(time.time() * 1e6)), "fence": "7"}


def names(key: str = KEY) -> tuple[str, str, str]:
    kept, lease, fence = (f"arzamed:token:{{{key}}}:{what}" for what in ("kept", "lease", "fence"))
    return kept, lease, fence


def plant(server: RedisServer, fields: dict[str, Any], key: str = KEY, seconds: float = LONG) -> None:
    kept, *_ = names(key)
    server.client.delete(*names(key))
    server.client.hset(kept, mapping=fields)
    if seconds:
        server.client.pexpire(kept, int(seconds * 1000))


async def works(server: RedisServer, store: RedisTokenStore, key: str = KEY) -> None:
    """Check that a lease is granted at once, and that what is saved is shared; and that all of it has an end."""
    lease = await store.acquire(key, LONG)
    assert lease is not None
    assert lease.fence < 2**52
    assert await store.save(key, StoredToken("good", 0.0, LONG), lease) is True
    found = await store.load(key)
    assert isinstance(found, StoredToken)
    assert found.access_token == "good"
    await store.release(lease)
    following = await store.acquire(key, LONG)
    assert following is not None
    assert following.fence > lease.fence
    await store.release(following)
    assert all(0 < server.client.pttl(name) <= 2 * 86_400_000 for name in names(key) if server.client.exists(name))


BAD: list[dict[str, Any]] = [
    {"fence": "inf"}, {"fence": "nan"}, {"fence": "-1"}, {"fence": str(2**63)}, {"fence": "text"}, {"fence": ""}, {"fence": "1.5"},
    {"born": "inf"}, {"born": "nan"}, {"born": "text"}, {"born": "-1"}, {"born": "1"},
    {"token": "x" * 8193}, {"token": "x" * 50_000_000}, {"token": "a\r\nX-Injected: 1"}, {"token": b"\xff\xfe"}, {"token": ""},
    {"rejection": "[401]", "token": ""}, {"rejection": "{}", "token": ""}, {"rejection": "[" * 8000, "token": ""},
    {"rejection": '["401", "", ""]', "token": ""}, {"rejection": '[401, "\\u001b[31m", ""]', "token": ""},
    {"rejection": '[401, "", "one\\nWARNING forged"]', "token": ""}, {"rejection": '[401, "", "\\ud800"]', "token": ""},
    {"rejection": '[401, "", {"a": 1}]', "token": ""}, {"rejection": '[NaN, "", ""]', "token": ""},
    {"rejection": '[401, "", "' + "x" * 201 + '"]', "token": ""}, {"rejection": "x" * 50_000_000, "token": ""},
    {"rejection": b"\xff", "token": ""}, {"rejection": '[401, "", ""]'},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
async def test_a_value_that_is_not_valid_is_deleted_and_replaced(
    shared_server: RedisServer, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts as missing, also for a save without a lease; it is deleted, and logged once without any of it."""
    store = RedisTokenStore(shared_server.url)
    kept, *_ = names()
    plant(shared_server, {**SOUND, **BAD[number]})
    assert await store.load(KEY) is None
    assert not shared_server.client.exists(kept)
    plant(shared_server, {**SOUND, **BAD[number]})
    await store.load(KEY)
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().isprintable()
    if "fence" in BAD[number]:
        plant(shared_server, {**SOUND, **BAD[number]})
        assert await store.save(KEY, StoredRejection(401, "", "", 60.0), None) is True
    plant(shared_server, {**SOUND, **BAD[number]})
    await works(shared_server, store)
    await store.aclose()


@pytest.mark.parametrize("seconds", [0, 90_000])
async def test_a_value_without_an_end_is_not_used(shared_server: RedisServer, seconds: float) -> None:
    """A value that never expires, or in more than a day, counts as missing: our own always end."""
    store = RedisTokenStore(shared_server.url)
    plant(shared_server, SOUND, seconds=seconds)
    assert await store.load(KEY) is None
    await works(shared_server, store)
    plant(shared_server, SOUND)
    assert isinstance(await store.load(KEY), StoredToken)  # with an end, it is one like any other
    await store.aclose()


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("kind", ["string", "list", "set", "hash"])
async def test_a_key_of_another_type_is_replaced(shared_server: RedisServer, place: int, kind: str) -> None:
    """WRONGTYPE is no outage: whatever stands under a key of ours, the next token is stored and shared."""
    store = RedisTokenStore(shared_server.url)
    client = shared_server.client
    client.delete(*names())
    name = names()[place]
    plants: dict[str, Any] = {"string": client.set, "list": client.rpush, "set": client.sadd}
    client.hset(name, "x", "y") if kind == "hash" else plants[kind](name, "x" * 100)
    assert await store.load(KEY) is None
    assert await store.discard(KEY, "planted") is False
    await works(shared_server, store)
    await store.aclose()


@pytest.mark.parametrize("fence", ["inf", "-inf", "nan", "text", "", str(2**63), str(2**53), "1e300", "-5", "0x10"])
async def test_lease_numbers_out_of_range_are_overwritten(shared_server: RedisServer, fence: str) -> None:
    """A planted number blocks no lease and is not counted on from: the next lease has one of our range."""
    store = RedisTokenStore(shared_server.url)
    shared_server.client.delete(*names())
    shared_server.client.set(names()[2], fence)
    await works(shared_server, store)
    assert int(shared_server.client.get(names()[2]) or 0) < 2**52
    await store.aclose()


@pytest.mark.parametrize(("owner", "seconds"), [("a" * 32, 0), ("a" * 32, 90_000), ("planted\x1b", 60)])
async def test_a_planted_lease_without_an_end_holds_up_nobody(
    shared_server: RedisServer, owner: str, seconds: int
) -> None:
    """A lease that never ends, or is no process's, is taken over at once."""
    store = RedisTokenStore(shared_server.url)
    shared_server.client.delete(*names())
    shared_server.client.set(names()[1], owner, ex=seconds or None)
    await works(shared_server, store)
    await store.aclose()


foreign = st.binary(max_size=64) | st.text(max_size=64) | st.integers() | st.floats()
rejections = st.from_regex(rb'\[40[0-9], "[ -~]{0,20}", "[ -~]{0,20}"\]', fullmatch=True)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fields=st.dictionaries(
        st.sampled_from(["token", "rejection", "born", "fence"]), st.just("") | foreign | rejections, min_size=1
    ),
    others=st.tuples(foreign, foreign),
    seconds=st.sampled_from([0, 1, LONG]),
)
@example(fields={**SOUND, "token": "", "rejection": '[401, "\\u001b", ""]'}, others=("inf", "nan"), seconds=0)
async def test_no_content_of_redis_breaks_a_call(
    shared_server: RedisServer, fields: dict[str, Any], others: tuple[Any, Any], seconds: float
) -> None:
    """A session gets its token, or a stored rejection with a printable text; then the planted is gone, and the next one shares."""

    def text(value: Any) -> Any:
        return (
            value.encode(errors="surrogatepass")
            if isinstance(value, str)
            else str(value)
            if not isinstance(value, bytes)
            else value
        )

    events: list[Event] = []
    store = RedisTokenStore(shared_server.url)
    async with RawServer() as server:
        key = store_key(server.credentials())
        plant(shared_server, {name: text(value) for name, value in fields.items()}, key, seconds)
        for name, value in zip(names(key)[1:], others, strict=True):
            shared_server.client.set(name, text(value))
        tokens: list[str] = []
        for _ in range(2):
            async with ArzamedSession(
                base_url=server.base_url, token_store=store, observers=[events.append]
            ) as session:
                try:
                    tokens.append((await session.clinic(server.credentials()).token()).access_token)
                except ArzamedError as error:
                    assert type(error) is CredentialsRejectedError
                    assert str(error).isprintable()
                    assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert len(set(tokens)) <= 1
        assert server.token_requests <= 1
    assert not [event for event in events if isinstance(event, TokenStoreFailed)]
    await store.aclose()


# A password.


def url_of(server: RedisServer, password: str = PASSWORD) -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@redis.invented.example/0", f"redis://user:{PASSWORD}@redis.invented.example",
        f"redis://redis.invented.example?password={PASSWORD}", f"rediss://redis.invented.example?ssl_password={PASSWORD}",
    ],
)  # fmt: skip
async def test_a_store_with_a_password_is_not_pickled(url: str) -> None:
    """It is refused with the way to do it, and no password in the error; copies of it are refused as well."""
    import copy

    import cloudpickle

    store = RedisTokenStore(url)
    for pickled in (pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ConfigurationError, match=r"SecretFromEnv.*package\.module:function") as caught:
            pickled(store)
        assert PASSWORD not in str(caught.value)
    client = Redis.from_url(url)
    with pytest.raises(ConfigurationError, match="a client of yours is not pickled"):
        cloudpickle.dumps(RedisTokenStore(client))
    await client.aclose()


@pytest.mark.parametrize("how", ["variable", "file"])
async def test_a_reference_is_pickled_as_a_reference(
    shared_server: RedisServer, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A store by reference is resolved where it is used, works there, and its pickle holds no password."""
    reference: SecretFromEnv | SecretFromFile = SecretFromEnv("INVENTED_REDIS_URL")
    if how == "file":
        reference = SecretFromFile(tmp_path / "url")
    copied = pickle.dumps(RedisTokenStore(reference, prefix="invented:ref:"))
    url = f"{shared_server.url}&client_name={PASSWORD}"
    monkeypatch.setenv("INVENTED_REDIS_URL", url)
    (tmp_path / "url").write_text(url + "\n")
    store = pickle.loads(copied)
    assert await store.save(KEY, StoredToken("good", 0.0, LONG), None) is True
    assert shared_server.client.exists(f"invented:ref:{{{KEY}}}:kept")
    assert PASSWORD.encode() not in pickle.dumps(store)
    assert PASSWORD not in repr(store)
    shared_server.client.delete(f"invented:ref:{{{KEY}}}:kept")
    await store.aclose()


@pytest.mark.parametrize(("value", "text"), [(None, "is not set"), ("http://x", "must begin with redis://")])
async def test_a_reference_that_cannot_be_used_is_logged_and_fails_no_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str | None, text: str
) -> None:
    """An unset variable, or a bad URL in it, is named in the log; the session requests its own token."""
    if value is None:
        monkeypatch.delenv("INVENTED_REDIS_URL", raising=False)
    else:
        monkeypatch.setenv("INVENTED_REDIS_URL", value)
    async with RawServer() as server:
        store = RedisTokenStore(SecretFromEnv("INVENTED_REDIS_URL"))
        async with ArzamedSession(base_url=server.base_url, token_store=store) as session:
            with caplog.at_level(logging.ERROR):
                await session.clinic(server.credentials()).token()
    assert text in caplog.text
    assert "INVENTED_REDIS_URL" in caplog.text


@pytest.mark.parametrize("arguments", [{"prefix": 7}, {}])
async def test_no_frame_of_a_constructor_holds_the_url(arguments: dict[str, Any]) -> None:
    """An error of the constructor has no frame of ours with the URL in its variables."""
    with pytest.raises(ConfigurationError) as caught:
        RedisTokenStore(f"redis://:{PASSWORD}@127.0.0.1:port", **arguments)
    traceback = caught.value.__traceback__
    assert traceback is not None
    frame = traceback.tb_next
    while frame is not None:
        for value in frame.tb_frame.f_locals.values():
            assert PASSWORD not in repr(value)
            assert PASSWORD not in str(value)
        frame = frame.tb_next
