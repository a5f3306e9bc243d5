"""What has come over the wire to a fake Arzamed: counters, and assertions about them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from arzamed_async import ClinicCredentials

from ._clinics import Counts, FakeClinic
from ._server import BASE_PATH, Handler, RecordedRequest

__all__ = ["Ledger"]

#: So many requests are listed in an assertion's message, the last ones.
_LISTED = 20
_POLL_SECONDS = 0.002


class Ledger:
    """Counters of everything that came over the wire, failed requests included."""

    _handler: Handler

    def _find(self, clinic: ClinicCredentials | str | None) -> FakeClinic | None:
        return None if clinic is None else self._handler.clinics.find(clinic)

    def _counts(self, clinic: ClinicCredentials | str | None) -> Counts:
        found = self._find(clinic)
        return self._handler.counts if found is None else found.counts

    def token_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return how many token requests have come in, for one clinic or for all."""
        return self._counts(clinic).requests["token"]

    def api_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return how many API requests have come in, for one clinic (by its token) or in all."""
        return self._counts(clinic).requests["api"]

    def peak_open_requests(self, clinic: ClinicCredentials | str | None = None) -> int:
        """Return how many requests, token requests included, were open at once at the most."""
        return self._counts(clinic).peak_open

    @property
    def open_requests_high_water(self) -> int:
        """How many requests of all clinics were open at once at the most."""
        return self.peak_open_requests()

    @property
    def open_requests(self) -> int:
        """How many requests are open now."""
        return self._handler.counts.open

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last 10,000 requests, oldest first."""
        return self._handler.recorded()

    # Assertions: each raises an AssertionError that lists what has come in, without tokens and secrets.

    def assert_token_requests(self, clinic: ClinicCredentials | str | None, expected: int) -> None:
        """Assert that so many token requests have come in, for one clinic or (None) for all."""
        self._assert_count("token", clinic, expected, self.token_requests(clinic))

    def assert_api_requests(self, clinic: ClinicCredentials | str | None, expected: int) -> None:
        """Assert that so many API requests have come in, for one clinic (by its token) or (None) in all."""
        self._assert_count("API", clinic, expected, self.api_requests(clinic))

    def assert_requested(
        self,
        path: str,
        *,
        params: Mapping[str, str | int | float | Sequence[str]] | None = None,
        clinic: ClinicCredentials | str | None = None,
        times: int | None = None,
    ) -> None:
        """Assert that `path` (below base_url) was asked for, at least once or exactly so many `times`.

        With `params` the query has to hold these, all of them and no others; with `clinic` it has to be that one's.
        """
        found = self._find(clinic)
        wanted = None if params is None else {name: _texts(value) for name, value in params.items()}
        matching = [
            each
            for each in self.requests
            if each.kind == "api"
            and each.path.removeprefix(BASE_PATH).strip("/") == path.strip("/")
            and (found is None or each.clinic == found.name)
            and (wanted is None or parse_qs(each.query, keep_blank_values=True) == wanted)
        ]
        if len(matching) == times or (times is None and matching):
            return
        what = f"GET {path}" + ("" if wanted is None else f" with the params {dict(params or {})}")
        count = "at least once" if times is None else f"{times} times"
        raise AssertionError(
            f"expected {what}{_of(found)} {count}, it was asked for {len(matching)} times\n{self._listing()}"
        )

    async def wait_until_idle(self, within_seconds: float = 5.0) -> None:
        """Wait until no request is open; AssertionError if one still is after so long.

        A call that was cancelled, or has ended in a timeout, is known here when its connection is seen to close: a
        moment later.
        """
        until = time.monotonic() + within_seconds
        while self.open_requests:
            if time.monotonic() >= until:
                raise AssertionError(f"{self.open_requests} requests are still open\n{self._listing()}")
            await asyncio.sleep(_POLL_SECONDS)

    def _assert_count(self, kind: str, clinic: ClinicCredentials | str | None, expected: int, counted: int) -> None:
        if counted != expected:
            raise AssertionError(
                f"expected {expected} {kind} requests{_of(self._find(clinic))}, there were {counted}\n{self._listing()}"
            )

    def _listing(self) -> str:
        requests = self.requests
        if not requests:
            return "nothing has come in"
        lines = [f"  {at}. {_line(each)}" for at, each in enumerate(requests, 1)]
        left_out = ["  ..."] if len(lines) > _LISTED else []
        return "\n".join(["what has come in:", *left_out, *lines[-_LISTED:]])


def _texts(value: str | float | Sequence[str]) -> list[str]:
    return [str(value)] if isinstance(value, (str, int, float)) else [str(each) for each in value]


def _of(clinic: FakeClinic | None) -> str:
    return "" if clinic is None else f" of {clinic.name}"


def _line(request: RecordedRequest) -> str:
    query = f"?{request.query}" if request.query else ""
    return f"{request.method} {request.path}{query} ({request.clinic or 'no clinic'})"
