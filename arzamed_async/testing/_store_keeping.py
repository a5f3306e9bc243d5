"""The tests of a TokenStore that are about what it keeps, and the tools of all its tests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from arzamed_async import Lease, StoredRejection, StoredToken, TokenStore

__all__ = ["Keeping", "StoreTools", "rejection", "texts", "token"]

_LONG = 600.0
_BOUND_SECONDS = 20.0


def token(text: str = "invented-token", *, age: float = 0.0, left: float = _LONG) -> StoredToken:
    """Return a token to save."""
    return StoredToken(text, age, left)


def rejection(left: float = _LONG) -> StoredRejection:
    """Return a rejection to save."""
    return StoredRejection(401, "invalid_client", "An invented description: è no use", left)


def texts(kept: StoredToken | StoredRejection | None) -> object:
    """Return what is kept without its times, to compare."""
    if isinstance(kept, StoredRejection):
        return (kept.status, kept.error, kept.description)
    return kept and str(kept.access_token)


class StoreTools:
    """What the tests work with; `make_store` is yours to write, `pass_time` where your store takes a clock."""

    #: Times that the tests let pass. Where that is really waited for, the network must be much faster than this.
    short_seconds = 0.3

    def make_store(self) -> TokenStore:
        """Return a new store over the same storage as all others that this test has made: another process's."""
        raise NotImplementedError("make_store has to return a store")

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass for the stores. Override it to move a clock; as it is, it waits."""
        await asyncio.sleep(seconds)

    async def pass_short_time(self) -> None:
        """Let what lasts for `short_seconds` end; a little more, since clocks are rounded."""
        await self.pass_time(self.short_seconds * 1.1)

    @asynccontextmanager
    async def stores(self) -> AsyncGenerator[tuple[TokenStore, TokenStore], None]:
        """Give the stores of two processes, and close them."""
        one, other = self.make_store(), self.make_store()
        try:
            yield one, other
        finally:
            await one.aclose()
            await other.aclose()

    @staticmethod
    def key() -> str:
        """Return a key that nobody has used yet."""
        return secrets.token_hex(32)

    @staticmethod
    async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Look again and again until a condition holds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _BOUND_SECONDS
        while not await condition():
            assert loop.time() < end, what
            await asyncio.sleep(0.01)

    async def lease(self, store: TokenStore, key: str, seconds: float = _LONG) -> Lease:
        """Return a lease that has to be had at once."""
        lease = await store.acquire(key, seconds)
        assert lease is not None, "a lease that nobody has is not given"
        return lease

    async def lease_run_out(self, store: TokenStore, key: str) -> Lease:
        """Return a lease whose time is over."""
        lease = await self.lease(store, key, self.short_seconds)
        await self.pass_short_time()
        return lease

    async def next_lease(self, store: TokenStore, key: str, seconds: float = _LONG) -> Lease:
        """Return the lease that follows one whose time is over."""
        found: list[Lease] = []

        async def given() -> bool:
            lease = await store.acquire(key, seconds)
            found.extend([] if lease is None else [lease])
            return lease is not None

        await self.until(given, "a lease outlives its time")
        return found[0]


class Keeping(StoreTools):
    """What is kept, for how long, and what replaces it."""

    async def test_nothing_is_kept_at_first(self) -> None:
        """A key that nothing was saved for gives None."""
        async with self.stores() as (one, _):
            assert await one.load(self.key()) is None

    async def test_a_token_saved_by_one_process_is_loaded_by_another(self) -> None:
        """What is kept comes back as it was, with its times, also when its text is 8 KB long."""
        for text in ("invented-token", "invented." * 1000):
            async with self.stores() as (one, other):
                key = self.key()
                assert await one.save(key, token(text, age=10, left=_LONG), await self.lease(one, key)) is True
                for store in (one, other):
                    kept = await store.load(key)
                    assert isinstance(kept, StoredToken), "a token was saved"
                    assert kept.access_token == text
                    assert kept.age_seconds >= 10 - 0.01
                    assert kept.seconds_left <= _LONG + 0.01
                    assert abs(kept.age_seconds + kept.seconds_left - _LONG - 10) < 0.1, "its life is not what it was"

    async def test_a_rejection_saved_by_one_process_is_loaded_by_another(self) -> None:
        """A rejection comes back as it was, also where no answer had a status."""
        for status in (401, None):
            async with self.stores() as (one, other):
                key = self.key()
                saved = StoredRejection(status, "invalid_client", "An invented description: è no use", _LONG)
                assert await one.save(key, saved, await self.lease(one, key)) is True
                kept = await other.load(key)
                assert isinstance(kept, StoredRejection), "a rejection was saved"
                assert texts(kept) == texts(saved)
                assert 0 < kept.seconds_left <= _LONG + 0.01

    async def test_time_passes_for_what_is_kept(self) -> None:
        """A token grows older by as much as is taken from what is left of it."""
        async with self.stores() as (one, other):
            key = self.key()
            await one.save(key, token(age=5, left=_LONG), await self.lease(one, key))
            await self.pass_short_time()

            async def older() -> bool:
                kept = await other.load(key)
                assert isinstance(kept, StoredToken), "it has time left"
                assert abs(kept.age_seconds + kept.seconds_left - _LONG - 5) < 0.1, "its life is not what it was"
                return kept.age_seconds >= 5 + self.short_seconds * 0.9

            await self.until(older, "the age stands still")

    async def test_what_is_kept_ends_with_its_time(self) -> None:
        """A token or a rejection is gone when its time is over, and then a save without a lease is good."""
        for value in (token(left=self.short_seconds), rejection(left=self.short_seconds)):
            async with self.stores() as (one, other):
                key = self.key()
                await one.save(key, value, await self.lease(one, key))
                await self.pass_short_time()

                async def gone(store: TokenStore = other, key: str = key) -> bool:
                    return await store.load(key) is None

                await self.until(gone, "it outlives its time")
                assert await other.save(key, token("next"), None) is True
                assert texts(await one.load(key)) == "next"

    async def test_only_the_very_token_is_discarded(self) -> None:
        """A token is dropped by its text, once; neither another token nor a rejection goes with it."""
        async with self.stores() as (one, other):
            key = self.key()
            assert await one.discard(key, "invented-token") is False, "there was none"
            lease = await self.lease(one, key)
            await one.save(key, token("new"), lease)
            assert await other.discard(key, "old") is False
            assert texts(await one.load(key)) == "new"
            assert await other.discard(key, "new") is True
            assert await one.load(key) is None
            assert await one.discard(key, "new") is False
            await one.save(key, rejection(), lease)
            for text in ("new", "", "invalid_client"):
                assert await other.discard(key, text) is False
            assert texts(await other.load(key)) == texts(rejection())

    async def test_without_a_lease_it_is_kept_only_where_nothing_is(self) -> None:
        """A save without a lease never replaces anything, and any lease's save replaces what it kept."""
        async with self.stores() as (one, other):
            key = self.key()
            assert await one.save(key, token("first"), None) is True
            assert await other.save(key, token("second"), None) is False
            assert texts(await one.load(key)) == "first"
            lease = await self.lease(other, key)
            assert await other.save(key, rejection(), lease) is True
            assert await one.save(key, token("third"), None) is False
            assert texts(await one.load(key)) == texts(rejection())
            assert await other.save(key, token("fourth"), lease) is True
            await other.discard(key, "fourth")
            assert await one.save(key, token("fifth"), None) is True

    async def test_keys_have_nothing_to_do_with_each_other(self) -> None:
        """What is kept, discarded or leased for a key leaves another alone, also where they begin alike."""
        async with self.stores() as (one, other):
            key = self.key()
            near = key[:-1] + ("0" if key[-1] != "0" else "1")
            lease, far = await self.lease(one, key), await self.lease(other, near)
            assert (lease.key, far.key) == (key, near)
            await one.save(key, token("one"), lease)
            assert await other.load(near) is None
            await other.save(near, token("one"), far)
            assert await one.discard(key, "one") is True
            assert texts(await one.load(near)) == "one"
            await one.release(lease)
            assert await one.acquire(near, _LONG) is None

    async def test_closing_twice_is_fine(self) -> None:
        """A store can be closed more than once, and what it kept stays for others."""
        async with self.stores() as (one, other):
            key = self.key()
            await one.save(key, token(), None)
            await one.aclose()
            await one.aclose()
            assert texts(await other.load(key)) == "invented-token"
