"""What a token store returns may be anything, and from anyone: no call sees more of it than a valid token or rejection."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import Request, token_answer
from test_guarded_store import store_failures
from test_shared import Numbered, close, sessions

from arzamed_async import (
    ArzamedError,
    ConfigurationError,
    CredentialsRejectedError,
    Event,
    Lease,
    StoredRejection,
    StoredToken,
    TokenPolicy,
)
from arzamed_async._masked import Masked
from arzamed_async._tokens import shared
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio

BAD_TEXTS = [
    "\x1b[31mred", "one\nWARNING forged", "one\rtwo", "\x9b31m", "\u202eevil", "\ud800", "\u2028", "\x00", "\u061c", "\ufeff",
    "x" * 201, "x" * 5_000_000,
]  # fmt: skip
BAD_NUMBERS = [math.nan, math.inf, -math.inf, -0.001, 1e12, 10**400, True, "60", None, 3 + 0j]


class Text(str):
    """A str that does anything but what a str does."""

    __slots__ = ()

    def __str__(self) -> str:
        raise TypeError("hostile")

    __repr__ = __format__ = isprintable = __eq__ = __hash__ = __len__ = __str__  # type: ignore[assignment]


class Whole(int):
    """An int that cannot be compared."""

    def __le__(self, other: object) -> bool:
        raise TypeError("hostile")

    __ge__ = __lt__ = __gt__ = __eq__ = __add__ = __hash__ = __str__ = __le__  # type: ignore[assignment]


class Number(float):
    """A float that cannot be compared."""

    def __le__(self, other: object) -> bool:
        raise TypeError("hostile")

    __ge__ = __lt__ = __gt__ = __eq__ = __add__ = __radd__ = __str__ = __le__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Pretender:
    """Says that it is of another class, and fails at every other question."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    @property
    def __class__(self) -> Any:
        return object.__getattribute__(self, "_kind")

    def __getattr__(self, name: str) -> Any:
        raise TypeError("hostile")

    def __eq__(self, other: object) -> bool:
        raise TypeError("hostile")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("hostile")

    __str__ = __repr__ = __bool__  # type: ignore[assignment]


class SubToken(StoredToken):
    """A token of a class of its own."""


def made(kind: type, **fields: object) -> Any:
    """Return a value with these fields, whatever they are, or without."""
    value = object.__new__(kind)
    for name, each in fields.items():
        object.__setattr__(value, name, each)
    return value


def bare(text: object, age: object = 0.0, left: object = 600.0) -> Any:
    return made(StoredToken, access_token=text, age_seconds=age, seconds_left=left)


def rejection(status: object = 401, error: object = "", description: object = "", left: object = 60.0) -> Any:
    return made(StoredRejection, status=status, error=error, description=description, seconds_left=left)


good = Masked("planted")
FOREIGN: list[Any] = [
    object(), Pretender(StoredToken), Pretender(StoredRejection), Pretender(type(None)), made(StoredToken), "token", {}, 0, False,
    made(StoredRejection), SubToken("planted", 0.0, 600.0), Lease("k", "o", 1), StoredToken, bare("not masked"), bare(7),
    *(StoredToken(text, 0.0, 600.0) for text in ("", "a b", "é", "x" * 8193, "t\r\nX-Injected: 1", *BAD_TEXTS[:-2])),
    *(bare(good, age=number) for number in (*BAD_NUMBERS, Whole(1), Number(1), 86_000)),
    *(bare(good, left=number) for number in (*BAD_NUMBERS, Whole(1), Number(1))),
    *(rejection(status) for status in (99, 1000, -1, 401.0, "401", True, 10**30, Whole(401), "\x1b", object())),
    *(rejection(error=text) for text in (*BAD_TEXTS, Text("x"), None, 7, b"x", ["x"], object())),
    *(rejection(description=text) for text in (*BAD_TEXTS, Text("x"), None, 7, b"x", ["x"], object())),
    *(rejection(left=number) for number in (*BAD_NUMBERS, 3601, Whole(1), Number(1))),
]  # fmt: skip


class Planted(MemoryTokenStore):
    """Returns what was planted under each key, until something is saved there."""

    def __init__(self, planted: object) -> None:
        super().__init__()
        self.planted = planted
        self.saved: set[str] = set()

    async def load(self, key: str, /) -> Any:
        return await super().load(key) if key in self.saved else self.planted

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        self.saved.add(key)
        return await super().save(key, kept, lease)


async def tokens_of_two(planted: object, events: list[Event]) -> list[str]:
    """Return the tokens of two sessions that share a store with a planted value."""
    async with Numbered() as server:
        opened = sessions(server, Planted(planted), 2, observers=[events.append])
        got = [(await session.clinic(server.credentials()).token()).access_token for session in opened]
        await close(*opened)
    return got


