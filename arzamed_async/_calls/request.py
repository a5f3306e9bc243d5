"""What one call is to request, and with what."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

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
    method: ClassVar[str] = "GET"

    def add_facts(self, error: ArzamedError, attempts: int) -> None:
        """Complete the error's facts with those of this request."""
        error.clinic = self.name
        if not isinstance(error, TokenError):
            error.method, error.path, error.attempts = self.method, self.path, attempts
