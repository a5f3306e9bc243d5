"""The budget of buffered bytes: who may read on, in which order, and that all of it comes back."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arzamed_async._concurrency.byte_budget import (
    LEAST_FREE_BYTES,
    MOST_FREE_BYTES,
    STEP_BYTES,
    Account,
    ByteBudget,
)

MEBIBYTE = 1_048_576


def full(limit_bytes: int = 8 * MEBIBYTE, connections: int = 1000) -> tuple[ByteBudget, Account]:
    """Return a budget whose open half one account has used up."""
    budget = ByteBudget(limit_bytes, connections)
    hog = Account(budget)
    hog.hold(limit_bytes // 2 + budget.free_bytes)
    return budget, hog


async def waiter(budget: ByteBudget, held: int, most: int) -> tuple[Account, asyncio.Task[None]]:
    """Return an account that holds this much, and its task, which waits by now if there is no room."""
    account = Account(budget)
    account.hold(held)
    task = asyncio.ensure_future(account.wait(most))
    await asyncio.sleep(0)
    return account, task


def test_what_is_free_follows_from_the_number_of_connections() -> None:
    """Each connection may hold its share of the budget for nothing: 64 KiB at most, and 16 KiB at least."""
    assert ByteBudget(64 * MEBIBYTE, 100).free_bytes == MOST_FREE_BYTES == 65_536
    assert ByteBudget(64 * MEBIBYTE, 2048).free_bytes == 32_768
    assert ByteBudget(64 * MEBIBYTE, 100_000).free_bytes == LEAST_FREE_BYTES == 16_384


def test_little_never_waits() -> None:
    """A connection that holds no more than what is free may read on, however much the others hold, and is not charged."""
    budget, _ = full()
    used = budget.used
    small = Account(budget)
    small.hold(budget.free_bytes)
    assert small.fits()
    small.expect()
    assert budget.used == used
    small.hold(budget.free_bytes + 1)
    assert not small.fits()


def test_one_alone_gets_half_of_what_is_open() -> None:
    """A connection may hold as much as it leaves: those that stall never use up the last of it."""
    budget = ByteBudget(8 * MEBIBYTE, 1000)
    first, second = Account(budget), Account(budget)
    first.hold(budget.free_bytes + 2 * MEBIBYTE - STEP_BYTES)
    assert first.fits()
    first.hold(budget.free_bytes + 2 * MEBIBYTE + 1)
    assert not first.fits()
    second.hold(budget.free_bytes + MEBIBYTE // 2)
    assert second.fits()


@pytest.mark.asyncio
async def test_turns_are_given_in_order() -> None:
    """Where the open half is spent, those that began to wait first read on first, each to its end."""
    budget, hog = full()
    waiting = [await waiter(budget, MEBIBYTE, 3 * MEBIBYTE) for _ in range(3)]
    assert [account.has_turn for account, _ in waiting] == [True, False, False]
    waiting[0][0].hold(2 * MEBIBYTE)
    assert [account.has_turn for account, _ in waiting] == [True, False, False]
    waiting[0][0].hold(0)
    assert [account.has_turn for account, _ in waiting] == [False, True, False]
    waiting[1][0].end_turn()
    assert [account.has_turn for account, _ in waiting] == [False, False, True]
    for account, task in waiting:
        await task
        account.hold(0)
    hog.hold(0)
    assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0)


@pytest.mark.asyncio
async def test_room_goes_to_those_that_hold_least() -> None:
    """Where room of the open half returns, a small response is served before large ones that have waited longer."""
    budget, hog = full()
    turn, _ = await waiter(budget, MEBIBYTE, 4 * MEBIBYTE)  # the only turn there is
    assert turn.has_turn
    _, large = await waiter(budget, 2 * MEBIBYTE, 4 * MEBIBYTE)
    _, small = await waiter(budget, budget.free_bytes + 1000, 4 * MEBIBYTE)
    assert not large.done()
    assert not small.done()
    hog.hold(budget.free_bytes + MEBIBYTE)
    await asyncio.sleep(0)
    assert small.done()
    assert not large.done()
    large.cancel()
    await asyncio.wait([large])


@pytest.mark.asyncio
async def test_a_turn_is_given_even_if_it_exceeds_the_budget() -> None:
    """A body larger than the whole budget is read, alone: nobody waits for ever."""
    budget = ByteBudget(1, 10)
    first, one = await waiter(budget, MEBIBYTE, 16 * MEBIBYTE)
    second, two = await waiter(budget, MEBIBYTE, 16 * MEBIBYTE)
    await one
    assert not two.done()
    first.hold(0)
    await two
    second.hold(0)
    assert (budget.used, budget.lent) == (0, 0)


@pytest.mark.asyncio
async def test_a_turn_given_to_one_who_is_cancelled_is_given_on() -> None:
    """A waiter cancelled in the tick in which its turn comes gives it back, and the next one has it."""
    budget, _ = full()
    first, one = await waiter(budget, MEBIBYTE, 4 * MEBIBYTE)
    _, two = await waiter(budget, MEBIBYTE, 4 * MEBIBYTE)
    third, three = await waiter(budget, MEBIBYTE, 4 * MEBIBYTE)
    await one
    first.hold(0)
    two.cancel()
    await asyncio.wait([two])
    assert two.cancelled()
    await three
    assert third.has_turn
    third.hold(0)
    assert (budget.lent, len(budget.waiting)) == (0, 0)


@pytest.mark.asyncio
async def test_a_thousand_that_wait_are_served_without_recursion() -> None:
    """When room for all returns at once, all are served, whatever their number."""
    budget, hog = full(1024 * MEBIBYTE, 100_000)
    turn, _ = await waiter(budget, MEBIBYTE, 512 * MEBIBYTE)
    waiting = [await waiter(budget, budget.free_bytes + 1, 1) for _ in range(3000)]
    assert len(budget.waiting) == 3000
    hog.hold(0)
    await asyncio.gather(*(task for _, task in waiting))
    for account, _ in [*waiting, (turn, None)]:
        account.hold(0)
    assert (budget.used, budget.lent) == (0, 0)


class Budgets(RuleBasedStateMachine):
    """Connections that receive, wait, are cancelled and end, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.budget = ByteBudget(MEBIBYTE, 1000)
        self.accounts: list[Account] = []
        self.tasks: dict[Account, asyncio.Task[None]] = {}

    def run(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        for account, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[account]
                if not task.cancelled():
                    task.result()

    def idle(self, index: int) -> Account | None:
        account = self.accounts[index % len(self.accounts)]
        return None if account in self.tasks else account

    @rule()
    def connect(self) -> None:
        self.accounts.append(Account(self.budget))

    @precondition(lambda self: self.accounts)
    @rule(index=st.integers(0, 50), held=st.integers(0, 2 * MEBIBYTE))
    def receive(self, index: int, held: int) -> None:
        if (account := self.idle(index)) is not None:
            account.hold(held)
            self.run()

    @precondition(lambda self: self.accounts)
    @rule(index=st.integers(0, 50), most=st.integers(0, 2 * MEBIBYTE))
    def read(self, index: int, most: int) -> None:
        if (account := self.idle(index)) is None:
            return
        if not account.fits():
            self.tasks[account] = self.loop.create_task(account.wait(most))
            self.run()
        else:
            account.expect()

    @precondition(lambda self: self.accounts)
    @rule(index=st.integers(0, 50))
    def deliver(self, index: int) -> None:
        if (account := self.idle(index)) is not None:
            account.end_turn()
            self.run()

    @precondition(lambda self: self.tasks)
    @rule(index=st.integers(0, 50), at_once=st.booleans())
    def cancel(self, index: int, at_once: bool) -> None:
        account = list(self.tasks)[index % len(self.tasks)]
        if at_once:  # its turn may come in the same tick
            for other in self.accounts:
                if other not in self.tasks:
                    other.hold(0)
        self.tasks[account].cancel()
        self.run()
        self.run()

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.budget.used == sum(account._charged for account in self.accounts) >= 0
        assert self.budget.lent == sum(account._turn for account in self.accounts) >= 0
        assert set(self.budget.waiting) == set(self.tasks)
        assert len(self.budget._least) <= 2 * len(self.budget.waiting) + 2

    @invariant()
    def somebody_can_go_on(self) -> None:
        if self.budget.waiting:
            assert self.budget.lent
            assert not min(self.budget.waiting, key=lambda account: account.over).fits()

    def teardown(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self.run()
        self.run()
        for account in self.accounts:
            account.hold(0)
        assert (self.budget.used, self.budget.lent, len(self.budget.waiting)) == (0, 0, 0)
        self.loop.close()


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
