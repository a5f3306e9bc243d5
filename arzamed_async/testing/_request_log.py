"""The requests that a fake Arzamed received: counters, and assertions about them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from arzamed_async import ClinicCredentials
from arzamed_async._counted import counted

from ._clinics import Counts, FakeClinic
from ._paths import same_path
from ._server import BASE_PATH, Handler, RecordedRequest

__all__ = ["RequestLog"]

#: The most requests listed in an assertion's message: the last ones.
_LISTED = 20
_POLL_SECONDS = 0.002


class RequestLog:
    """Counts all requests received, including failed ones.

    Args:
        clinic: A clinic's name or its credentials. None: all clinics. An unknown clinic raises ConfigurationError.
        on: The kind of requests: "api" or "token".
        path: The path below `base_url`. None: all paths.
        status: The HTTP status to respond with.
        retry_after: The value of the Retry-After header, sent unchanged. None: no such header.
        times: The number of requests that are affected. None: all, until `clear_faults`.
    """

    _handler: Handler

    def _find(self, clinic: ClinicCredentials | str | None) -> FakeClinic | None:
        return None if clinic is None else self._handler.clinics.find(clinic)

    def _counts(self, clinic: ClinicCredentials | str | None) -> Counts:
        found = self._find(clinic)
        return self._handler.counts if found is None else found.counts

    def token_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return the number of token requests received, for one clinic or for all."""
        return self._counts(clinic).requests["token"]

    def api_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return the number of API requests received, for one clinic (by its token) or in total."""
        return self._counts(clinic).requests["api"]

    def peak_open_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return the largest number of requests that were open at the same time, token requests included."""
        return self._counts(clinic).peak_open

    @property
    def open_requests_high_water(self) -> int:
        """The largest number of requests, of all clinics, that were open at the same time."""
        return self.peak_open_requests()

    @property
    def open_requests(self) -> int:
        """The number of requests open now."""
        return self._handler.counts.open

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last 10,000 requests, oldest first."""
        return self._handler.recorded()

    # Assertions: each raises an AssertionError that lists the requests received, without tokens and secrets.

    def assert_token_requests(self, clinic: ClinicCredentials | str | None, expected: int) -> None:
        """Assert the number of token requests received, for one clinic or (None) for all.

        Args:
            expected: The expected number of requests.

        Raises:
            AssertionError: The number is different. The text lists the requests.
        """
        self._assert_count("token", clinic, expected, self.token_requests(clinic))

    def assert_api_requests(self, clinic: ClinicCredentials | str | None, expected: int) -> None:
        """Assert the number of API requests received, for one clinic (by its token) or (None) in total.

        Args:
            expected: The expected number of requests.

        Raises:
            AssertionError: The number is different. The text lists the requests.
        """
        self._assert_count("API", clinic, expected, self.api_requests(clinic))

    def assert_requested(
        self,
        path: str,
        *,
        params: Mapping[str, str | int | float | Sequence[str]] | None = None,
        clinic: ClinicCredentials | str | None = None,
        times: int | None = None,
    ) -> None:
        """Assert that a path was requested.

        Args:
            path: The path below `base_url`. If it has parameters, any values match.
            params: The exact query. None: any query.
            clinic: The clinic whose token the request had. None: any clinic.
            times: The expected number of requests. None: at least one.

        Raises:
            AssertionError: The path was not requested, or not that often. The text lists the requests.
        """
        found = self._find(clinic)
        wanted = None if params is None else {name: _texts(value) for name, value in params.items()}
        matching = [
            each
            for each in self.requests
            if each.kind == "api"
            and same_path(path.strip("/"), each.path.removeprefix(BASE_PATH).strip("/"))
            and (found is None or each.clinic == found.name)
            and (wanted is None or parse_qs(each.query, keep_blank_values=True) == wanted)
        ]
        if len(matching) == times or (times is None and matching):
            return
        what = f"GET {path}" + ("" if wanted is None else f" with the params {dict(params or {})}")
        count = "at least once" if times is None else counted(times, "time")
        raise AssertionError(
            f"expected {what}{_of(found)} {count}, it was requested {counted(len(matching), 'time')}\n{self._listing()}"
        )

    async def wait_until_idle(self, within_seconds: float = 5.0) -> None:
        """Wait until no request is open.

        A call that was cancelled or timed out leaves its request open here until the connection closes, a moment later.

        Args:
            within_seconds: The maximum time to wait.

        Raises:
            AssertionError: A request is still open after that time. The text lists the requests.
        """
        until = time.monotonic() + within_seconds
        while self.open_requests:
            if time.monotonic() >= until:
                raise AssertionError(f"requests still open: {self.open_requests}\n{self._listing()}")
            await asyncio.sleep(_POLL_SECONDS)

    def _assert_count(self, kind: str, clinic: ClinicCredentials | str | None, expected: int, received: int) -> None:
        if received != expected:
            raise AssertionError(
                f"expected {counted(expected, f'{kind} request')}{_of(self._find(clinic))}, there were {received}\n{self._listing()}"
            )

    def _listing(self) -> str:
        requests = self.requests
        if not requests:
            return "no requests received"
        lines = [f"  {at}. {_line(each)}" for at, each in enumerate(requests, 1)]
        left_out = ["  ..."] if len(lines) > _LISTED else []
        return "\n".join(["requests received:", *left_out, *lines[-_LISTED:]])


def _texts(value: str | float | Sequence[str]) -> list[str]:
    return [str(value)] if isinstance(value, (str, int, float)) else [str(each) for each in value]


def _of(clinic: FakeClinic | None) -> str:
    return "" if clinic is None else f" of {clinic.name}"


def _line(request: RecordedRequest) -> str:
    query = f"?{request.query}" if request.query else ""
    return f"{request.method} {request.path}{query} ({request.clinic or 'no clinic'})"
