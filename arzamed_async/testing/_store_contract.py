"""The tests that every TokenStore has to pass: those of leases and of concurrency, and the whole contract."""

from __future__ import annotations

import asyncio

from attrs import evolve

from arzamed_async import Lease, TokenStore

from ._store_keeping import Keeping, StoreTools, check, rejection, same, texts, token

__all__ = ["TokenStoreContract"]

_LONG = 600.0
_CROWD = 100
_ATTEMPTS = 50


class _Leases(StoreTools):
    """Which process holds a lease, for how long, and what its number is for."""

    async def test_one_lease_at_a_time(self) -> None:
        """While a lease is held no second one is given, not even to its holder; once released, it can be acquired again."""
        async with self.stores() as (one, other):
            key = self.key()
            lease = await self.lease(one, key)
            same(lease.key, key, "the lease's key")
            check(bool(lease.owner), "the lease's owner is empty")
            same(await other.acquire(key, _LONG), None, "acquire by another store while the lease is held")
            same(await one.acquire(key, _LONG), None, "acquire by the holder while the lease is held")
            await one.release(lease)
            following = await self.lease(other, key)
            check(following.owner != lease.owner, "two leases have the same owner")

    async def test_a_lease_ends_with_its_time(self) -> None:
        """An expired lease no longer belongs to its holder, and another store gets the next one."""
        async with self.stores() as (one, other):
            key = self.key()
            lease = await self.lease_run_out(one, key)
            await self.next_lease(other, key)
            same(await one.renew(lease, _LONG), False, "renew of an expired lease that another store follows")

    async def test_a_lease_that_nobody_followed_is_over_too(self) -> None:
        """An expired lease cannot be renewed, even if no other store has acquired the next one."""
        async with self.stores() as (one, _):
            lease = await self.lease_run_out(one, self.key())

            async def over() -> bool:
                return not await one.renew(lease, self.short_seconds / 100)

            await self.until(over, "renew still returns True for an expired lease")

    async def test_a_lease_lasts_from_its_renewal(self) -> None:
        """A renewed lease outlives its first term."""
        async with self.stores() as (one, other):
            for _ in range(_ATTEMPTS):  # a busy machine may pause for longer than a short lease
                key = self.key()
                lease = await self.lease(one, key, self.short_seconds)
                if await one.renew(lease, _LONG):
                    break
            else:
                raise AssertionError("renew never returned True for a lease that is held")
            await self.pass_short_time()
            same(await other.acquire(key, _LONG), None, "acquire while a renewed lease is held")
            same(await one.renew(lease, self.short_seconds), True, "renew of a lease with time left")
            await self.pass_short_time()
            await self.next_lease(other, key)

    async def test_only_its_holder_renews_and_releases_a_lease(self) -> None:
        """A lease with another owner, or one that was released, has no effect."""
        async with self.stores() as (one, other):
            key = self.key()
            lease = await self.lease(one, key)
            forged = evolve(lease, owner="another-owner")
            same(await other.renew(forged, self.short_seconds / 100), False, "renew with another owner")
            await other.release(forged)
            await self.pass_short_time()
            same(await other.acquire(key, _LONG), None, "acquire after a release with another owner")
            same(await one.renew(lease, _LONG), True, "renew by the holder")
            await one.release(lease)
            await one.release(lease)
            same(await one.renew(lease, _LONG), False, "renew after release")
            following = await self.lease(other, key)
            await one.release(lease)
            same(
                await one.renew(lease, self.short_seconds / 100),
                False,
                "renew of a released lease that another follows",
            )
            await self.pass_short_time()
            same(await one.acquire(key, _LONG), None, "acquire after releasing an old lease again")
            same(await other.renew(following, _LONG), True, "renew by the holder of the following lease")

    async def test_leases_are_numbered_upwards(self) -> None:
        """Each lease of a key has a higher number than all earlier ones, however those ended."""
        async with self.stores() as (one, other):
            key = self.key()
            fences: list[int] = []
            for store in (one, other) * 5:
                lease = await self.lease(store, key)
                fences.append(lease.fence)
                await store.release(lease)
            fences.append((await self.lease_run_out(one, key)).fence)
            fences.append((await self.next_lease(other, key)).fence)
            same(fences, sorted(set(fences)), "the leases' numbers, which have to rise")

    async def test_saving_does_not_end_a_lease(self) -> None:
        """A lease continues after a save, and a second save under it replaces the first."""
        async with self.stores() as (one, other):
            key = self.key()
            lease = await self.lease(one, key)
            same(await one.save(key, token("first"), lease), True, "save under a lease")
            same(await other.acquire(key, _LONG), None, "acquire by another store after a save under the lease")
            same(await one.save(key, token("second"), lease), True, "second save under the same lease")
            same(await one.renew(lease, _LONG), True, "renew after a save under the lease")
            same(texts(await other.load(key)), "second", "load after the second save")

    async def test_a_late_writer_replaces_nothing_later(self) -> None:
        """A save under an expired lease never replaces a value saved under a later one."""
        for value in (token("late"), rejection()):
            async with self.stores() as (one, other):
                key = self.key()
                late = await self.lease_run_out(one, key)
                lease = await self.next_lease(other, key)
                same(await other.save(key, token("newer"), lease), True, "save under the later lease")
                await other.release(lease)
                same(await one.save(key, value, late), False, "save under an expired lease over a later one's token")
                same(texts(await other.load(key)), "newer", "load after that save")

    async def test_a_late_writer_is_of_use_where_nothing_later_is_kept(self) -> None:
        """A token saved under an expired lease is kept if there is no later one; the next holder's replaces it."""
        async with self.stores() as (one, other):
            key = self.key()
            late = await self.lease_run_out(one, key)
            lease = await self.next_lease(other, key)
            same(await one.save(key, token("late"), late), True, "save under an expired lease where nothing is kept")
            same(texts(await other.load(key)), "late", "load after that save")
            same(await other.save(key, token("newer"), lease), True, "save under the later lease")
            same(texts(await one.load(key)), "newer", "load after that save")


