"""The circuit breaker, from values alone."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arzamed_async import BreakerPolicy
from arzamed_async._resilience.circuit_breaker import Breaker

POLICY = BreakerPolicy(failure_threshold=3, open_seconds=10)


def admitted(breaker: Breaker, now: float) -> int:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def opened() -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.failed(admitted(breaker, 0.0), 0.0)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """Three failures in a row open it; a success in between starts the count anew."""
    breaker = Breaker(POLICY)
    for _ in range(2):
        breaker.failed(admitted(breaker, 0.0), 0.0)
    breaker.succeeded(admitted(breaker, 0.0))
    for _ in range(2):
        breaker.failed(admitted(breaker, 0.0), 0.0)
    assert breaker.state == "closed"
    breaker.failed(admitted(breaker, 0.0), 5.0)
    assert breaker.state == "open"
    assert breaker.admit(14.9) is None
    assert breaker.seconds_left(14.0) == 1.0


def test_one_probe_is_let_through() -> None:
    """After open_seconds one call is let through, no second beside it; its success closes the circuit."""
    breaker = opened()
    probe = admitted(breaker, 10.0)
    assert breaker.state == "half_open"
    assert breaker.admit(1000.0) is None
    assert breaker.seconds_left(1000.0) == 0.0
    breaker.succeeded(probe)
    assert breaker.state == "closed"
    admitted(breaker, 10.0)


def test_a_probe_that_fails_opens_it_again() -> None:
    """A failed probe begins open_seconds anew, at once."""
    breaker = opened()
    breaker.failed(admitted(breaker, 10.0), 12.0)
    assert breaker.state == "open"
    assert breaker.admit(21.9) is None
    admitted(breaker, 22.0)


def test_a_probe_that_tells_nothing_leaves_it_to_the_next() -> None:
    """A probe that was cancelled, or lost with its event loop, is followed by another at once."""
    breaker = opened()
    breaker.untold(admitted(breaker, 10.0))
    assert breaker.state == "open"
    probe = admitted(breaker, 10.0)
    breaker.new_loop()
    breaker.succeeded(probe)  # too late: it belongs to a loop that has gone
    assert breaker.state == "open"
    breaker.succeeded(admitted(breaker, 10.0))
    assert breaker.state == "closed"


def test_what_began_before_does_not_count_after() -> None:
    """Late outcomes of calls admitted before the circuit opened change nothing."""
    breaker = Breaker(POLICY)
    permits = [admitted(breaker, 0.0) for _ in range(10)]
    for permit in permits[:3]:
        breaker.failed(permit, 0.0)
    for permit in permits[3:6]:
        breaker.failed(permit, 9.0)
    breaker.succeeded(permits[6])
    assert breaker.state == "open"
    probe = admitted(breaker, 10.0)
    breaker.succeeded(permits[7])
    assert breaker.state == "half_open"
    breaker.failed(probe, 10.0)
    breaker.untold(permits[8])
    assert breaker.state == "open"


class Calls(RuleBasedStateMachine):
    """Calls that come, succeed, fail and are given up while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.out: list[int] = []
        self.probes = 0

    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        before = self.breaker.state
        permit = self.breaker.admit(self.now)
        assert (permit is None) <= (before != "closed")
        if permit is not None:
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "untold"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if outcome == "failed":
            self.breaker.failed(permit, self.now)
        else:
            getattr(self.breaker, outcome)(permit)

    @invariant()
    def never_stuck(self) -> None:
        """When nobody is out, open_seconds later at most somebody is let in."""
        if not self.out:
            assert self.breaker.state != "half_open"
            if self.breaker.state == "open":
                assert self.breaker.seconds_left(self.now) <= 10


TestCalls = Calls.TestCase
