"""The circuit breaker, from values alone."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arzamed_async import (
    BreakerPolicy,
    ConfigurationError,
    CredentialsRejectedError,
    DecodeError,
    LimitExceededError,
    RateLimitedError,
    ServiceUnavailableError,
    StatusError,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)
from arzamed_async._resilience.circuit_breaker import CircuitBreaker, Verdict, verdict

POLICY = BreakerPolicy(failure_threshold=3, open_seconds=10)


def admitted(breaker: CircuitBreaker, now: float) -> int:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    for _ in range(3):
        breaker.record(admitted(breaker, 0.0), "failing", 0.0)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """Three failures in a row open it; a success in between starts the count anew."""
    breaker = CircuitBreaker(POLICY)
    for _ in range(2):
        breaker.record(admitted(breaker, 0.0), "failing", 0.0)
    breaker.record(admitted(breaker, 0.0), "healthy", 0.0)
    for _ in range(2):
        breaker.record(admitted(breaker, 0.0), "failing", 0.0)
    assert breaker.state == "closed"
    breaker.record(admitted(breaker, 0.0), "failing", 5.0)
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
    breaker.record(probe, "healthy", 0.0)
    assert breaker.state == "closed"
    admitted(breaker, 10.0)


def test_a_probe_that_fails_opens_it_again() -> None:
    """A failed probe begins open_seconds anew, at once."""
    breaker = opened()
    breaker.record(admitted(breaker, 10.0), "failing", 12.0)
    assert breaker.state == "open"
    assert breaker.admit(21.9) is None
    admitted(breaker, 22.0)


def test_a_probe_that_tells_nothing_leaves_it_to_the_next() -> None:
    """A probe that was cancelled, or lost with its event loop, is followed by another at once."""
    breaker = opened()
    breaker.record(admitted(breaker, 10.0), "unknown", 0.0)
    assert breaker.state == "open"
    probe = admitted(breaker, 10.0)
    breaker.leave_loop()
    breaker.record(probe, "healthy", 0.0)  # too late: it belongs to a loop that has gone
    assert breaker.state == "open"
    breaker.record(admitted(breaker, 10.0), "healthy", 0.0)
    assert breaker.state == "closed"


def test_what_began_before_does_not_count_after() -> None:
    """Late outcomes of calls admitted before the circuit opened change nothing."""
    breaker = CircuitBreaker(POLICY)
    permits = [admitted(breaker, 0.0) for _ in range(10)]
    for permit in permits[:3]:
        breaker.record(permit, "failing", 0.0)
    for permit in permits[3:6]:
        breaker.record(permit, "failing", 9.0)
    breaker.record(permits[6], "healthy", 0.0)
    assert breaker.state == "open"
    probe = admitted(breaker, 10.0)
    breaker.record(permits[7], "healthy", 0.0)
    assert breaker.state == "half_open"
    breaker.record(probe, "failing", 10.0)
    breaker.record(permits[8], "unknown", 0.0)
    assert breaker.state == "open"


class Calls(RuleBasedStateMachine):
    """Calls that come, succeed, fail and are given up while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(POLICY)
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
    @rule(data=st.data(), outcome=st.sampled_from(get_args(Verdict)))
    def end(self, data: st.DataObject, outcome: Verdict) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.breaker.record(permit, outcome, self.now)

    @invariant()
    def never_stuck(self) -> None:
        """When nobody is out, open_seconds later at most somebody is let in."""
        if not self.out:
            assert self.breaker.state != "half_open"
            if self.breaker.state == "open":
                assert self.breaker.seconds_left(self.now) <= 10


TestCalls = Calls.TestCase


@pytest.mark.parametrize(
    ("error", "timed_out", "outcome"),
    [
        (None, False, "healthy"),
        (StatusError(404), False, "healthy"),
        (StatusError(499), False, "healthy"),
        (UnauthorizedError(401), False, "healthy"),
        (RateLimitedError(429), False, "healthy"),
        (DecodeError("not what was promised"), False, "healthy"),
        (LimitExceededError(limit="list_bytes", limit_bytes=1), False, "healthy"),
        (StatusError(500), False, "failing"),
        (ServiceUnavailableError(503), False, "failing"),
        (TransportError("connection refused"), False, "failing"),
        (asyncio.CancelledError(), True, "failing"),
        (asyncio.CancelledError(), False, "unknown"),
        (TokenUnavailableError("no token"), False, "unknown"),
        (CredentialsRejectedError("no"), False, "unknown"),
        (ConfigurationError("no"), False, "unknown"),
        (ValueError("a caller's own"), False, "unknown"),
    ],
    ids=repr,
)
def test_what_an_outcome_means(error: BaseException | None, timed_out: bool, outcome: Verdict) -> None:
    """A response below 500 is a healthy server's; no response, or 5xx, a failing one's; anything else tells nothing."""
    assert verdict(error, timed_out=timed_out) == outcome
