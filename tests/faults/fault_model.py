"""What a fault is: what the server does, where it strikes, and what each call makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from attrs import Factory, evolve, frozen
from fault_server import Act, Side

from arzamed_async import (
    ArzamedError,
    Limits,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
    TokenError,
    TokenUnavailableError,
    TransportError,
)

__all__ = [
    "CALLS", "END_MISSING", "LIMITS", "READS", "RETRY", "TIMEOUTS", "Fault", "Outcome", "broken", "failed", "fatal", "good",
    "reads", "reused", "themed", "works",
]  # fmt: skip

#: What a user has by default, and what the outcomes hold for. Only the limits are smaller, so that they are soon met.
RETRY = RetryPolicy()
TIMEOUTS = Timeouts()
LIMITS = Limits(record_bytes=65_536, list_bytes=1_048_576, body_bytes=1_048_576)

ALL_TRIES = RETRY.max_attempts

#: "later" is a stream that has handed out its first record when the fault strikes.
CALLS = ("token", "list", "stream", "later", "get", "fan-out")
READS = ("list", "stream", "get", "fan-out")

Stage = Literal["start", "accept", "request"]


@frozen(kw_only=True)
class Outcome:
    """What a call comes to: an error of exactly this class, or None: it works.

    `tries` is how often the fault has struck: requests, or connections where it strikes before one has come.
    `tokens` counts the token requests of a read whose fault strikes at the API. `facts` are attributes of the error;
    `value` is what comes out of a call that works, where it is not the usual.
    """

    error: type[ArzamedError] | None = None
    tries: int = 1
    tokens: int = 1
    facts: Mapping[str, object] = Factory(dict)
    value: Any = None


@frozen(kw_only=True)
class Fault:
    """One fault. `act` strikes at the `stage`; where that is "start", `start` is what the port does from the first.

    `at` says whose fault it is: the API's, the token endpoint's, or that of either, whichever a call asks first.
    With `warm` one good answer has gone before, over the same connection, and reads have their token. What was sent is as a rule the beginning of
    the good answer, so that a stream can go on from there; where it is not, `differs` says so. `shut_seconds` is the time
    for which the clinic is not asked again afterwards: what a 429 requires remains.
    """

    name: str
    expect: Mapping[str, Outcome]
    act: Act | None = None
    start: Callable[[Side], Awaitable[None]] | None = None
    stage: Stage = "request"
    at: Literal["api", "token", "either"] = "either"
    tls: bool = False
    warm: bool = False
    differs: bool = False
    theme: str = ""
    shut_seconds: float = 0.0

    def side(self, call: str) -> str:
        """Return where it strikes for a call: the faulty clinic of a fan-out shares the API with a healthy one."""
        if self.at == "token" or call == "token" or (call == "fan-out" and self.stage != "request"):
            return "token"
        return "api"


def good(value: Any = None, **facts: Any) -> Outcome:
    """Return the outcome of a call that works."""
    return Outcome(value=value, **facts)


def failed(error: type[ArzamedError], tries: int = 1, tokens: int = 1, /, **facts: object) -> Outcome:
    """Return the outcome of a call that fails so."""
    return Outcome(error=error, tries=tries, tokens=tokens, facts=facts)


def reads(outcome: Outcome, **others: Outcome) -> dict[str, Outcome]:
    """Return this outcome for each read, and others by name."""
    return {**dict.fromkeys(READS, outcome), **others}


def broken(tries: int = ALL_TRIES, *, early: bool = False, body: bool = False) -> dict[str, Outcome]:
    """Return what calls make of an answer that cannot be had: no usable HTTP.

    `early`: it strikes before a request; `body`: within the body, perhaps behind a stream's first record.
    """
    expect = reads(failed(TransportError, tries), token=failed(TokenUnavailableError, tries))
    if early:
        expect["fan-out"] = failed(TokenUnavailableError, tries)
    if body:
        expect["later"] = failed(StreamInterruptedError, tries, delivered=1)
    return expect


def reused(expect: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Return what calls make of a fault over a connection that has served before: reads request no token."""
    return {call: outcome if call == "token" else evolve(outcome, tokens=0) for call, outcome in expect.items()}


def works(get: bytes | None = None, *, body: bool = False) -> dict[str, Outcome]:
    """Return what calls make of a good answer; `get` is its body, where that is not the usual."""
    return {**reads(good(), get=good(get), token=good()), **({"later": good()} if body else {})}


def fatal(error: type[ArzamedError], token: type[TokenError] = TokenError, **others: Outcome) -> dict[str, Outcome]:
    """Return what calls make of an answer that is complete, and bad: it is not asked for again."""
    return {**reads(failed(error)), "token": failed(token), **others}


#: All records have come, and then the end of the body's coding is missing: a stream has handed the records out.
END_MISSING = {**broken(), "stream": failed(StreamInterruptedError, ALL_TRIES, delivered=3)}


def themed(theme: str, *faults: Fault) -> tuple[Fault, ...]:
    """Return these faults under a heading."""
    return tuple(evolve(fault, theme=theme) for fault in faults)
