"""What one call is to request, and with what."""

from __future__ import annotations

from urllib.parse import urlsplit

from .._concurrency.semaphore import FairSemaphore
from .._tokens.provider import waiting_for_token
from ..errors import ArzamedError, DeadlineExceededError, TokenError
from .clinics import ClinicState
from .engine import Engine, Options

__all__ = ["Request"]


class Request:
    """A GET of one clinic's URL under a handle's policies.

    Errors and events show `name` and `path`, never `url`, which may hold what identifies a person. `hint` goes
    into the text of any 4xx: it is set where the path is a guess.
    """

    __slots__ = ("clinic", "engine", "hint", "name", "new_connection", "options", "path", "timeouts", "url")
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
        self.new_connection = False

    @property
    def may_repeat(self) -> bool:
        """Whether there are retries: see Outgoing. (A GET changes nothing.)"""
        return self.options.retry.max_attempts > 1

    @property
    def clinic_slot(self) -> FairSemaphore:
        """The semaphore of the clinic: see Outgoing."""
        return self.clinic.bulkhead

    def _is_of_token(self, error: ArzamedError) -> bool:
        """Return whether it is the token endpoint that has failed, or that the call was waiting for."""
        if not isinstance(error, DeadlineExceededError):
            return isinstance(error, TokenError)
        return error.phase.startswith(waiting_for_token(self.clinic.credentials))

    def _token_host(self) -> str:
        return urlsplit(self.clinic.credentials.token_url).netloc

    def under(self, options: Options) -> Request:
        """Return the same request under other policies."""
        return Request(self.engine, options, self.clinic, self.name, self.path, self.url, self.hint)

    def over_new_connection(self) -> Request:
        """Return the same request, to be sent over a connection that no other has used."""
        again = self.under(self.options)
        again.new_connection = True
        return again

    def add_facts(self, error: ArzamedError, attempts: int, call_id: str) -> None:
        """Complete the error's facts with those of this request."""
        error.clinic, error.call_id = self.name, call_id
        error.host = error.host or (self._token_host() if self._is_of_token(error) else self.engine.host)
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = self.method, self.path, attempts