@pytest.mark.parametrize("number", range(len(FOREIGN)))  # pytest itself fails where it compares these
async def test_what_is_not_valid_counts_as_missing_and_is_overwritten(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A foreign value costs one event that shows nothing of it: the next good token is stored, and the second session uses it."""
    events: list[Event] = []
    with caplog.at_level(logging.DEBUG):
        assert await tokens_of_two(FOREIGN[number], events) == ["t1", "t1"]
    assert store_failures(events) in (["ValueError"], ["TypeError"])
    for text in (*map(str, events), *(record.getMessage() for record in caplog.records)):
        assert text.isprintable()
        assert "planted" not in text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3),
)
tokens = st.builds(bare, anything | st.text().map(Masked), anything, anything)
rejections = st.builds(rejection, anything, anything, anything, anything)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(planted=anything | tokens | rejections)
@example(planted=rejection(description="\x1b[2J", error="forged\nline"))
@example(planted=rejection(401, "invalid_client", "plain", 60.0))
async def test_no_value_of_a_store_breaks_a_call(planted: object) -> None:
    """Whatever is stored, a call ends in a token or in the rejection's error, whose text is printable and which pickles."""
    events: list[Event] = []
    try:
        (*_, token) = await tokens_of_two(planted, events)
    except ArzamedError as error:
        assert type(error) is CredentialsRejectedError
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    else:
        assert token in ("t1", getattr(planted, "access_token", ""))
    assert all(str(event).isprintable() for event in events)


LEASES: list[Any] = [
        object(), Pretender(Lease), made(Lease), Lease("another", "o", 1), Lease("\x1b", "o", 1),
        *(made(Lease, key=..., owner="o", fence=fence) for fence in (-1, 2**63, math.inf, math.nan, "1", True, Whole(1), None)),
        *(made(Lease, key=..., owner=owner, fence=1) for owner in (7, None, Text("x"), "\n", "x" * 201)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LEASES)))
async def test_a_lease_that_is_not_valid_is_not_used(number: int) -> None:
    """No store is handed back a lease that it may choke on: the session requests its own token, after one event."""
    used: list[object] = []
    lease = LEASES[number]

    class Store(MemoryTokenStore):
        async def acquire(self, key: str, _seconds: float, /) -> Any:
            if type(lease) is Lease and getattr(lease, "key", None) is ...:
                object.__setattr__(lease, "key", key)
            return lease

        async def save(self, _key: str, _kept: Any, lease: Any, /) -> bool:
            used.append(lease)
            return False

        async def release(self, lease: Any, /) -> None:
            used.append(lease)

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Store(), 1, observers=[events.append])
        assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        await session.aclose()
    assert used == []
    assert store_failures(events) in (["ValueError"], ["TypeError"])


@pytest.mark.parametrize("kind", [GeneratorExit, type("Alien", (BaseException,), {})])
async def test_a_store_that_raises_what_is_no_exception(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """A BaseException of a store is logged as its bug, and leaves no call."""

    class Store(MemoryTokenStore):
        async def load(self, key: str, /) -> Any:
            raise kind

    async with Numbered() as server:
        (session,) = sessions(server, Store(), 1)
        assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        await session.aclose()
    assert "the token store has a bug: Store.load()" in caplog.text


async def test_a_store_that_is_misconfigured_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """A ConfigurationError of a store is logged once with its text, without control characters; no call fails."""

    class Store(MemoryTokenStore):
        async def load(self, key: str, /) -> Any:
            raise ConfigurationError("the environment variable INVENTED_URL is not set\x1b[2J")

    async with Numbered() as server:
        (session,) = sessions(server, Store(), 1)
        for n in range(3):
            await session.clinic(server.credentials(f"c{n}")).token()
        await session.aclose()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "INVENTED_URL is not set" in record.getMessage()
    assert record.getMessage().isprintable()


async def test_a_token_of_more_than_8_kib_is_used_and_not_stored() -> None:
    """An endpoint's token of 8 KiB is shared; a longer one serves the process that requested it, and no other."""
    for size, requests in ((8192, 1), (8193, 2)):
        async with Numbered() as server:

            async def respond(_request: Request, writer: asyncio.StreamWriter, size: int = size) -> None:
                writer.write(token_answer("t" * size))

            server.handler = respond
            opened = sessions(server, MemoryTokenStore(), 2)
            for session in opened:
                assert len((await session.clinic(server.credentials()).token()).access_token) == size
            await close(*opened)
            assert server.token_requests == requests


async def test_rejections_are_stored_for_an_hour_at_most() -> None:
    """However long a policy remembers a rejection, what other processes find ends within an hour."""
    store = MemoryTokenStore()
    async with Numbered() as server:
        server.refuses = True
        (session,) = sessions(server, store, 1, tokens=TokenPolicy(rejected_seconds=10**6))
        with pytest.raises(CredentialsRejectedError):
            await session.clinic(server.credentials()).token()
        await session.aclose()
        kept = await store.load(shared.store_key(server.credentials()))
    assert isinstance(kept, StoredRejection)
    assert kept.is_valid()
    assert kept.seconds_left <= 3600
