"""The tests of what a TokenStore keeps, and the helpers of all its tests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from arzamed_async import Lease, StoredRejection, StoredToken, TokenStore

__all__ = ["Keeping", "StoreTools", "check", "rejection", "same", "texts", "token"]

_LONG = 600.0
_BOUND_SECONDS = 20.0


def check(fact: bool, otherwise: str) -> None:
    """Raise an AssertionError with the text `otherwise`, unless `fact` is true.

    No `assert`: `python -O` removes those, and the tests would pass with any store.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    if not fact:
        raise AssertionError(otherwise)


def same(found: object, expected: object, what: str) -> None:
    """Raise an AssertionError that names `what`, and both values, unless they are equal."""
    __tracebackhide__ = True
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {found!r}")


def token(text: str = "invented-token", *, age: float = 0.0, left: float = _LONG) -> StoredToken:
    """Return a token to save."""
    return StoredToken(text, age, left)


def rejection(left: float = _LONG) -> StoredRejection:
    """Return a rejection to save."""
    return StoredRejection(401, "invalid_client", "An invented description: è no use", left)


def kept_token(kept: StoredToken | StoredRejection | None) -> StoredToken:
    """Return the value of `load`, which has to be a token."""
    __tracebackhide__ = True
    if not isinstance(kept, StoredToken):
        raise AssertionError(f"load after saving a token: expected a StoredToken, got {kept!r}")  # noqa: TRY004 - a failed test
    return kept


def kept_rejection(kept: StoredToken | StoredRejection | None) -> StoredRejection:
    """Return the value of `load`, which has to be a rejection."""
    __tracebackhide__ = True
    if not isinstance(kept, StoredRejection):
        raise AssertionError(f"load after saving a rejection: expected a StoredRejection, got {kept!r}")  # noqa: TRY004 - the same
    return kept


def texts(kept: StoredToken | StoredRejection | None) -> object:
    """Return the stored value without its times, to compare."""
    if isinstance(kept, StoredRejection):
        return (kept.status, kept.error, kept.description)
    return kept and str(kept.access_token)