class _Crowds(StoreTools):
    """Many calls at once."""

    async def test_one_of_a_hundred_gets_the_lease(self) -> None:
        """Of a hundred concurrent calls of acquire one gets the lease, in each of five rounds."""
        async with self.stores() as (one, other):
            key = self.key()
            for _ in range(5):
                asked = [(one, other)[n % 2] for n in range(_CROWD)]
                leases = await asyncio.gather(*(store.acquire(key, _LONG) for store in asked))
                given = [(store, lease) for store, lease in zip(asked, leases, strict=True) if lease is not None]
                same(len(given), 1, f"leases given to {_CROWD} concurrent calls")
                await given[0][0].release(given[0][1])

    async def test_the_latest_of_many_writers_stays(self) -> None:
        """Of many concurrent saves under successive leases, that of the latest lease is kept."""
        async with self.stores() as (one, other):
            key = self.key()
            leases: list[tuple[TokenStore, Lease]] = []
            for n in range(10):
                store = (one, other)[n % 2]
                lease = await self.lease(store, key)
                await store.release(lease)
                leases.append((store, lease))
            for order in (leases[::-1], leases[5:] + leases[:5], leases):
                await asyncio.gather(*(store.save(key, token(f"of-{lease.fence}"), lease) for store, lease in order))
                same(texts(await one.load(key)), f"of-{leases[-1][1].fence}", "load after saves under many leases")

    async def test_one_of_many_discards(self) -> None:
        """Of many concurrent calls that discard a token, one reports that it did."""
        async with self.stores() as (one, other):
            key = self.key()
            await one.save(key, token("bad"), None)
            dropped = await asyncio.gather(*((one, other)[n % 2].discard(key, "bad") for n in range(20)))
            same(sum(dropped), 1, "how many of 20 concurrent calls of discard returned True")

    async def test_one_of_many_saves_without_a_lease(self) -> None:
        """Of many concurrent saves without a lease one is kept, and that call returns True."""
        async with self.stores() as (one, other):
            key = self.key()
            kept = await asyncio.gather(*((one, other)[n % 2].save(key, token(f"{n}"), None) for n in range(20)))
            same(sum(kept), 1, "how many of 20 concurrent saves without a lease returned True")
            same(texts(await other.load(key)), str(kept.index(True)), "load after these saves")


class TokenStoreContract(Keeping, _Leases, _Crowds):
    """Tests for a TokenStore of your own, for pytest with pytest-asyncio. Derive a class and write `make_store`.

        @pytest.mark.asyncio
        class TestMyStore(TokenStoreContract):
            def make_store(self) -> TokenStore:
                return MyStore("somewhere")

    Each test calls `make_store` twice, for two processes that use the same storage. Keys are random, so tests can share a
    storage. If your store takes a clock, override `pass_time` and advance the clock there. Otherwise the tests wait for
    leases of `short_seconds` to expire.
    """
