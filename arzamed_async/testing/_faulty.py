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
        """Respond to the next matching requests with `status`. Faults are used up in the order in which they were added.

        A redirect leads to this server, so a client that follows it is detected by the counters.

        Args:
            message: The `error` text in the body.

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
        """Apply one step to each of the next matching requests, in this order. Later requests succeed again.

            fake.script(503, "cut", "ok", "hang", Answer(json=[{"name": 1}]))

        Steps are added after those of earlier calls.

        Args:
            *steps: A number: respond with this status, as `fail` does. "ok": respond normally. "cut": send half of the body,
                and close the connection. "reset": reset the connection before the response. "hang": send nothing.
                "garbage": send bytes that are not HTTP. An `Answer`: send it unchanged.

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
        """Close the connection in the middle of the next `times` bodies, after `after_bytes` bytes on the wire.

        Args:
            after_bytes: The number of bytes of the body that are sent.

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
        """Send bodies in small chunks, with a pause after each (times=None: until `clear_faults`).

        Args:
            chunk_bytes: The size of a chunk.
            pause_seconds: The pause after each chunk.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        slow = SlowBody(int(number("chunk_bytes", chunk_bytes, 1)), number("pause_seconds", pause_seconds))
        self._handler.slow_bodies.add(slow, times, on, self._find(clinic))

    def clear_faults(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Remove all faults: failures, scripts, limits, cut and slow bodies. With a clinic, only those set for it alone.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        found = self._find(clinic)
        self._handler.limits.clear(found)
        for script in (self._handler.faults, self._handler.cuts, self._handler.slow_bodies):
            script.clear(found)

    def set_latency(self, seconds: float | None, clinic: ClinicCredentials | str, *, on: On = "api") -> None:
        """Set the delay before each response to one clinic. It replaces `latency_seconds` or `token_latency_seconds`.

        Args:
            seconds: The delay. None: the fake's own delay applies again.

        Raises:
            ConfigurationError: An argument is invalid, or the clinic is unknown.
        """
        latency = self._handler.clinics.find(clinic).latency_seconds
        if seconds is None:
            latency.pop(checked_on(on), None)
        else:
            latency[checked_on(on)] = number("seconds", seconds)

    def expire_tokens(self, clinic: ClinicCredentials | str | None = None) -> None:
        """Make all tokens issued so far expire, or those of one clinic: requests with them get HTTP 401.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        self._handler.tokens.expire(self._find(clinic))

    def revoke_key(self, clinic: ClinicCredentials | str, *, status: int = 401) -> None:
        """Revoke a clinic's key: its token requests get `status` and invalid_client, and its tokens get HTTP 403.

        After `rotate_key`, credentials stand for their own key, and a name for all keys of the clinic.

        Raises:
            ConfigurationError: The clinic is unknown.
        """
        self._handler.clinics.find(clinic).revoke(clinic, status)
