"""What one call is to request, and with what."""

from __future__ import annotations

from .._concurrency.semaphore import FairSemaphore
from ..errors import ArzamedError, TokenError
from .clinics import ClinicState
from .engine import Engine, Options

__all__ = ["Request"]


class Request:
    """A GET of one clinic's URL under a handle's policies.

    Errors and events show `name` and `path`, never `url`, which may hold what identifies a person. `hint` goes
    into the text of any 4xx: it is set where the path is a guess.
    """

    __slots__ = ("clinic", "engine", "hint", "name", "options", "path", "timeouts", "url")
    method = "GET"
    body = None

    def __init__(
        self, engine: Engine, options: Options, clinic: ClinicState, name: str, path: str, url: str, hint: str = ""
    ) -> None:
        self.engine = engine
        self.options = options
        self.timeouts = options.timeouts
        self.clinic = clinic
        self.name = name
        self.path = path
        self.url = url
        self.hint = hint

    @property
    def may_repeat(self) -> bool:
        """Whether there are retries: see Outgoing. (A GET changes nothing.)"""
        return self.options.retry.max_attempts > 1

    @property
    def clinic_slot(self) -> FairSemaphore:
        """The semaphore of the clinic: see Outgoing."""
        return self.clinic.bulkhead

    def under(self, options: Options) -> Request:
        """Return the same request under other policies."""
        return Request(self.engine, options, self.clinic, self.name, self.path, self.url, self.hint)

    def add_facts(self, error: ArzamedError, attempts: int) -> None:
        """Complete the error's facts with those of this request."""
        error.clinic = self.name
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = self.method, self.path, attempts
