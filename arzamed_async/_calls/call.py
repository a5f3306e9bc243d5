"""One call through its layers.

From the outside in: is the session open? -> the deadline starts -> the retry loop with its budget -> [ circuit
breaker -> token -> turn, if requests are paced -> clinic's slot -> pool's slot -> one attempt with its body ].

The single repeat after HTTP 401, and the repeats of a throttled request, happen inside the brackets. While a call waits
for a token, its turn or its next attempt, it holds no slot. A slot is the right to have one request in flight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .._concurrency.cancel_scope import CancelScope, note_phase
from .._http.response import HttpResponse
from .._resilience.circuit_breaker import CircuitBreaker, verdict
from .._resilience.retry import Retries, retry, too_long
from .._spans import Spans
from ..errors import (
    ArzamedError,
    CircuitOpenError,
    ConfigurationError,
    SessionClosedError,
    StatusError,
    TransportError,
)
from .sending import READING, Sender

if TYPE_CHECKING:
    from ..events import Event

__all__ = ["LEFT", "Call"]

LEFT = "this stream was closed, or a step of it cancelled, before the end of the list"
R = TypeVar("R")


class Call(Sender):
    """One GET with all its attempts. A `handle` function reads the 2xx response and returns the call's result.

    With `leave_open`, the response stays open after `handle` has returned: a stream reads on, and closes it.
    """

    __slots__ = ()

    async def run(self, handle: Callable[[HttpResponse], Awaitable[R]]) -> R:
        """Return what `handle` returns for the response. Raises an ArzamedError, and nothing else."""
        if self._engine.observers.tracers and self._spans is None:
            self._spans = Spans(self._engine.observers, self._work("stream" if self._leave_open else "call"))
            if not self._leave_open:
                with self._spans:
                    return await self.run(handle)
        seconds = self._request.options.timeouts.total_seconds
        scope = self.next_scope(seconds)
        clinic = self._request.clinic
        try:
            with scope:
                try:
                    result = await self.attempt(handle)
                except ArzamedError as error:
                    failure = error
                else:
                    self._engine.retry_budget.succeeded(clinic, retried=False)
                    return result
                retries = Retries(self._request.options.retry)
                result = await retry(partial(self.attempt, handle), failure, self, retries)
                self._engine.retry_budget.succeeded(clinic, retried=retries.charged)
                return result
            raise self.cancellation_error(seconds)
        except (ArzamedError, asyncio.CancelledError) as error:
            if isinstance(error, ArzamedError):
                self._engine.note_failure(clinic, error)
            else:
                note_phase(error, self.phase())
            # Cut the traceback here: the locals of the frames below are bodies and records, and some tools print them.
            error.__traceback__ = None
            raise

    def next_scope(self, seconds: float) -> CancelScope:
        """Start the scope of the call's next step. If it cancels the step, `cancellation_error` returns the reason."""
        read_seconds = self._request.options.timeouts.read_seconds
        self.scope = self._engine.lifetime.scope(seconds, self._request.name, read_seconds)
        return self.scope

    def end_spans(self, error: str = "") -> None:
        """End the spans of a call whose response was left open; `error` is the class name of the exception, or empty."""
        if self._spans is not None:
            self._spans.end(error)

    async def attempt(self, handle: Callable[[HttpResponse], Awaitable[R]]) -> R:
        """Send one request and handle the response. Raises an ArzamedError that names clinic, request and attempts."""
        self._sent = False
        breaker = self._request.clinic.breaker
        permit = None if breaker is None else self._admitted(breaker)
        tokens = self._request.clinic.tokens
        try:
            held = tokens.current() or await self._new_token()
            response = await self._send(held)
            if not 200 <= response.status <= 299:
                response, held = await self._recovered(response, held)
            if not held.accepted:
                held.accept()
            try:
                result = await handle(response)
            except BaseException:
                if not self.scope.phase:
                    self.scope.set_phase(READING)
                response.close()
                raise
        except BaseException as error:
            self._attempt_failed(breaker, permit, error)
            raise
        if not self._leave_open:
            response.close()
        if breaker is not None and permit is not None:
            self._record_outcome(breaker, permit, None)
        return result

    def _attempt_failed(self, breaker: CircuitBreaker | None, permit: int | None, error: BaseException) -> None:
        if self._passage is not None:
            self._passage.give_back()
        if isinstance(error, ArzamedError):
            self.scope.set_phase("")
            self._sent = False
            self.add_facts(error)
        if breaker is not None and permit is not None:
            self._record_outcome(breaker, permit, error)

    # The circuit breaker: it counts whether the API responds at all.

    def _admitted(self, breaker: CircuitBreaker) -> int:
        now = self._engine.clocks.monotonic()
        before = breaker.state
        permit = breaker.admit(now)
        self._emit_circuit_change(breaker, before)
        if permit is None:
            error = CircuitOpenError(retry_after_seconds=breaker.seconds_left(now), last_failure=self.last_failure)
            self.add_facts(error)
            raise error
        return permit

    def _record_outcome(self, breaker: CircuitBreaker, permit: int, error: BaseException | None) -> None:
        before = breaker.state
        timed_out = isinstance(error, asyncio.CancelledError) and self._sent and self.scope.cancelled_by == "deadline"
        outcome = "unknown" if self._is_too_late(error) else verdict(error, timed_out=timed_out)
        breaker.record(permit, outcome, self._engine.clocks.monotonic())
        self._emit_circuit_change(breaker, before)

    def record_break(self, error: TransportError) -> None:
        """Record that reading a response that was left open failed."""
        self.add_facts(error)
        breaker = self._request.clinic.breaker
        if breaker is not None and (permit := breaker.current_permit()) is not None:
            self._record_outcome(breaker, permit, error)

    def _emit_circuit_change(self, breaker: CircuitBreaker, before: str) -> None:
        if breaker.state != before and self._engine.observers.listening(logging.INFO):
            from ..events import CircuitChanged

            self._emit(CircuitChanged(clinic=self._request.name, state=breaker.state))

    def _emit(self, event: Event) -> None:
        self._engine.observers.emit(event)
        if self._spans is not None:
            self._spans.report(event)

    # The methods that the retry loop calls: see Retryable.

    @property
    def deadline(self) -> float | None:
        """The deadline of the call's current step."""
        return self.scope.deadline

    def add_facts(self, error: ArzamedError) -> None:
        """Set the attributes of the error that depend on this call: clinic, path, attempts and so on."""
        self._request.add_facts(error, self.attempts, self.call_id())

    def delay_asked_for(self, error: ArzamedError) -> float | None:
        """Return the delay that Retry-After requires, None if there is none. Raises the error if it must not be retried."""
        policy = self._request.options.retry
        asked: float | None = None
        repeatable = isinstance(error, TransportError) and error.transient
        if isinstance(error, StatusError):
            asked, repeatable = error.retry_after_seconds, error.status in policy.statuses
        if not repeatable or self._is_too_late(error) or too_long(asked, policy, self.scope.deadline):
            raise error
        stale = isinstance(error, TransportError) and error.stale  # a closed idle connection: the retry is free
        if not stale and not self._engine.retry_budget.spend(self._request.clinic):
            error.add_hint("Not retried: the session's retry budget is spent (RetryPolicy.budget)")
            raise error
        if isinstance(error, TransportError) and not self._request.new_connection:
            self._request = self._request.over_new_connection()
        self._request.clinic.count_retry()
        self.last_failure = str(error.args[0])
        self.read_timed_out = isinstance(error, TransportError) and error.read_timed_out
        return asked

    def retry_scheduled(self, error: ArzamedError, seconds: float) -> None:
        """Emit a RetryScheduled event."""
        if self._engine.observers.listening(logging.INFO):
            from ..events import RetryScheduled

            self._emit(
                RetryScheduled(
                    clinic=self._request.name,
                    method=self._request.method,
                    path=self._request.path,
                    attempt=self.attempts,
                    delay_seconds=seconds,
                    reason=self.last_failure,
                    call_id=self.call_id(),
                )
            )

    def cancellation_error(self, seconds: float) -> ArzamedError:
        """Return the error for a step that its scope cancelled; `seconds` is the deadline of the scope."""
        error: ArzamedError
        if self.scope.cancelled_by == "closed":
            error = SessionClosedError("the session was closed during this call")
        elif self.scope.cancelled_by == "left":
            error = ConfigurationError(LEFT)
        else:
            error = self.deadline_error(seconds)
        self.add_facts(error)
        return error