class StoreTools:
    """The helpers of the tests; write `make_store`, and override `pass_time` if your store takes a clock."""

    #: The time that the tests let pass. If they really wait, the network must be much faster than this.
    short_seconds = 0.3

    def make_store(self) -> TokenStore:
        """Return a new store, as another process would create it: it uses the same storage as the other stores."""
        raise NotImplementedError("make_store has to return a store")

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the stores. The default sleeps; override it to advance a clock.

        Args:
            seconds: The time to pass.
        """
        await asyncio.sleep(seconds)

    async def pass_short_time(self) -> None:
        """Let `short_seconds` pass, and a little more, since clocks are rounded."""
        await self.pass_time(self.short_seconds * 1.1)

    @asynccontextmanager
    async def stores(self) -> AsyncGenerator[tuple[TokenStore, TokenStore], None]:
        """Open the stores of two processes, and close them at the end."""
        one, other = self.make_store(), self.make_store()
        try:
            yield one, other
        finally:
            await one.aclose()
            await other.aclose()

    @staticmethod
    def key() -> str:
        """Return a key that was never used."""
        return secrets.token_hex(32)

    @staticmethod
    async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Poll until a condition holds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _BOUND_SECONDS
        while not await condition():
            check(loop.time() < end, f"{what} (waited for {_BOUND_SECONDS:g} s)")
            await asyncio.sleep(0.01)

    async def lease(self, store: TokenStore, key: str, seconds: float = _LONG) -> Lease:
        """Acquire a lease, which has to be free."""
        lease = await store.acquire(key, seconds)
        if lease is None:
            raise AssertionError("acquire returned None for a key without a lease")
        return lease

    async def lease_run_out(self, store: TokenStore, key: str) -> Lease:
        """Return an expired lease."""
        lease = await self.lease(store, key, self.short_seconds)
        await self.pass_short_time()
        return lease

    async def next_lease(self, store: TokenStore, key: str, seconds: float = _LONG) -> Lease:
        """Return the lease that follows an expired one."""
        found: list[Lease] = []

        async def given() -> bool:
            lease = await store.acquire(key, seconds)
            found.extend([] if lease is None else [lease])
            return lease is not None

        await self.until(given, "acquire still returns None after the last lease has expired")
        return found[0]


class Keeping(StoreTools):
    """What a store keeps, for how long, and what replaces it."""

    async def test_nothing_is_kept_at_first(self) -> None:
        """A key without a saved value loads as None."""
        async with self.stores() as (one, _):
            same(await one.load(self.key()), None, "load of a key that was never saved")

    async def test_a_token_saved_by_one_process_is_loaded_by_another(self) -> None:
        """What is kept comes back as it was, with its times, also when its text is 8 KB long."""
        for text in ("invented-token", "invented." * 900):
            async with self.stores() as (one, other):
                key = self.key()
                saved = await one.save(key, token(text, age=10, left=_LONG), await self.lease(one, key))
                same(saved, True, "save under a lease")
                for store in (one, other):
                    kept = kept_token(await store.load(key))
                    check(kept.access_token == text, "load returned another access token than was saved")
                    check(kept.age_seconds >= 10 - 0.01, "age_seconds is less than when the token was saved")
                    check(kept.seconds_left <= _LONG + 0.01, "seconds_left is more than when the token was saved")
                    life = kept.age_seconds + kept.seconds_left
                    check(abs(life - _LONG - 10) < 0.1, "age_seconds + seconds_left is not what was saved")

    async def test_a_rejection_saved_by_one_process_is_loaded_by_another(self) -> None:
        """A rejection is loaded as it was saved, also one without an HTTP status."""
        for status in (401, None):
            async with self.stores() as (one, other):
                key = self.key()
                saved = StoredRejection(status, "invalid_client", "An invented description: è no use", _LONG)
                same(await one.save(key, saved, await self.lease(one, key)), True, "save under a lease")
                kept = kept_rejection(await other.load(key))
                same(texts(kept), texts(saved), "load of a rejection")
                check(0 < kept.seconds_left <= _LONG + 0.01, "a rejection's seconds_left is not what was saved")

    async def test_time_passes_for_what_is_kept(self) -> None:
        """A token's age grows by as much as its remaining time falls."""
        async with self.stores() as (one, other):
            key = self.key()
            await one.save(key, token(age=5, left=_LONG), await self.lease(one, key))
            await self.pass_short_time()

            async def older() -> bool:
                kept = kept_token(await other.load(key))
                life = kept.age_seconds + kept.seconds_left
                check(abs(life - _LONG - 5) < 0.1, "age_seconds + seconds_left changes as time passes")
                return kept.age_seconds >= 5 + self.short_seconds * 0.9

            await self.until(older, "age_seconds does not grow as time passes")

    async def test_what_is_kept_ends_with_its_time(self) -> None:
        """An expired token or rejection is gone, and a save without a lease then succeeds."""
        for value in (token(left=self.short_seconds), rejection(left=self.short_seconds)):
            async with self.stores() as (one, other):
                key = self.key()
                await one.save(key, value, await self.lease(one, key))
                await self.pass_short_time()

                async def gone(store: TokenStore = other, key: str = key) -> bool:
                    return await store.load(key) is None

                await self.until(gone, "load still returns what has expired")
                same(
                    await other.save(key, token("next"), None),
                    True,
                    "save without a lease, after the last value expired",
                )
                same(texts(await one.load(key)), "next", "load after that save")

    async def test_only_the_very_token_is_discarded(self) -> None:
        """A token is discarded by its text, once; another token or a rejection is not."""
        async with self.stores() as (one, other):
            key = self.key()
            same(await one.discard(key, "invented-token"), False, "discard where nothing is kept")
            lease = await self.lease(one, key)
            await one.save(key, token("new"), lease)
            same(await other.discard(key, "old"), False, "discard of another token than is kept")
            same(texts(await one.load(key)), "new", "load after discarding another token")
            same(await other.discard(key, "new"), True, "discard of the token that is kept")
            same(texts(await one.load(key)), None, "load after discarding the token")
            same(await one.discard(key, "new"), False, "discard of the same token again")
            await one.save(key, rejection(), lease)
            for text in ("new", "", "invalid_client"):
                same(await other.discard(key, text), False, "discard where a rejection is kept")
            same(texts(await other.load(key)), texts(rejection()), "load of a rejection after discarding tokens")

    async def test_without_a_lease_it_is_kept_only_where_nothing_is(self) -> None:
        """A save without a lease never replaces a value, and a save under any lease replaces its value."""
        async with self.stores() as (one, other):
            key = self.key()
            same(await one.save(key, token("first"), None), True, "save without a lease where nothing is kept")
            same(await other.save(key, token("second"), None), False, "save without a lease over a token")
            same(texts(await one.load(key)), "first", "load after that save")
            lease = await self.lease(other, key)
            same(await other.save(key, rejection(), lease), True, "save under a lease over a token saved without")
            same(await one.save(key, token("third"), None), False, "save without a lease over a rejection")
            same(texts(await one.load(key)), texts(rejection()), "load after that save")
            same(await other.save(key, token("fourth"), lease), True, "second save under the same lease")
            await other.discard(key, "fourth")
            same(await one.save(key, token("fifth"), None), True, "save without a lease after a discard")

    async def test_keys_have_nothing_to_do_with_each_other(self) -> None:
        """Saves, discards and leases of one key do not affect another, even with a common prefix."""
        async with self.stores() as (one, other):
            key = self.key()
            near = key[:-1] + ("0" if key[-1] != "0" else "1")
            lease, far = await self.lease(one, key), await self.lease(other, near)
            same((lease.key, far.key), (key, near), "the keys of two leases")
            await one.save(key, token("one"), lease)
            same(texts(await other.load(near)), None, "load of a key after a save for another")
            await other.save(near, token("one"), far)
            same(await one.discard(key, "one"), True, "discard of the token that is kept")
            same(texts(await one.load(near)), "one", "load of a key after a discard for another")
            await one.release(lease)
            same(await one.acquire(near, _LONG), None, "acquire of a leased key after releasing another")

    async def test_closing_twice_is_fine(self) -> None:
        """A store can be closed more than once, and its values stay for other stores."""
        async with self.stores() as (one, other):
            key = self.key()
            await one.save(key, token(), None)
            await one.aclose()
            await one.aclose()
            same(texts(await other.load(key)), "invented-token", "load by another store after closing the first")
