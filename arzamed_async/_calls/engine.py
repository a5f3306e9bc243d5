"""Engine: the parts of a session that its calls share. `ArzamedSession` creates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from .._arguments import kinds
from .._concurrency.clocks import Clocks
from .._concurrency.lifetime import Lifetime
from .._concurrency.semaphore import FairSemaphore
from .._concurrency.single_flight import SingleFlight
from .._http.transport import Transport
from .._resilience.budget import RetryBudget
from .._resilience.session_pacing import SessionPacing
from .._telemetry import Observers
from .._tokens.provider import TokenProvider
from ..config import Endpoints, Limits, PacingPolicy, RetryPolicy, Timeouts
from ..errors import ArzamedError
from .clinics import ClinicRegistry, ClinicState

if TYPE_CHECKING:
    from ..models import Stats

__all__ = ["Engine", "Options", "not_pickled", "paces_of"]


def not_pickled(self: object) -> NoReturn:
    """Refuse to pickle a session, clinic or resource: connections and secrets must stay in their process."""
    raise TypeError(
        "an ArzamedSession and its clinics are not pickled: open a session in the other process, and send it what is needed"
        " to read the credentials there (see load_clinics)"
    )


def paces_of(policy: PacingPolicy | None, base_url: str, retry: RetryPolicy, observers: Observers) -> SessionPacing:
    """Return the pacing of a session. Raises ConfigurationError if `policy` is neither a PacingPolicy nor None."""
    kinds(pacing=(PacingPolicy() if policy is None else policy, PacingPolicy))
    return SessionPacing(policy, base_url, retry.max_retry_after_seconds, observers.pace_changed)


class Options:
    """The policies for the calls of one handle (a Clinic)."""

    __slots__ = ("limits", "retry", "timeouts")

    def __init__(self, retry: RetryPolicy, timeouts: Timeouts, limits: Limits) -> None:
        kinds(retry=(retry, RetryPolicy), timeouts=(timeouts, Timeouts), limits=(limits, Limits))
        self.retry = retry
        self.timeouts = timeouts
        self.limits = limits


class Engine:
    """The parts of one session that its calls use.

    `paces` has the pacing of the API and of all token endpoints; `pacing` and `origin` are those of the API. `reads` shares
    identical reads; None: they are not shared. `list_turns` lets one list at a time decompress what it has received.
    """

    __slots__ = (
        "base_url", "clinics", "clocks", "endpoints", "lifetime", "list_turns", "observers", "options", "origin", "paces",
        "pacing", "reads", "retry_budget", "tokens", "transport",
    )  # fmt: skip

    def __init__(
        self,
        *,
        base_url: str,
        options: Options,
        endpoints: Endpoints,
        observers: Observers,
        clocks: Clocks,
        lifetime: Lifetime,
        transport: Transport,
        retry_budget: RetryBudget,
        paces: SessionPacing,
        tokens: TokenProvider,
        clinics: ClinicRegistry,
        reads: SingleFlight | None,
    ) -> None:
        self.base_url = base_url
        self.options = options
        self.endpoints = endpoints
        self.observers = observers
        self.clocks = clocks
        self.lifetime = lifetime
        self.transport = transport
        self.retry_budget = retry_budget
        self.paces = paces
        self.pacing = paces.api
        self.origin = paces.api.origin
        self.tokens = tokens
        self.clinics = clinics
        self.reads = reads
        lifetime.on_new_loop(observers.flush)
        lifetime.on_fork(observers.leave_process)
        self._leave_loop()
        lifetime.on_new_loop(self._leave_loop)

    __reduce__ = not_pickled

    def _leave_loop(self) -> None:
        self.list_turns = FairSemaphore(1)

    @property
    def host(self) -> str:
        """The API's host."""
        return urlsplit(self.base_url).netloc

    def note_failure(self, clinic: ClinicState, error: ArzamedError) -> None:
        """Count and log a failure that reaches a caller."""
        clinic.count_failure()
        self.observers.failed(error)

    def stats(self, connections: int) -> Stats:
        """Return a snapshot of the session; `connections` is the size of the pool."""
        from ..models import PacingStats, PoolStats, Stats

        in_use, opened, queued = self.transport.use()
        lane = self.transport.lane
        return Stats(
            clinics=self.clinics.stats(),
            pool=PoolStats(connections=connections, in_use=in_use, open=opened, queued=queued, lane=lane),
            retry_budget_remaining=self.retry_budget.remaining,
            pacing=PacingStats(**self.paces.figures()) if self.paces.learns else None,
        )
