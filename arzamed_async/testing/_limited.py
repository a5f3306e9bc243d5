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
        """Let `burst` requests through at once, then this many a second, by `clock`; refuse the rest with `status`.

        The limit is of all requests of a kind (`on` is "api" or "token") together, or, with `clinic`, of one clinic's.

        Args:
            requests_per_second: The rate.
            burst: How many requests are let through at once.

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
        """Refuse with `status` what exceeds a number of requests in flight; the limit is of the same requests as with `limit_rate`.

        Args:
            requests: The most requests in flight.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        refused = refusal(status, on, "", retry_after=retry_after)
        limit = ConcurrencyLimit(int(number("requests", requests, 1)), refused)
        self._handler.limits.set(limit, checked_on(on), self._find(clinic))
