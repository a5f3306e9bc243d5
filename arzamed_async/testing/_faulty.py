"""The methods that make a fake Arzamed fail."""

from __future__ import annotations

from arzamed_async import ClinicCredentials

from ._faults import Fault, Step, fault, refusal
from ._limited import Limited
from ._script import On, SlowBody, checked_on, number

__all__ = ["Faulty"]


class Faulty(Limited):
    """A fake whose requests can be made to fail."""

    @property
    def base_url(self) -> str:
        """The `base_url` for an ArzamedSession."""
        raise NotImplementedError

    def fail(
        self,
        status: int,
        times: int | None = 1,
        *,
        retry_after: float | str | None = None,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        path: str | None = None,
        message: str = "",
    ) -> None:
        """Respond to the next matching requests with `status`. Scripted failures are consumed in order.

        A redirect points to this server, which would count the request that follows it.

        Args:
            message: The `error` of the body.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        refused = refusal(status, on, self.base_url, retry_after=retry_after, message=message)
        self._handler.faults.add(refused, times, on, self._find(clinic), path)

    def script(
        self,
        *steps: Step,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
        path: str | None = None,
    ) -> None:
        """Apply these steps to the next matching requests, one each and in order; later requests succeed again.

            fake.script(503, "cut", "ok", "hang", Answer(json=[{"name": 1}]))

        Steps are added after those scripted earlier.

        Args:
            *steps: A number is a status, as with `fail`; "ok" a good response; "cut" a good one whose body is cut in the
                middle; "reset" a connection reset before the response; "hang" no response for as long as the client waits;
                "garbage" bytes that are not HTTP; an `Answer` is sent unchanged.

        Raises:
            ConfigurationError: A step is invalid, or the clinic is unknown.
        """
        faults: list[Fault] = [fault(step, on, self.base_url) for step in steps]
        found = self._find(clinic)
        for each in faults:
            self._handler.faults.add(each, 1, on, found, path)

    def cut_body(
        self,
        after_bytes: int,
        times: int | None = 1,
        *,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
    ) -> None:
        """Close the connection in the middle of the next `times` good bodies, after `after_bytes` bytes on the wire.

        Args:
            after_bytes: How many bytes of the body are sent.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        cut = int(number("after_bytes", after_bytes))
        self._handler.cuts.add(cut, times, on, self._find(clinic))

    def slow_body(
        self,
        chunk_bytes: int,
        pause_seconds: float,
        times: int | None = None,
        *,
        clinic: ClinicCredentials | str | None = None,
        on: On = "api",
    ) -> None:
        """Send good bodies in small chunks, with a pause after each (times=None: until `clear_faults`).

        Args:
            chunk_bytes: The size of a chunk.
            pause_seconds: The pause after each chunk.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        slow = SlowBody(int(number("chunk_bytes", chunk_bytes, 1)), number("pause_seconds", pause_seconds))
        self._handler.slow_bodies.add(slow, times, on, self._find(clinic))

    def clear_faults(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Drop all failures, scripts, limits, cut and slow bodies; with a clinic, only those set for it alone.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        found = self._find(clinic)
        self._handler.limits.clear(found)
        for script in (self._handler.faults, self._handler.cuts, self._handler.slow_bodies):
            script.clear(found)

    def set_latency(self, seconds: float | None, clinic: ClinicCredentials | str, *, on: On = "api") -> None:
        """Set one clinic's delay before each response, instead of the common latency; None removes it.

        Args:
            seconds: The delay; None: the common one again.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        latency = self._handler.clinics.find(clinic).latency_seconds
        if seconds is None:
            latency.pop(checked_on(on), None)
        else:
            latency[checked_on(on)] = number("seconds", seconds)

    def expire_tokens(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Respond with 401 to all tokens issued so far, or to those of one clinic.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        self._handler.tokens.expire(self._find(clinic))

    def revoke_key(self, clinic: ClinicCredentials | str, *, status: int = 401) -> None:
        """Reject the clinic's token requests (`status` and invalid_client) and its tokens (403) from now on.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        self._handler.clinics.find(clinic).revoked_status = status
