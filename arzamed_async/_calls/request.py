"""Request: the URL of a call, its clinic and its policies."""

from __future__ import annotations

from urllib.parse import urlsplit

from .._concurrency.semaphore import FairSemaphore
from .._tokens.provider import waiting_for_token
from ..errors import ArzamedError, DeadlineExceededError, TokenError
from .clinics import ClinicState
from .engine import Engine, Options

__all__ = ["Request"]


class Request:
    """A GET request for a clinic, with the policies of a handle.

    Errors and events show `name` and `path`, never `url`, which may identify a person. `hint` is added to the error of
    any 4xx status: it is set if the path is a guess.
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
        """Whether the policies allow a second request (see Outgoing). A GET is always safe to repeat."""
        return self.options.retry.max_attempts > 1

    @property
    def clinic_slot(self) -> FairSemaphore:
        """The semaphore of the clinic: see Outgoing."""
        return self.clinic.bulkhead

    def _is_of_token(self, error: ArzamedError) -> bool:
        """Return whether the token endpoint caused this error, as opposed to the API."""
        if not isinstance(error, DeadlineExceededError):
            return isinstance(error, TokenError)
        return error.phase.startswith(waiting_for_token(self.clinic.credentials))

    def _token_host(self) -> str:
        return urlsplit(self.clinic.credentials.token_url).netloc

    def under(self, options: Options) -> Request:
        """Return a copy of this request with other policies."""
        return Request(self.engine, options, self.clinic, self.name, self.path, self.url, self.hint)

    def over_new_connection(self) -> Request:
        """Return a copy of this request that is sent over a new connection."""
        again = self.under(self.options)
        again.new_connection = True
        return again

    def add_facts(self, error: ArzamedError, attempts: int, call_id: str) -> None:
        """Set the error's attributes: clinic, call id, host and, for a call of the API, method, path and attempts."""
        error.clinic, error.call_id = self.name, call_id
        error.host = error.host or (self._token_host() if self._is_of_token(error) else self.engine.host)
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = self.method, self.path, attempts
