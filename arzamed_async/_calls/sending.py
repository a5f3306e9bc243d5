"""Sends the requests of one attempt: each with a token, in its turn, with a slot of its clinic, over a connection.

If the API rejects the token (HTTP 401, or 400 or 431 because of its header), the request is repeated once with a new token.
If the API throttles the request, it waits for its turn and is repeated, which counts neither as a retry nor as an attempt.
A request that waits holds no slot and no connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from logging import DEBUG
from typing import TYPE_CHECKING

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.queueing import wait_in_queue
from .._http.rate_limit import pause_seconds
from .._http.response import HttpResponse, read_prefix
from .._http.status import request_id_of, status_error
from .._resilience.pacing import NoTurnError
from .._resilience.passage import THROTTLED, Passage
from .._spans import RequestSpans, Spans
from .._telemetry import caused_by, is_logged, new_call_id
from .._tokens.cache import CachedToken
from .._tokens.oauth2 import ResolvedSecret
from .._tokens.provider import waiting_for_token
from ..errors import ArzamedError, DeadlineExceededError, RateLimitedError, StatusError
from .request import Request

if TYPE_CHECKING:
    from ..events import Work, WorkKind

__all__ = ["READING", "Sender"]

READING = "reading the body"
_CLINIC_QUEUE = "waiting in the clinic's queue for one of its {} connections (PoolLimits.connections_per_clinic)"
#: 401, and the statuses for a header that a server does not accept (431 by RFC 6585 section 5; nginx and others send 400).
REJECTS_TOKEN = (400, 401, 431)
CROWDED = "Lower the concurrency, or raise Timeouts.total_seconds"


class Sender:
    """The part of a call that sends its requests."""

    __slots__ = (
        "_call_id", "_engine", "_leave_open", "_passage", "_request", "_sent", "_spans", "attempts", "last_failure",
        "read_timed_out", "scope",
    )  # fmt: skip
    scope: CancelScope

    def __init__(self, request: Request, *, leave_open: bool = False) -> None:
        self._request = request
        self._engine = request.engine
        self._leave_open = leave_open
        self.attempts = 0  # requests sent
        self.last_failure = ""
        self.read_timed_out = False  # in that attempt
        self._call_id = ""  # random, created lazily
        self._spans: Spans | None = None  # only if the session has tracers
        self._sent = False  # whether this attempt has sent its request
        self._passage: Passage | None = None  # only if requests are paced, or one was refused

    def call_id(self) -> str:
        """Return the id of this call, the same for all its requests."""
        if not self._call_id:
            self._call_id = new_call_id()
        return self._call_id

    async def _token(self) -> CachedToken:
        tokens = self._request.clinic.tokens
        return tokens.current() or await self._new_token()

    async def _new_token(self) -> CachedToken:
        tokens, scope = self._request.clinic.tokens, self.scope
        scope.set_phase(waiting_for_token(tokens.credentials))
        with caused_by(self.call_id()):
            token = await self._engine.tokens.new_token(tokens, self._request.name, self._spans)
        scope.set_phase("")
        return token

    async def _send(self, held: CachedToken) -> HttpResponse:
        engine = self._engine
        clinic = self._request.clinic
        bulkhead, scope, origin = clinic.bulkhead, clinic.scope, engine.origin
        while True:  # repeated only if pacing has started while it waited for the slots: it then needs a turn
            if paced := origin.active:
                held = await self._turn(held)
            if not bulkhead.acquire_nowait():
                await wait_in_queue(self.scope, bulkhead, _CLINIC_QUEUE)
            try:
                if not engine.transport.acquire_slot_nowait():
                    await engine.transport.acquire_slot(self.scope)
            except BaseException:
                bulkhead.release()
                raise
            if not paced and not origin.active:
                number = origin.start(scope)
                break
            if number := await self._start_in_turn():
                break
        try:
            self.attempts += 1
            self._sent = True
            observed = engine.observers.present or is_logged(DEBUG)
            response = await (self._send_observed(held) if observed else self._open(held.headers()))
        except BaseException:
            bulkhead.release()
            origin.lost(scope, number)
            raise
        if response.status >= 400 or origin.active:
            pause = self._pause(response) if response.status in THROTTLED else None
            self._through_pacing().responded(number, response.status, pause)
        else:
            del origin.open[number]  # the same as `accepted` while no request is refused, without the call
            origin.life[0] = scope.life[0] = self.scope.expected_at
        return response

    def _pause(self, response: HttpResponse) -> float | None:
        most_seconds = self._request.options.retry.max_retry_after_seconds
        return pause_seconds(response.header, self._engine.clocks.wall(), most_seconds)

    def _through_pacing(self) -> Passage:
        if self._passage is None:
            self._passage = Passage(self._engine.pacing, self._request.clinic.scope)
        return self._passage

    def _open(self, headers: Mapping[str, str]) -> Awaitable[HttpResponse]:
        return self._engine.transport.open(self._request, headers, self.scope)

    async def _send_observed(self, held: CachedToken) -> HttpResponse:
        with RequestSpans(self._engine.observers, self._work("request"), self._spans) as spans:
            response = await self._open(spans.headers(held.headers()))
            request_id = request_id_of(response.header, lambda: self._secrets(held))
            spans.responded(response.status, request_id, response)
        response.release_with(spans)
        return response

    def _work(self, kind: WorkKind) -> Work:
        from ..events import Work

        request = self._request
        return Work(
            kind=kind,
            clinic=request.name,
            method=request.method,
            path=request.path,
            base_url=self._engine.base_url,
            attempt=self.attempts,  # 0 for the call itself
            call_id=self.call_id(),
        )

    # After a response that is no success: a new token, a turn, or an error.

    async def _recovered(self, response: HttpResponse, held: CachedToken) -> tuple[HttpResponse, CachedToken]:
        """Repeat the request while that can help: once with a new token, and in its turn if it was throttled.

        Returns the 2xx response and its token. Raises a StatusError for any other status.
        """
        renewed = False
        while not 200 <= response.status <= 299:
            if response.status in REJECTS_TOKEN and self._rejected(held, response.status) and not renewed:
                renewed = True
                response.close()
                self._sent = False
                held = await self._token()
            else:
                self.scope.set_phase(READING)
                try:
                    error = await self._status_error(response, held)
                finally:
                    response.close()
                if self._passage is None or not self._passage.repeats:
                    raise error
                held = await self._turn(held, error)
            response = await self._send(held)
        return response, held

    def _rejected(self, held: CachedToken, status: int) -> bool:
        """Record that the API rejected this token with this status; return whether a new token may help.

        HTTP 431, or 400 for a token from a store, counts as a rejection only if the API has never accepted the token.
        """
        tokens = self._request.clinic.tokens
        if status == 401:
            return tokens.reject(held)
        return not held.accepted and (status == 431 or held.issued.stored) and tokens.reject_header(held)

    async def _status_error(self, response: HttpResponse, held: CachedToken) -> StatusError:
        headers = response.headers
        body = await read_prefix(response)
        error = status_error(response.status, headers, body, self._secrets(held), self._engine.clocks.wall())
        if response.status == 401:
            error.add_hint(held.rejection)
        if 400 <= response.status <= 499:
            error.add_hint(self._request.hint)
        if isinstance(error, RateLimitedError):
            error.scope = self._engine.pacing.limited(self._request.clinic.scope)
        return error

    def _secrets(self, held: CachedToken) -> tuple[str, ...]:
        return (held.issued.access_token, *self._secret_sent(held).forms())

    def _secret_sent(self, held: CachedToken) -> ResolvedSecret:
        credentials = self._request.clinic.credentials
        literal = credentials.client_secret if isinstance(credentials.client_secret, str) else ""
        return held.issued.secret or ResolvedSecret(credentials.client_id, literal, credentials.basic_encoding)

    def phase(self) -> str:
        """Return what the call is doing now, for the error if its deadline passes."""
        if self.scope.phase:
            return self.scope.phase
        if self._sent:
            return "waiting for the response"
        return f"waiting before attempt {self.attempts + 1}" if self.attempts else ""

    # The turn of a request, while requests are paced.

    async def _turn(self, held: CachedToken, refusal: StatusError | None = None) -> CachedToken:
        """Wait for a turn; return a token that is valid then. `refusal` is the error of the request that is repeated.

        Raises the refusal if the server no longer responds, and an error at once if the turn would come after the deadline.
        """
        passage = self._through_pacing()
        self._sent = False
        if refusal is not None:
            self.last_failure = f"{refusal.args[0]}, then waited for a turn"
            self.read_timed_out = False
        error: ArzamedError | None = refusal
        self.scope.set_phase("waiting for a turn, since the API limits the rate of requests")
        try:
            if await passage.turn(self.scope.deadline):
                self.scope.set_phase("")
                return await self._token()
        except NoTurnError as late:
            error = passage.leave(self._too_late(late, refusal))
        assert error is not None
        raise error

    def _is_too_late(self, error: BaseException | None) -> bool:
        """Return whether this error was raised because the turn would have come too late."""
        return error is not None and self._passage is not None and error is self._passage.too_late

    def _too_late(self, late: NoTurnError, refusal: StatusError | None) -> ArzamedError:
        if refusal is None and late.requests_per_second:
            seconds = self._request.options.timeouts.total_seconds
            return DeadlineExceededError(seconds=seconds, last_failure=f"request not sent: {late}", remedy=CROWDED)
        error = refusal or RateLimitedError(429, not_sent=str(late))
        if refusal is not None:
            error.add_hint(f"Not repeated: {late}")
        error.retry_after_seconds = max(late.seconds, error.retry_after_seconds or 0.0)
        if isinstance(error, RateLimitedError):
            error.scope = late.scope
        return error

    def deadline_error(self, seconds: float) -> DeadlineExceededError:
        """Return the error for a call that ended at its deadline, which was `seconds` long."""
        if self._passage is None or not self._passage.waits:
            return DeadlineExceededError(
                seconds=seconds, phase=self.phase(), last_failure=self.last_failure, read_timed_out=self.read_timed_out
            )
        what = f"request not sent: {self._engine.pacing.queue(self._request.clinic.scope)}"
        return DeadlineExceededError(seconds=seconds, phase=self.phase(), last_failure=what, remedy=CROWDED)

    async def _start_in_turn(self) -> int:
        """Use the turn, and return the request's number; or release both slots and return 0, if it needs a new turn.

        It needs one if it has none, or if the rate was reduced while it waited for a slot. The caller holds both slots. They
        are also released if this raises.
        """
        passage = self._through_pacing()
        number = 0
        try:
            if not passage.needs_turn():
                number = await passage.start()
            return number
        finally:
            if not number:
                self._request.clinic.bulkhead.release()
                self._engine.transport.release_slot()
