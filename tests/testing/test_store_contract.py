"""TokenStoreContract: a store that keeps the protocol passes, and each fault of one is found and named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

import arzamed_async
from arzamed_async import Lease, StoredRejection, StoredToken, TokenStore
from arzamed_async.testing import ManualClock, MemoryTokenStore, TokenStoreContract

Kept = StoredToken | StoredRejection


class Contract(TokenStoreContract):
    """The contract over one store, whose time is moved and not waited for."""

    def __init__(self, store: Callable[..., TokenStore] = MemoryTokenStore) -> None:
        self.clock = ManualClock()
        self.store = store(clock=self.clock)

    def make_store(self) -> TokenStore:
        return self.store

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


class Forgets(MemoryTokenStore):
    async def save(self, key: str, kept: Kept, lease: Lease | None, /) -> bool:
        return True


class Shortens(MemoryTokenStore):
    async def save(self, key: str, kept: Kept, lease: Lease | None, /) -> bool:
        return await super().save(
            key, evolve(kept, access_token="short") if isinstance(kept, StoredToken) else kept, lease
        )


class TurnsRejectionsIntoTokens(MemoryTokenStore):
    async def save(self, key: str, kept: Kept, lease: Lease | None, /) -> bool:
        return await super().save(key, StoredToken("invented", 0, kept.seconds_left), lease)


class Overwrites(MemoryTokenStore):
    async def save(self, key: str, kept: Kept, lease: Lease | None, /) -> bool:
        self._kept.pop(key, None)
        return await super().save(key, kept, lease)


class DiscardsAnything(MemoryTokenStore):
    async def discard(self, key: str, access_token: str, /) -> bool:
        return self._kept.pop(key, None) is not None


class StandsStill(MemoryTokenStore):
    async def load(self, key: str, /) -> Kept | None:
        kept = self._kept.get(key)
        return kept and kept.value


class LeasesToAll(MemoryTokenStore):
    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        self._leases.pop(key, None)
        return await super().acquire(key, seconds)


class LeasesToNobody(MemoryTokenStore):
    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        return None


class NumbersAllAlike(MemoryTokenStore):
    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        self._fence = 0
        return await super().acquire(key, seconds)


class RenewsAll(MemoryTokenStore):
    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        await super().renew(lease, seconds)
        return True


class ReleasesForAll(MemoryTokenStore):
    async def release(self, lease: Lease, /) -> None:
        self._leases.pop(lease.key, None)


class MixesKeys(MemoryTokenStore):
    def _find(self, key: str):
        return super()._find(next(iter(self._kept), key))


FAULTS: dict[type[MemoryTokenStore], tuple[str, str]] = {
    Forgets: (
        "a_token_saved_by_one_process_is_loaded_by_another",
        "load after saving a token: expected a StoredToken, got None",
    ),
    Shortens: (
        "a_token_saved_by_one_process_is_loaded_by_another",
        "load returned another access token than was saved",
    ),
    TurnsRejectionsIntoTokens: (
        "a_rejection_saved_by_one_process_is_loaded_by_another",
        "load after saving a rejection: expected a StoredRejection, got StoredToken",
    ),
    Overwrites: (
        "without_a_lease_it_is_kept_only_where_nothing_is",
        "save without a lease over a token: expected False, got True",
    ),
    DiscardsAnything: (
        "only_the_very_token_is_discarded",
        "discard of another token than is kept: expected False, got True",
    ),
    StandsStill: ("what_is_kept_ends_with_its_time", "load still returns what has expired (waited for"),
    LeasesToAll: (
        "one_lease_at_a_time",
        "acquire by another store while the lease is held: expected None, got Lease",
    ),
    LeasesToNobody: ("one_lease_at_a_time", "acquire returned None for a key without a lease"),
    NumbersAllAlike: (
        "leases_are_numbered_upwards",
        "the leases' numbers, which have to rise: expected [1], got [1, 1",
    ),
    RenewsAll: (
        "a_lease_ends_with_its_time",
        "renew of an expired lease that another store follows: expected False, got True",
    ),
    ReleasesForAll: (
        "only_its_holder_renews_and_releases_a_lease",
        "acquire after a release with another owner: expected None, got Lease",
    ),
    MixesKeys: (
        "keys_have_nothing_to_do_with_each_other",
        "load of a key after a save for another: expected None, got 'one'",
    ),
}


def complaint(store: type[MemoryTokenStore]) -> str:
    """Return the error of the contract for a store that breaks it."""
    try:
        asyncio.run(getattr(Contract(store), f"test_{FAULTS[store][0]}")())
    except AssertionError as error:
        return str(error)
    return "nothing"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [name for name in dir(TokenStoreContract) if name.startswith("test_")])
async def test_the_store_to_read_keeps_the_contract(name: str) -> None:
    """MemoryTokenStore passes each test of the contract."""
    await getattr(Contract(), name)()


@pytest.mark.parametrize("store", FAULTS)
def test_a_fault_of_a_store_is_named(store: type[MemoryTokenStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with one fault fails the test about it, with a text that names the expected value and the one found."""
    monkeypatch.setattr("arzamed_async.testing._store_keeping._BOUND_SECONDS", 0.0)
    assert complaint(store).startswith(FAULTS[store][1])


def test_a_fault_of_a_store_is_found_without_asserts() -> None:
    """Under `python -O`, which leaves asserts out, a broken store fails as it does without."""
    code = "import test_store_contract as it; print(it.complaint(it.LeasesToAll), it.complaint(it.Forgets), sep='\\n')"
    places = [str(Path(__file__).parent), str(Path(arzamed_async.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    for line, store in zip(done.stdout.splitlines(), (LeasesToAll, Forgets), strict=True):
        assert line.startswith(FAULTS[store][1])
