"""The session's retry quota: a token bucket, so that retries never multiply an outage. Values in, a verdict out.

A retry costs 1. A call that succeeds after a retry pays back 1, any other success 0.1. One clinic may owe at
most a quarter of the whole, so that a dead clinic never stops the others' retries.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Account", "RetryBudget"]

PAID_AFTER_A_RETRY = 1.0
PAID_OTHERWISE = 0.1
LARGEST_SHARE = 0.25


class Account(Protocol):
    """Whoever may spend: `owed` is what it has spent and not paid back."""

    owed: float


class RetryBudget:
    """The retries in hand, for one session."""

    def __init__(self, retries: float) -> None:
        self._all = self.remaining = float(retries)
        self._share = min(retries, max(1.0, retries * LARGEST_SHARE))

    def spend(self, account: Account) -> bool:
        """Take one retry; False where none is left, or none for this account."""
        if self.remaining < 1 or account.owed + 1 > self._share:
            return False
        self.remaining -= 1
        account.owed += 1
        return True

    def succeeded(self, account: Account, *, retried: bool) -> None:
        """Take note of a call that has succeeded."""
        if self.remaining >= self._all and not account.owed:
            return
        paid = PAID_AFTER_A_RETRY if retried else PAID_OTHERWISE
        self.remaining = min(self._all, self.remaining + paid)
        account.owed = max(0.0, account.owed - paid)
