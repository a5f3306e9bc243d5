"""Errors of calls that got no usable HTTP response, or sent no request."""

from __future__ import annotations

from typing import Any

from .base import ArzamedError

__all__ = ["CircuitOpenError", "DeadlineExceededError", "TransportError"]


#: The default of `what`, for which the text is built from the attributes. A caller may pass another text, as in
#: `type(error)(f"while syncing: {error}")`.
_CIRCUIT_OPEN = "circuit breaker is open"
_DEADLINE = "deadline exceeded"
#: What to do where the body is incomplete. The host has responded, so it is the right one.
_BODY_REMEDY = (
    "Retry later. If it persists, report it to the server's operator: a limit of the server or of a proxy may cut it"
)
#: What to do where a read timed out: a longer deadline alone would be for more attempts of read_seconds each.
_SLOW_SERVER = "Retry later, or raise Timeouts.read_seconds and Timeouts.total_seconds"


class TransportError(ArzamedError):
    """There was no usable HTTP response.

    Causes are DNS, a refused or reset connection, the timeout of an attempt, TLS, a response that is not HTTP, or an
    incomplete body.

    Attributes:
        read_timed_out: True if the server sent no data in time (Timeouts.read_seconds); of a deadline, in its last failed attempt.
        reason: The cause, as a short sentence.
        transient: False if a retry cannot help, such as after a certificate error.
        stale: True if an idle connection turned out to be closed. The server has not processed the request.
    """

    remedy = "Check the host in base_url and the network, or retry later"
    stale = False

    def __init__(
        self, reason: str = "no usable HTTP response", *, transient: bool = True, remedy: str = "",
        read_timed_out: bool = False, incomplete_body: bool = False, **facts: Any,
    ) -> None:  # fmt: skip
        super().__init__(reason, **facts)
        if found := remedy or (_SLOW_SERVER if read_timed_out else _BODY_REMEDY if incomplete_body else ""):
            self.remedy = found
        self.read_timed_out = read_timed_out
        self.reason = reason
        self.transient = transient


class CircuitOpenError(TransportError):
    """The request was not sent: the circuit breaker is open, since the clinic's requests keep failing.

    Attributes:
        retry_after_seconds: The time until the next probe. 0: a probe is in progress, and decides whether the circuit
            closes.
        last_failure: Why the last attempt of this call failed, if there was one.
    """

    remedy = "Retry after that time; BreakerPolicy sets how many failures open the circuit, and for how long"

    def __init__(
        self, what: str = _CIRCUIT_OPEN, *, retry_after_seconds: float = 0.0, last_failure: str = "", **facts: Any
    ) -> None:
        super().__init__(what, transient=False, **facts)
        self.retry_after_seconds = retry_after_seconds
        self.last_failure = last_failure

    def _what(self) -> str:
        if (what := super()._what()) != _CIRCUIT_OPEN:
            return what
        return f"request not sent: circuit breaker is {'open' if self.retry_after_seconds else 'half-open'}"

    def _details(self) -> str:
        left = self.retry_after_seconds
        when = f", retry after {left:.1f} s" if left else ", a probe is under way"
        return when + _last_failure(self.last_failure)


class DeadlineExceededError(TransportError, TimeoutError):
    """The deadline of the whole call has passed.

    Attributes:
        seconds: The deadline, counted from the start of the call.
        phase: What the call was doing at the deadline, such as "waiting for a token from login.example".
        last_failure: Why the last attempt failed, if one did.
    """

    remedy = "Retry later, or raise Timeouts.total_seconds (Timeouts.record_seconds in a stream)"

    def __init__(
        self,
        what: str = _DEADLINE,
        *,
        seconds: float = 0.0,
        phase: str = "",
        last_failure: str = "",
        read_timed_out: bool = False,
        remedy: str = "",
        **facts: Any,
    ) -> None:
        super().__init__(what, read_timed_out=read_timed_out, **facts)
        if phase == "waiting to start":
            self.remedy = "Raise the deadline_seconds of the fan-out, or its concurrency"
        elif phase.startswith("waiting for a token from"):
            self.remedy = "Check the token endpoint: token_url names it. Retry later, or raise Timeouts.total_seconds"
        elif "PoolLimits" in phase and not read_timed_out:
            self.remedy = "Make fewer calls at once, or raise that limit"
        if remedy:
            self.remedy = remedy
        self.seconds = seconds
        self.phase = phase
        self.last_failure = last_failure

    def _what(self) -> str:
        if (what := super()._what()) != _DEADLINE:
            return what
        return f"deadline of {self.seconds:g} s exceeded"

    def _details(self) -> str:
        phase = f" while {self.phase}" if self.phase else ""
        return phase + _last_failure(self.last_failure)


def _last_failure(reason: str) -> str:
    return f" (last failure: {reason})" if reason else ""
