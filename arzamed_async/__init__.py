"""An asyncio client for the Arzamed clinic platform's external API.

from arzamed_async import ArzamedSession, load_clinics

async with ArzamedSession() as session:
    async with session.fan_out(load_clinics("clinics.toml"), lambda clinic: clinic.doctors.list()) as outcomes:
        async for outcome in outcomes:
            print(outcome.clinic, outcome.ok)
"""

from typing import TYPE_CHECKING

from ._lazy import lazy
from ._records.decoder import to_dict
from ._version import __version__
from .clinic import Clinic
from .config import (
    PRODUCTION,
    SANDBOX,
    BreakerPolicy,
    Endpoints,
    Limits,
    PacingPolicy,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    TokenPolicy,
)
from .credentials import ClinicCredentials, SecretFromEnv, SecretFromFile
from .errors import (
    ArzamedError,
    CircuitOpenError,
    ConfigurationError,
    CredentialsRejectedError,
    DeadlineExceededError,
    DecodeError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    RateLimitedError,
    ResponseError,
    ServiceUnavailableError,
    SessionClosedError,
    StatusError,
    StreamInterruptedError,
    TokenError,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)
from .events import Observer, Span, Tracer
from .models import Doctor, OpenRecord, Patient, Slot
from .resources import Endpoint, RecordStream, Resource, UnpublishedEndpointWarning
from .session import ArzamedSession
from .token_store import TokenStore

if TYPE_CHECKING:
    from ._fan_out.fan_out import FanOut
    from ._fan_out.merge import Merge
    from ._inference.check import check_model
    from ._inference.inferred import InferredModel, infer_model
    from ._inference.report import Drift, ModelReport
    from ._listed import ListResponse
    from ._records.missing import MISSING, Missing
    from ._records.scalars import NaiveDatetime
    from .clinics_file import load_clinics
    from .events import (
        CircuitChanged,
        Event,
        PaceChanged,
        RequestFinished,
        RetryScheduled,
        TokenRequestFinished,
        TokenStoreFailed,
        UnknownField,
        Work,
    )
    from .models import (
        ClinicStats,
        Failure,
        Finished,
        Headers,
        Outcome,
        PacingStats,
        PoolStats,
        Record,
        Response,
        Stats,
        Success,
        Token,
    )
    from .session_thread import SessionThread
    from .token_store import Lease, StoredRejection, StoredToken

__all__ = [
    "MISSING",
    "PRODUCTION",
    "SANDBOX",
    "ArzamedError",
    "ArzamedSession",
    "BreakerPolicy",
    "CircuitChanged",
    "CircuitOpenError",
    "Clinic",
    "ClinicCredentials",
    "ClinicStats",
    "ConfigurationError",
    "CredentialsRejectedError",
    "DeadlineExceededError",
    "DecodeError",
    "Doctor",
    "Drift",
    "Endpoint",
    "Endpoints",
    "Event",
    "Failure",
    "FanOut",
    "Finished",
    "ForbiddenError",
    "Headers",
    "InferredModel",
    "Lease",
    "LimitExceededError",
    "Limits",
    "ListResponse",
    "Merge",
    "Missing",
    "ModelReport",
    "NaiveDatetime",
    "NotFoundError",
    "Observer",
    "OpenRecord",
    "Outcome",
    "PaceChanged",
    "PacingPolicy",
    "PacingStats",
    "Patient",
    "PoolLimits",
    "PoolStats",
    "RateLimitedError",
    "Record",
    "RecordStream",
    "RequestFinished",
    "Resource",
    "Response",
    "ResponseError",
    "RetryPolicy",
    "RetryScheduled",
    "SecretFromEnv",
    "SecretFromFile",
    "ServiceUnavailableError",
    "SessionClosedError",
    "SessionThread",
    "Slot",
    "Span",
    "Stats",
    "StatusError",
    "StoredRejection",
    "StoredToken",
    "StreamInterruptedError",
    "Success",
    "Timeouts",
    "Token",
    "TokenError",
    "TokenPolicy",
    "TokenRequestFinished",
    "TokenStore",
    "TokenStoreFailed",
    "TokenUnavailableError",
    "Tracer",
    "TransportError",
    "UnauthorizedError",
    "UnknownField",
    "UnpublishedEndpointWarning",
    "Work",
    "__version__",
    "check_model",
    "infer_model",
    "load_clinics",
    "to_dict",
]

if not TYPE_CHECKING:
    _LAZY = {
        "._events": (
            "CircuitChanged", "Event", "PaceChanged", "RequestFinished", "RetryScheduled", "TokenRequestFinished",
            "TokenStoreFailed", "UnknownField", "Work",
        ),
        "._fan_out.fan_out": ("FanOut",),
        "._fan_out.merge": ("Merge",),
        ".clinics_file": ("load_clinics",),
        "._inference.check": ("check_model",),
        "._inference.inferred": ("InferredModel", "infer_model"),
        "._inference.report": ("Drift", "ModelReport"),
        "._listed": ("ListResponse",),
        "._merged": ("Failure", "Finished", "Outcome", "Record", "Success"),
        "._records.missing": ("MISSING", "Missing"),
        "._records.scalars": ("NaiveDatetime",),
        "._responses": ("Headers", "Response", "Token"),
        ".session_thread": ("SessionThread",),
        "._stats": ("ClinicStats", "PacingStats", "PoolStats", "Stats"),
        "._stored": ("Lease", "StoredRejection", "StoredToken"),
    }  # fmt: skip
    __getattr__, __dir__ = lazy(__name__, {name: module for module, names in _LAZY.items() for name in names})
