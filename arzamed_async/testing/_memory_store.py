"""A token store in memory: the shortest implementation of the protocol, as an example and for tests."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from attrs import evolve, frozen

from arzamed_async import Lease, StoredRejection, StoredToken

__all__ = ["MemoryTokenStore"]


@frozen
class _Kept:
    value: StoredToken | StoredRejection
    since: float
    since_wall: float
    fence: int


class MemoryTokenStore:
    """A TokenStore in memory, for sessions of one process: an example of the protocol, and a store for tests.

    It is not needed in production: each session has its own token cache. It measures an age by two clocks and takes the
    larger one, since a monotonic clock may stop while the computer sleeps.

    Args:
        clock: Returns monotonic seconds.
        wall_clock: Returns seconds since the epoch.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._kept: dict[str, _Kept] = {}
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._fence = 0

    def _find(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is not None and self._passed(kept) >= kept.value.seconds_left:
            kept = self._kept.pop(key, None) and None
        return kept

    def _passed(self, kept: _Kept) -> float:
        return max(self._clock() - kept.since, self._wall_clock() - kept.since_wall)

    async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
        """Return the stored value, or None."""
        kept = self._find(key)
        if kept is None:
            return None
        passed = self._passed(kept)
        value = evolve(kept.value, seconds_left=kept.value.seconds_left - passed)
        return evolve(value, age_seconds=value.age_seconds + passed) if isinstance(value, StoredToken) else value

    async def save(self, key: str, kept: StoredToken | StoredRejection, lease: Lease | None, /) -> bool:
        """Store a value; return whether it was stored."""
        there = self._find(key)
        if there is not None and (lease is None or there.fence > lease.fence):
            return False
        self._kept[key] = _Kept(kept, self._clock(), self._wall_clock(), 0 if lease is None else lease.fence)
        return True

    async def discard(self, key: str, access_token: str, /) -> bool:
        """Delete the token if it is the stored one; return whether it was."""
        kept = self._find(key)
        if kept is None or not isinstance(kept.value, StoredToken) or kept.value.access_token != access_token:
            return False
        del self._kept[key]
        return True

    def _holder(self, key: str) -> Lease | None:
        lease, until = self._leases.get(key, (None, 0.0))
        return lease if self._clock() < until else None

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        """Return a lease, or None while another holder has it."""
        if self._holder(key) is not None:
            return None
        self._fence += 1
        lease = Lease(key, uuid.uuid4().hex, self._fence)
        self._leases[key] = lease, self._clock() + seconds
        return lease

    async def renew(self, lease: Lease, seconds: float, /) -> bool:
        """Extend a lease; return False if it has been lost."""
        if self._holder(lease.key) != lease:
            return False
        self._leases[lease.key] = lease, self._clock() + seconds
        return True

    async def release(self, lease: Lease, /) -> None:
        """Release a lease, unless it has been lost."""
        if self._holder(lease.key) == lease:
            del self._leases[lease.key]

    async def aclose(self) -> None:
        """See TokenStore."""
