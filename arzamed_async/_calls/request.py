"""What one call is to request, and with what."""

from __future__ import annotations

from attrs import field, frozen

from .._concurrency.semaphore import FairSemaphore
from ..config import Timeouts
from ..errors import ArzamedError, TokenError
from .clinics import ClinicState
from .engine import Engine, Options

__all__ = ["Request"]


@frozen(eq=False)
class Request:
    """A GET of one clinic's URL under a handle's policies.

    Errors and events show `name` and `path`, never `url`, which may hold what identifies a person. `hint` goes
    into the text of any 4xx: it is set where the path is a guess.
    """

    engine: Engine = field(repr=False)
    options: Options
    clinic: ClinicState
    name: str
    path: str
    url: str = field(repr=False)
    hint: str = ""
    method = "GET"
    body = None

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of the handle: see Outgoing."""
        return self.options.timeouts

    @property
    def clinic_slot(self) -> FairSemaphore:
        """The semaphore of the clinic: see Outgoing."""
        return self.clinic.bulkhead

    def add_facts(self, error: ArzamedError, attempts: int) -> None:
        """Complete the error's facts with those of this request."""
        error.clinic = self.name
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = self.method, self.path, attempts
