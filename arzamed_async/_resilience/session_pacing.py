"""The paces of one session: of the API's origin, and of each token endpoint's origin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from .._concurrency.weak_when_idle import WeakWhenIdle
from ..config import PacingPolicy
from .clinic_scope import REST_SECONDS, ClinicScope
from .origin_scope import OriginScope
from .pacing import Pacing
from .passage import Passage

__all__ = ["SessionPacing"]

#: Above these numbers, what has nothing to remember is dropped: token endpoints' origins, and clinics they have refused.
MOST_ORIGINS, MOST_REFUSED = 128, 512


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


PaceChange = Literal["started", "changed", "ended"]
#: Called with an origin, the name of a clinic (None: the origin itself), the change, the new rate and its reason.
Report = Callable[[str, str | None, PaceChange, float | None, str], None]


class _Credentials(Protocol):
    @property
    def token_url(self) -> str: ...


class HasCredentials(Protocol):
    """A clinic, as far as its pacing needs to know it."""

    @property
    def credentials(self) -> _Credentials:
        """They name its token endpoint."""
        ...


def _is_rested(pacing: Pacing, many: bool) -> bool:
    return pacing.origin.rested(asyncio.get_running_loop().time()) and many


def _was_not_refused(scope: ClinicScope, many: bool) -> bool:
    now = asyncio.get_running_loop().time()
    return many and not scope.remembers(now) and scope.refused_before(now - REST_SECONDS)


class _TokenScope(ClinicScope):
    """A clinic at its token endpoint."""

    __slots__ = ("__weakref__",)  # of those at the API there are many, for long


class SessionPacing:
    """The pacing of the API's origin is `api`; that of a token endpoint's is created lazily. Each change is reported.

    Without a policy nothing is paced.
    """

    def __init__(
        self,
        policy: PacingPolicy | None,
        base_url: str,
        max_retry_after_seconds: float,
        report: Report,
    ) -> None:
        self.learns = policy is not None
        self._max_retry_after_seconds = max_retry_after_seconds
        self._report = report
        self._paced: set[tuple[str, ClinicScope | None]] = set()
        self._tokens: WeakWhenIdle[str, Pacing] = WeakWhenIdle(_is_rested, MOST_ORIGINS)
        self._token_scopes: WeakWhenIdle[Hashable, ClinicScope] = WeakWhenIdle(_was_not_refused, MOST_REFUSED)
        self.api = self._pacing(origin_of(base_url), None if policy is None else policy.max_requests_per_second)

    def _pacing(self, origin: str, known_rate: float | None = None, *, shuts_clinics: bool = True) -> Pacing:
        return Pacing(
            OriginScope(
                learns=self.learns,
                shuts_clinics=shuts_clinics,
                known_rate=known_rate,
                max_retry_after_seconds=self._max_retry_after_seconds,
                changed=partial(self._changed, origin),
            )
        )

    def _changed(self, origin: str, clinic: ClinicScope | None, rate: float | None, why: str) -> None:
        scope = origin, clinic
        change: PaceChange = "changed" if scope in self._paced else "started"
        if rate is None:
            self._paced.discard(scope)
            change = "ended"
        else:
            self._paced.add(scope)
        self._report(origin, None if clinic is None else clinic.name, change, rate, why)

    def token_passage(self, key: Hashable, name: str, token_url: str) -> Passage:
        """Return the way of a token request through the pacing of its endpoint's origin; `key` identifies the clinic."""
        origin = origin_of(token_url)
        pacing = self._tokens.get(origin)
        if pacing is None:
            # The token cache remembers a long pause of a clinic: that is shared through a token store, too.
            pacing = self._pacing(origin, shuts_clinics=False)
            self._tokens.keep(origin, pacing)
        scope = self._token_scopes.get(key)
        if scope is None:
            scope = _TokenScope(name)  # kept only where it is refused: tokens are requested once an hour
            self._token_scopes.add(key, scope)
        return Passage(pacing, scope, partial(self._refused, origin, pacing, key, scope))

    def _refused(self, origin: str, pacing: Pacing, key: Hashable, scope: ClinicScope) -> None:
        """Hold what has something to remember from now on."""
        self._tokens.keep(origin, pacing)
        self._token_scopes.keep(key, scope)

    def forget(self, scope: ClinicScope | None, key: Hashable, token_url: str) -> None:
        """Forget a clinic's paces, and open what is shut."""
        if scope is not None:
            self.api.origin.forget(scope)
        token_scope, pacing = self._token_scopes.pop(key), self._tokens.get(origin_of(token_url))
        if token_scope is not None and pacing is not None:
            pacing.origin.forget(token_scope)

    def leave_loop(self) -> None:
        """Nothing waits and nothing is under way on a new event loop."""
        for pacing in (self.api, *self._tokens.values()):
            pacing.leave_loop()
        for scope in self._token_scopes.values():
            scope.leave_loop()

    def crowded(self, clinic: HasCredentials) -> bool:
        """Return whether more than a second of work waits where this clinic's requests go: a fan-out waits meanwhile."""
        if not self._paced and not self.api.origin.active:
            return False
        tokens = self._tokens.get(origin_of(clinic.credentials.token_url))
        return self.api.crowded() or (tokens is not None and tokens.crowded())

    def figures(self) -> dict[str, Any]:
        """Return how requests are paced now: see PacingStats."""
        origin = self.api.origin
        tokens = {url: pacing.origin.pace for url, pacing in self._tokens.items()}
        return {
            "requests_per_second": self.api.rate(),
            "max_in_flight": None if origin.levels is None else origin.levels.cap,
            "waiting": origin.waiting,
            "clinics": {each.name: 0.0 if each.pace is None else each.pace.rate for each in origin.paced},
            "token_endpoints": {url: pace.rate for url, pace in tokens.items() if pace is not None},
        }
