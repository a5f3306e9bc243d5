"""The request for a clinic's token (OAuth 2.0 client credentials, RFC 6749 section 4.4), with its attempts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .._concurrency.cancel_scope import CancelScope
from .._concurrency.clocks import Clocks
from .._http.rate_limit import pause_seconds
from .._http.response import HttpResponse, read_prefix
from .._http.status import request_id_of, retry_after_seconds
from .._http.transport import Transport
from .._resilience.pacing import NoTurnError
from .._resilience.passage import Passage
from .._resilience.retry import too_long
from .._resilience.session_pacing import SessionPacing
from .._spans import TOKEN_PATH, RequestSpans, Spans, token_work
from .._telemetry import Observers
from ..config import RetryPolicy, Timeouts
from ..credentials import ClinicCredentials
from ..errors import (
    ArzamedError,
    ConfigurationError,
    CredentialsRejectedError,
    ResponseError,
    TokenError,
    TokenUnavailableError,
    TransportError,
)
from .oauth2 import IssuedToken, ResolvedSecret, basic_authorization, read_token_response, token_request_body
from .secrets import SecretReader

if TYPE_CHECKING:
    from ..events import Work

__all__ = ["TokenClient", "TokenRequest"]


class TokenClient:
    """The parts that all token requests of a session share. They have the session's policies: a token serves many callers."""

    __slots__ = ("clocks", "observers", "pacing", "retry", "secrets", "timeouts", "transport")

    def __init__(
        self,
        transport: Transport,
        retry: RetryPolicy,
        timeouts: Timeouts,
        observers: Observers,
        clocks: Clocks,
        pacing: SessionPacing,
    ) -> None:
        self.transport = transport
        self.secrets = SecretReader(transport.threads, timeouts.connect_seconds)
        self.retry = retry
        self.timeouts = timeouts
        self.observers = observers
        self.clocks = clocks
        self.pacing = pacing


