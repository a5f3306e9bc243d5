"""What all calls of one session work with. The session puts it together."""

from __future__ import annotations

from attrs import frozen

from .._concurrency.clocks import Clocks
from .._concurrency.lifetime import Lifetime
from .._concurrency.single_flight import SingleFlight
from .._http.transport import Transport
from .._resilience.budget import RetryBudget
from .._telemetry import Observers
from .._tokens.provider import TokenProvider
from .._validation import kinds
from ..config import Endpoints, Limits, RetryPolicy, Timeouts
from .clinics import ClinicRegistry

__all__ = ["Engine", "Options"]


@frozen
class Options:
    """The policies one handle's calls run under."""

    retry: RetryPolicy
    timeouts: Timeouts
    limits: Limits

    def __attrs_post_init__(self) -> None:
        kinds((self.retry, RetryPolicy), (self.timeouts, Timeouts), (self.limits, Limits))


@frozen(eq=False)
class Engine:
    """The parts of one session that its calls use. `reads` is None where identical reads are not shared."""

    base_url: str
    options: Options
    endpoints: Endpoints
    observers: Observers
    clocks: Clocks
    lifetime: Lifetime
    transport: Transport
    retry_budget: RetryBudget
    tokens: TokenProvider
    clinics: ClinicRegistry
    reads: SingleFlight | None
