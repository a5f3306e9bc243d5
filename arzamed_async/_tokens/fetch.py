"""Gets a new token for a clinic: from the token store, where the session has one, or from the token endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._arguments import store_object
from .._concurrency.lifetime import Lifetime
from .._concurrency.single_flight import Describe
from .._resilience.retry import Retries, retry
from .._spans import Spans, token_work
from .._telemetry import current_call_id
from ..credentials import ClinicCredentials
from ..errors import ArzamedError, SessionClosedError
from .oauth2 import IssuedToken
from .request import TokenClient, TokenRequest

if TYPE_CHECKING:
    from ..token_store import TokenStore
    from .shared import SharedTokens

__all__ = ["TokenFetcher", "shared_tokens"]


def shared_tokens(store: TokenStore | None, *parts: Any) -> SharedTokens | None:
    """Return a SharedTokens for the session's token store; None if it has none. Raises ConfigurationError for a wrong type."""
    if store is None:
        return None
    store_object(store)
    from .shared import SharedTokens  # few sessions have a store

    return SharedTokens(store, *parts)


class TokenFetcher:
    """Gets new tokens, with the session's own retries and timeouts, since a token may serve many callers."""

    def __init__(self, lifetime: Lifetime, client: TokenClient, shared: SharedTokens | None) -> None:
        self._lifetime = lifetime
        self._client = client
        self._shared = shared

    def forget(self, credentials: ClinicCredentials) -> None:
        """Ignore a pause that the token store has for this clinic."""
        if self._shared is not None:
            self._shared.forget(credentials)

    async def fetch(
        self, credentials: ClinicCredentials, known: IssuedToken | None, count: Callable[[], None], describe: Describe
    ) -> IssuedToken:
        """Return a token other than `known`. Raises TokenError.

        `count` is called for each request sent. `describe` receives a function that returns what the request is doing.
        """
        observers, call_id = self._client.observers, current_call_id()
        if not observers.tracers:
            return await self._fetch(credentials, known, count, describe, None, call_id)
        work = token_work("token", credentials.display_name, credentials.token_url, call_id=call_id)
        with Spans(observers, work) as spans:
            return await self._fetch(credentials, known, count, describe, spans, call_id)

    async def _fetch(
        self,
        credentials: ClinicCredentials,
        known: IssuedToken | None,
        count: Callable[[], None],
        describe: Describe,
        spans: Spans | None,
        call_id: str,
    ) -> IssuedToken:
        client, name = self._client, credentials.display_name
        seconds = client.timeouts.total_seconds
        scope = self._lifetime.scope(seconds, name, client.timeouts.read_seconds)
        request = TokenRequest(client, credentials, scope, count, spans, call_id)
        describe(request.phase)

        async def request_token() -> IssuedToken:
            try:
                return await request.attempt()
            except ArzamedError as error:
                failure = error
            return await retry(request.attempt, failure, request, Retries(client.retry))

        with scope:
            return await (
                request_token()
                if self._shared is None
                else self._shared.fetch(credentials, known, request_token, scope.deadline)
            )
        if scope.cancelled_by == "closed":
            raise SessionClosedError(clinic=name)
        raise request.deadline_error(seconds)