class TokenRequest:
    """One token request with all its attempts. `count` is called for each attempt; their spans are children of `spans`."""

    def __init__(
        self,
        client: TokenClient,
        credentials: ClinicCredentials,
        scope: CancelScope,
        count: Callable[[], None],
        spans: Spans | None,
        call_id: str,
    ) -> None:
        self.credentials = credentials
        self.attempts = 0
        self.last_failure = ""
        self._call_id = call_id
        self._client = client
        self._scope = scope
        self._count = count
        self._spans = spans
        self._passage = client.pacing.token_passage(credentials, credentials.display_name, credentials.token_url)

    # What the transport needs: see Outgoing.

    method = "POST"
    clinic_slot = None
    may_repeat = False  # a token may be billed
    new_connection = False

    @property
    def url(self) -> str:
        """The clinic's token_url."""
        return self.credentials.token_url

    @property
    def body(self) -> bytes:
        """The form that is posted."""
        return token_request_body(self.credentials.scope)

    @property
    def timeouts(self) -> Timeouts:
        """The session's timeouts."""
        return self._client.timeouts

    async def attempt(self) -> IssuedToken:
        """Send one request. Raises TokenError, or ConfigurationError if the secret is not available."""
        secret = self.credentials.client_secret
        literal = isinstance(secret, str)
        if not isinstance(secret, str):
            try:
                secret = await self._client.secrets.read(secret)
            except ConfigurationError as error:
                error.clinic = self.credentials.display_name
                raise
        credentials = self.credentials
        sent = ResolvedSecret(credentials.client_id, secret, credentials.basic_encoding)
        headers = {
            "Authorization": basic_authorization(sent.client_id, sent.secret, sent.encoding),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        issued = await self._send_in_turn(headers, sent)
        if not literal:  # else the credentials hold it: it is not kept twice
            issued.keep_secret(sent)
        return issued

    async def _send_in_turn(self, headers: Mapping[str, str], sent: ResolvedSecret) -> IssuedToken:
        """Send the request. While it is throttled, wait for its turn and repeat it."""
        client, passage = self._client, self._passage
        refusal: TokenError | None = None
        try:
            while True:
                await self._turn(passage, refusal)
                if not client.transport.acquire_slot_nowait():
                    await client.transport.acquire_slot(self._scope)
                if passage.needs_turn():  # it has waited for the slot since before a cut of the rate
                    client.transport.release_slot()
                    continue
                self.attempts += 1
                self._count()
                try:
                    return await self._send_observed(headers, sent)
                except TokenError as error:
                    refusal = error
                    if not passage.repeats:
                        raise
        finally:
            passage.give_back()

    async def _turn(self, passage: Passage, refusal: TokenError | None) -> None:
        error = refusal
        self._scope.set_phase("waiting for a turn, since the token endpoint limits the rate of requests")
        try:
            has_turn = await passage.turn(self._scope.deadline)
            self._scope.set_phase("")
            if has_turn:
                return
        except NoTurnError as late:
            self._scope.set_phase("")
            fault = TokenUnavailableError(
                f"token request not sent: {late}",
                status=429 if refusal is None else refusal.status,
                retry_after_seconds=None if late.requests_per_second else late.seconds,
                clinic=self.credentials.display_name,
                attempts=self.attempts,
            )
            error = passage.leave(fault)
        assert error is not None
        raise error

    async def _send_observed(self, headers: Mapping[str, str], sent: ResolvedSecret) -> IssuedToken:
        observers = self._client.observers
        if not observers.listening():
            return await self._send(headers, sent, None)
        with RequestSpans(observers, self._work(), self._spans) as spans:
            return await self._send(spans.headers(headers), sent, spans)

    async def _send(self, headers: Mapping[str, str], sent: ResolvedSecret, spans: RequestSpans | None) -> IssuedToken:
        status: int | None = None
        outcome: IssuedToken | TokenError
        credentials = self.credentials
        client = self._client
        requested_at = client.clocks.ago()
        try:
            response = await self._open(headers)
            status = response.status
            if spans is not None:
                spans.responded(status, request_id_of(response.header, sent.forms))
            retry_after, date = response.header("Retry-After"), response.header("Date")
            body = await read_prefix(response, strict=200 <= status <= 299)
            asked = retry_after_seconds(retry_after, client.clocks.wall(), date)
            outcome = read_token_response(status, asked, body, sent, requested_at)
        except TransportError as fault:
            outcome = _unavailable(fault)
        except ResponseError as fault:
            outcome = TokenError(f"the token endpoint's response: {fault.args[0]}", status=status)
        if isinstance(outcome, TokenError):
            outcome.clinic, outcome.attempts = credentials.display_name, self.attempts
            raise outcome
        return outcome

    async def _open(self, headers: Mapping[str, str]) -> HttpResponse:
        client, passage = self._client, self._passage
        number = await passage.start()
        try:
            response = await client.transport.open(self, headers, self._scope)
        except BaseException:
            passage.lost(number)
            raise
        pause = pause_seconds(response.header, client.clocks.wall(), client.retry.max_retry_after_seconds)
        passage.responded(number, response.status, pause)
        return response

    def _work(self) -> Work:
        credentials = self.credentials
        return token_work("request", credentials.display_name, credentials.token_url, self.attempts, self._call_id)

    @property
    def deadline(self) -> float | None:
        """See Retryable."""
        return self._scope.deadline

    def delay_asked_for(self, error: ArzamedError) -> float | None:
        """See Retryable: a request without a response is retried, and so is one whose status is in token_statuses."""
        if not isinstance(error, TokenError) or isinstance(error, CredentialsRejectedError):
            raise error
        if error.status is None or error.status < 400:  # no response, or an incomplete one
            repeatable = isinstance(error, TokenUnavailableError) and error.transient
        else:
            repeatable = error.status in self._client.retry.token_statuses
        if not repeatable or error is self._passage.too_late:
            raise error
        if too_long(error.retry_after_seconds, self._client.retry, self._scope.deadline):
            raise error
        self.last_failure = str(error.args[0]) if error.status is None else f"HTTP {error.status}"
        return error.retry_after_seconds

    def retry_scheduled(self, error: ArzamedError, seconds: float) -> None:
        """See Retryable."""
        self._scope.set_phase(f"waiting before attempt {self.attempts + 1}")
        if not self._client.observers.listening(logging.INFO):
            return
        from ..events import RetryScheduled

        event = RetryScheduled(
            clinic=self.credentials.display_name,
            method="POST",
            path=TOKEN_PATH,
            attempt=self.attempts,
            delay_seconds=seconds,
            reason=self.last_failure,
            call_id=self._call_id,
        )
        self._client.observers.emit(event)
        if self._spans is not None:
            self._spans.report(event)

    def deadline_error(self, seconds: float) -> TokenUnavailableError:
        """Return the error for a request that exceeded its deadline, which was `seconds` long."""
        phase = self.phase()
        what = f"no token within the deadline of {seconds:g} s" + (f" while {phase}" if phase else "")
        return TokenUnavailableError(what, clinic=self.credentials.display_name, attempts=self.attempts)

    def phase(self) -> str:
        """Return what the request is doing, and its last failure."""
        phase = self._scope.phase or ("waiting for the response" if self.attempts else "")
        return f"{phase} (last failure: {self.last_failure})" if self.last_failure else phase


def _unavailable(fault: TransportError) -> TokenUnavailableError:
    error = TokenUnavailableError(f"token endpoint unreachable: {fault.reason}")
    return error.unreachable(transient=fault.transient, remedy=vars(fault).get("remedy", ""))
