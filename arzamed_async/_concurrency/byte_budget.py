"""The budget of bytes that a session has received and not yet turned into records or responses. Knows no I/O.

Each connection has an account. A few KiB of each count nothing: small responses, and lists of small records, never wait.
What a connection holds beyond them is charged to one of two halves of the budget:

- **The open half.** A connection may read on while what it holds is less than what is left. So one alone gets a lot, and
  many get little each: those that stall never use up the last of it. Where room returns, those that hold least go first.
- **Turns.** Where that is not enough, connections get turns, in the order in which they began to wait. A turn covers the
  largest record or body that the connection may receive, so it never waits again before its end. The first turn is given
  even if it exceeds the half: somebody can always go on.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict

__all__ = ["STEP_BYTES", "Account", "ByteBudget"]

#: What a connection may hold without being charged: more where there are few connections.
LEAST_FREE_BYTES, MOST_FREE_BYTES = 16_384, 65_536
#: What a connection that may read on is expected to read: charged until it is known.
STEP_BYTES = 65_536
#: While less than this is left, connections read in small steps.
ROOMY_BYTES = 262_144


class ByteBudget:
    """The bytes that the connections of one event loop may hold, `connections` at most. Use it from that loop."""

    __slots__ = (
        "_least", "_number", "_open_bytes", "_turns_bytes", "free_bytes", "lent", "roomy_below", "used",
        "waiting",
    )  # fmt: skip

    def __init__(self, limit_bytes: int, connections: int) -> None:
        self._open_bytes = limit_bytes // 2
        self._turns_bytes = limit_bytes - self._open_bytes
        self.free_bytes = max(LEAST_FREE_BYTES, min(MOST_FREE_BYTES, limit_bytes // connections))
        self.used = 0  # of the open half
        self.roomy_below = self._open_bytes - ROOMY_BYTES
        self.lent = 0  # to turns
        self.waiting: OrderedDict[Account, asyncio.Future[None]] = OrderedDict()
        self._least: list[tuple[int, int, Account]] = []  # a heap of those that wait, and of some that no longer do
        self._number = 0

    @property
    def left(self) -> int:
        """What is left of the open half; negative where more arrived than was expected."""
        return self._open_bytes - self.used

    def queue(self, account: Account) -> asyncio.Future[None]:
        """Let an account wait. The future is done when it may read on."""
        turn = self.waiting[account] = asyncio.get_running_loop().create_future()
        self._number += 1
        account.number = self._number
        heapq.heappush(self._least, (account.over, account.number, account))
        self.serve()
        return turn

    def _is_waiting(self, entry: tuple[int, int, Account]) -> bool:
        return entry[2] in self.waiting and entry[2].number == entry[1]

    def serve(self) -> None:
        """Let those go on for which there is room now."""
        self._let_all()
        if len(self._least) > 2 * len(self.waiting) + 2:  # entries of those that no longer wait
            self._least = [each for each in self._least if self._is_waiting(each)]
            heapq.heapify(self._least)

    def _let_all(self) -> None:
        while self.waiting:
            while not self._is_waiting(self._least[0]):
                heapq.heappop(self._least)
            first, least = next(iter(self.waiting)), self._least[0][2]
            if not self.lent or self.lent + first.most <= self._turns_bytes:
                self._let(first)
                first.take_turn()
            elif least.fits():
                self._let(least)
                least.expect()
            else:
                return

    def wake(self, account: Account) -> None:
        """Let an account go on, if it waits: there is nothing more to read."""
        if account in self.waiting:
            self._let(account)
            self.serve()

    def _let(self, account: Account) -> None:
        turn = self.waiting.pop(account)
        if not turn.done() and not turn.get_loop().is_closed():
            turn.set_result(None)


class Account:
    """What one connection holds. `most` is the largest record or body that it may receive."""

    __slots__ = ("_budget", "_charged", "_turn", "most", "number", "over")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._charged = 0  # to the open half
        self._turn = 0  # what its turn covers
        self.over = 0  # what it holds beyond what is free
        self.most = self.number = 0

    @property
    def has_turn(self) -> bool:
        """Whether it may read until its record or body is complete."""
        return self._turn > 0

    def _charge(self, size: int) -> None:
        self._budget.used += size - self._charged
        self._charged = size

    def hold(self, held: int) -> None:
        """Count what is held now. What was expected has arrived, and is part of it."""
        budget, before = self._budget, self._charged
        over = self.over = held - budget.free_bytes if held > budget.free_bytes else 0
        if self._turn:
            if not over:
                self.end_turn()
        elif over != before:
            self._charge(over)
            if over < before:
                budget.serve()

    def fits(self) -> bool:
        """Return whether it may read on without waiting."""
        return not self.over or self._turn > 0 or self.over + STEP_BYTES <= self._budget.left

    def expect(self) -> None:
        """Charge what it is about to read, if it holds more than what is free."""
        if self.over and not self._turn:
            self._charge(self.over + STEP_BYTES)

    async def wait(self, most: int) -> None:
        """Wait until it may read on; `most` is what it may come to hold."""
        self.most = max(most, 1)
        turn = self._budget.queue(self)
        try:
            await turn
        except BaseException:
            self._budget.waiting.pop(self, None)
            self.end_turn()
            self._charge(self.over)
            self._budget.serve()
            raise

    def wake(self) -> None:
        """End the wait, with or without room."""
        self._budget.wake(self)

    def take_turn(self) -> None:
        """Read on until the end of a record or body."""
        self._turn = self.most
        self._budget.lent += self._turn
        self._charge(0)

    def end_turn(self) -> None:
        """Return the turn: a record is complete, or the connection holds little again."""
        if turn := self._turn:
            self._turn = 0
            self._budget.lent -= turn
            self._charge(self.over)
            self._budget.serve()
