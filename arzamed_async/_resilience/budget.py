"""The session's retry budget: a token bucket, so that retries do not multiply the load of an outage. No I/O.

A retry costs 1, but nothing where a connection that had been idle was found closed. A call that succeeds after a retry
that cost something pays back 1, any other success 0.1. One clinic may owe at most a quarter of the whole, so that a dead
clinic never stops the others' retries.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Account", "RetryBudget"]

PAID_AFTER_A_RETRY = 1.0
PAID_OTHERWISE = 0.1
LARGEST_SHARE = 0.25


class Account(Protocol):
    """A spender, one for each clinic: `owed` is the number of retries spent and not paid back."""

    owed: float


class RetryBudget:
    """The retries that a session has left."""

    def __init__(self, retries: float) -> None:
        self._all = self.remaining = float(retries)
        self._share = min(retries, max(1.0, retries * LARGEST_SHARE))

    def spend(self, account: Account) -> bool:
        """Spend one retry. Returns False if none is left, or none for this account."""
        if self.remaining < 1 or account.owed + 1 > self._share:
            return False
        self.remaining -= 1
        account.owed += 1
        return True

    def succeeded(self, account: Account, *, retried: bool) -> None:
        """Pay back for a call that has succeeded. `retried`: after a retry that cost something."""
        if self.remaining >= self._all and not account.owed:
            return
        paid = PAID_AFTER_A_RETRY if retried else PAID_OTHERWISE
        self.remaining = min(self._all, self.remaining + paid)
        account.owed = max(0.0, account.owed - paid)
