"""The methods that limit a fake Arzamed."""

from __future__ import annotations

from arzamed_async import ClinicCredentials

from ._faults import refusal
from ._limits import ConcurrencyLimit, RateLimit
from ._request_log import RequestLog
from ._script import On, checked_on, number

__all__ = ["Limited"]


class Limited(RequestLog):
    """A fake that refuses requests over a limit."""

    def limit_rate(
        self,
        requests_per_second: float,
        *,
        burst: int = 1,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        status: int = 429,
        retry_after: float | str | None = None,
    ) -> None:
        """Limit the rate of requests, as a token bucket. Requests over the limit are refused with `status`.

        The limit applies to all requests of one kind together (`on` is "api" or "token"), or to those of one clinic.

        Args:
            requests_per_second: The rate, in real time. Time by which a test advances the fake's `clock` counts, too.
            burst: The number of requests that are accepted at once, before the rate applies.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        rate = number("requests_per_second", requests_per_second)
        refused = refusal(status, on, "", retry_after=retry_after)
        limit = RateLimit(rate, number("burst", burst, 1), refused)
        self._handler.limits.set(limit, checked_on(on), self._find(clinic))

    def limit_concurrency(
        self,
        requests: int,
        *,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        status: int = 503,
        retry_after: float | str | None = None,
    ) -> None:
        """Limit the number of requests in flight. Requests over the limit are refused with `status`.

        The limit applies to the same requests as that of `limit_rate`.

        Args:
            requests: The maximum number of requests in flight.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        refused = refusal(status, on, "", retry_after=retry_after)
        limit = ConcurrencyLimit(int(number("requests", requests, 1)), refused)
        self._handler.limits.set(limit, checked_on(on), self._find(clinic))
