"""The rate of one scope: times and outcomes in, a rate and the moment of the next request out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzamed_async._resilience.in_flight import InFlight
from arzamed_async._resilience.pace import Pace


class Limited:
    """A bucket of tokens, and a client that sends whenever its pace lets it: responses come at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.now, self.sent = 0.0, 0.0, 0
        self.refused = 0
        self.pace = Pace(0.0, 0)

    def run(self, until: float) -> None:
        while self.now < until:
            at = max(self.now, self.pace.ready_at())
            self.tokens = min(self.burst, self.tokens + (at - self.now) * self.rate)
            self.now = at
            self.pace.take(at, waiting=True)
            self.sent += 1
            if self.tokens >= 1 - 1e-9:
                self.tokens -= 1
                self.pace.accepted(at, self.sent, self.sent, waiting=True)
            else:
                self.refused += 1
                self.pace.refused(at, self.sent)
                self.pace.cut(at, self.sent, self.sent)


@pytest.mark.parametrize("burst", [1, 20, 50])
@pytest.mark.parametrize("rate", [2, 10, 50, 500])
def test_the_rate_settles_at_the_limit_whatever_the_burst(rate: float, burst: float) -> None:
    """After a minute the client sends nearly what the limit allows, and few requests are refused."""
    client = Limited(rate, burst)
    client.run(60.0)
    sent, refused = client.sent, client.refused
    client.run(120.0)
    assert (client.sent - sent) / 60 >= 0.85 * rate
    assert (client.refused - refused) / (client.sent - sent) <= (0.05 if rate > 5 else 0.1)


def test_a_limit_that_rises_is_found() -> None:
    """A limit that rises from 10 to 200 a second is used within twenty seconds."""
    client = Limited(10, 20)
    client.run(30.0)
    client.rate = 200
    client.run(50.0)
    sent = client.sent
    client.run(55.0)
    assert client.sent - sent > 0.8 * 5 * 200


def test_a_limit_that_falls_costs_few_refusals() -> None:
    """Where a limit falls from 50 to 10 a second, fewer than 20 requests are refused until the rate has followed."""
    client = Limited(50, 50)
    client.run(30.0)
    refused, client.rate = client.refused, 10
    client.run(45.0)
    assert client.refused - refused < 20
    assert client.pace.rate < 13


def test_refusals_at_once_cut_once() -> None:
    """Requests that were sent before the last cut prove nothing about the rate since: 64 refusals cut once."""
    pace = Pace(0.0, 0)
    for _ in range(64):
        pace.take(0.0, waiting=True)
    cuts = 0
    for sent in range(1, 65):
        pace.refused(0.01, sent)
        cuts += pace.cut(0.01, sent, 64, row=True)
    assert cuts == 1


def test_nothing_is_sent_before_a_pause_ends() -> None:
    """A closed scope is ready when its pause has passed, and not earlier; a shorter pause does not shorten it."""
    pace = Pace(0.0, 0)
    pace.close(1.0, 5.0)
    pace.close(2.0, 1.0)
    assert pace.ready_at() == 6.0


def test_a_drought_ends_with_the_first_acceptance() -> None:
    """After a minute of refusals, the first accepted request brings back the rate that was measured before."""
    client = Limited(50, 20)
    client.run(30.0)
    client.rate = client.tokens = 0.0
    client.run(40.0)
    assert client.pace.rate <= 1.0
    client.rate, client.tokens = 50, 20.0
    client.run(42.0)
    assert client.pace.rate > 35


def test_a_hundred_refusals_leave_a_rate() -> None:
    """However many requests are refused within a second, one in two seconds is still sent."""
    pace = Pace(0.0, 0)
    for sent in range(1, 101):
        pace.take(sent / 200, waiting=True)
        pace.refused(sent / 200, sent)
        pace.cut(sent / 200, sent, sent, row=True)
    assert pace.rate == 0.5


def test_a_rate_grows_only_while_somebody_waits() -> None:
    """A client that sends less than it may does not raise its rate."""
    pace = Pace(0.0, 0)
    for sent in range(1, 1000):
        pace.take(sent * 1.0, waiting=False)
        pace.accepted(sent * 1.0, sent, sent, waiting=False)
    assert pace.rate == Pace(0.0, 0).rate


STEP = st.tuples(
    st.sampled_from(["take", "accepted", "refused", "cut", "row", "close", "wait", "give_back"]),
    st.floats(0, 30),
    st.booleans(),
)


@given(st.lists(STEP, max_size=200))
def test_the_rate_is_never_nothing(steps: list[tuple[str, float, bool]]) -> None:
    """Whatever happens in whatever order, the rate stays a number of at least one request in two seconds."""
    pace, now, sent = Pace(0.0, 0), 0.0, 0
    for what, seconds, flag in steps:
        if what == "take":
            pace.take(now, waiting=flag, late=flag)
            sent += 1
        elif what == "accepted":
            pace.accepted(now, max(0, sent - flag), sent, waiting=flag)
        elif what == "close":
            pace.close(now, seconds)
        elif what == "give_back":
            pace.give_back()
        elif what == "wait":
            now += seconds
        else:
            pace.refused(now, sent)
            if what != "refused":
                pace.cut(now, sent, sent, row=what == "row")
        assert 0.5 <= pace.rate < math.inf
        assert math.isfinite(pace.ready_at())


def levels(limit: int, requests: int) -> InFlight:
    """Send requests of 20 ms, each as soon as it may, to a server that takes `limit` of them at once."""
    flights, now, open_ = InFlight(0.0), 0.0, []
    pace = Pace(0.0, 0)
    sent = 0
    while sent < requests:
        now += 0.001
        for end, number, good in [one for one in open_ if one[0] <= now]:
            open_.remove((end, number, good))
            if good:
                flights.accepted(number, now)
            else:
                level = flights.ended(number)
                assert level is not None
                flights.refused(level, now, pace)
        if not flights.full(now):
            sent += 1
            flights.take()
            flights.start(sent, now)
            good = sum(one[2] for one in open_) < limit
            open_.append((now + (0.02 if good else 0.002), sent, good))
    return flights


def test_a_limit_of_concurrency_becomes_a_cap() -> None:
    """Where every request above eight in flight is refused, no more than one above that is tried at a time."""
    assert levels(8, 2000).cap in {8, 9}


def test_a_cap_restores_the_search_for_the_rate() -> None:
    """The refusals that showed a limit of concurrency have cut the rate, which has no known limit: it is looked for again."""
    flights, pace = InFlight(0.0), Pace(0.0, 0)
    for sent in range(1, 61):
        flights.start(sent, 0.0)
        flights.accepted(sent, 0.02)
    pace.searching = False
    assert [flights.refused(2, 1.0, pace) for _ in range(3)] == [False, False, True]
    assert (flights.cap, pace.searching) == (1, True)


def test_a_hanging_request_does_not_count() -> None:
    """A request that is older than a second takes no place under the cap: one server that hangs does not stop all."""
    flights = InFlight(0.0)
    flights.cap = 1
    flights.take()
    flights.start(1, 0.0)
    assert flights.full(0.5)
    assert not flights.full(1.5)
