"""The queue of one origin: who is next."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tools.virtual_time import run_virtually

from arzamed_async._resilience.clinic_scope import ClinicScope
from arzamed_async._resilience.pace import Pace
from arzamed_async._resilience.turns import Turns, Waiter


async def filled(turns: Turns, entries: list[tuple[ClinicScope, int]]) -> list[Waiter]:
    waiters = [Waiter(clinic, asyncio.get_running_loop().create_future(), status) for clinic, status in entries]
    for waiter in waiters:
        turns.add(waiter, repeat=waiter.status != 0)
    return waiters


def popped(turns: Turns, now: float = 0.0) -> list[Waiter]:
    waiters = []
    while (one := turns.pop(now)) is not None:
        waiters.append(one[0])
    return waiters


def test_clinics_take_turns_and_a_clinics_calls_keep_their_order() -> None:
    """A clinic with a thousand calls waits no longer, and lets nobody wait longer, than one with two."""

    async def run() -> None:
        many, few = ClinicScope("many"), ClinicScope("few")
        turns = Turns(random.Random(1).random)
        waiters = await filled(turns, [(many, 0)] * 1000 + [(few, 0)] * 2)
        order = popped(turns)
        assert order.index(waiters[1000]) == 1
        assert order.index(waiters[1001]) == 3
        assert [one for one in order if one.clinic is many] == waiters[:1000]

    run_virtually(run())


def test_lots_decide_between_first_tries_and_repeats() -> None:
    """The two lanes do not alternate, and neither starves."""

    async def run() -> None:
        turns = Turns(random.Random(1).random)
        await filled(turns, [(ClinicScope(str(number)), 429 * (number % 2)) for number in range(400)])
        lanes = [one.status for one in popped(turns)][:200]
        assert 60 < lanes.count(429) < 140
        assert any(first == second for first, second in pairwise(lanes))

    run_virtually(run())


def test_a_clinic_that_may_not_send_holds_nobody_up() -> None:
    """A closed clinic is passed over, and served when it opens."""

    async def run() -> None:
        closed, free = ClinicScope("closed"), ClinicScope("free")
        closed.pace = Pace(0.0, 0)
        closed.pace.close(0.0, 5.0)
        turns = Turns(random.Random(1).random)
        waiters = await filled(turns, [(closed, 0), (free, 0)])
        assert popped(turns) == [waiters[1]]
        assert turns.next_at() == 5.0
        assert popped(turns, 5.0) == [waiters[0]]

    run_virtually(run())


@given(st.lists(st.tuples(st.sampled_from(["add", "pop", "remove", "close", "wake"]), st.integers(0, 5)), max_size=120))
def test_no_caller_is_forgotten(steps: list[tuple[str, int]]) -> None:
    """Whatever comes and goes in whatever order, each caller that does not leave has its turn in the end, once."""

    async def run() -> None:
        clinics = [ClinicScope(str(number)) for number in range(6)]
        turns, waiting, now = Turns(random.Random(1).random), [], 0.0
        for what, number in steps:
            now += 0.1
            if what == "add":
                waiting += await filled(turns, [(clinics[number], 429 * (number % 2))])
            elif what == "pop" and (one := turns.pop(now)) is not None:
                waiting.remove(one[0])
            elif what == "remove" and len(waiting) > number:
                assert turns.remove(waiting.pop(number))
            elif what == "close":
                clinics[number].pace = Pace(now, 0)
                clinics[number].pace.close(now, 1.0)
            elif what == "wake":
                clinics[number].pace = None
                turns.wake()
        assert len(turns) == len(waiting)
        rest = popped(turns, now + 100)
        assert len(rest) == len(waiting)
        assert set(map(id, rest)) == set(map(id, waiting))

    run_virtually(run())


def test_lots_are_drawn_from_what_a_forked_child_seeds_again() -> None:
    """Without lots given they come from the module `random`, which Python seeds in each child: copies do not go in step."""
    drawn = Turns()._lot
    assert drawn.__self__ is random._inst
