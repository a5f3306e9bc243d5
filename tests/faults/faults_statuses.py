"""Answers that are errors: their statuses, their bodies, Retry-After, and redirects."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate

from attrs import evolve
from fault_model import Fault, Outcome, failed, fatal, reads, themed
from fault_server import Act, Wire
from support import SECRET, TOKEN

from arzamed_async import (
    ArzamedError,
    CredentialsRejectedError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
    StatusError,
    TokenError,
    TokenUnavailableError,
    UnauthorizedError,
)


def words(wire: Wire) -> bytes:
    """Return an error's own words, with what must not be repeated in them: the secret, and the token where it was sent."""
    sent = SECRET if wire.request.is_token else f"{SECRET} {TOKEN}"
    return json.dumps({"error": f"invented words {sent}", "error_description": SECRET}).encode()


#: status: the class for a read and its tries, the class for a token request and its tries
STATUSES: dict[int, tuple[type[ArzamedError], int, type[ArzamedError], int]] = {
    300: (StatusError, 1, TokenError, 1),
    400: (StatusError, 1, TokenError, 1),
    401: (UnauthorizedError, 2, CredentialsRejectedError, 1),
    402: (StatusError, 1, TokenError, 1),
    403: (ForbiddenError, 1, TokenError, 1),
    404: (NotFoundError, 1, TokenError, 1),
    405: (StatusError, 1, TokenError, 1),
    408: (StatusError, 1, TokenError, 1),
    409: (StatusError, 1, TokenError, 1),
    410: (StatusError, 1, TokenError, 1),
    418: (StatusError, 1, TokenError, 1),
    422: (StatusError, 1, TokenError, 1),
    425: (StatusError, 1, TokenError, 1),
    429: (RateLimitedError, 4, TokenUnavailableError, 4),
    451: (StatusError, 1, TokenError, 1),
    500: (StatusError, 1, TokenUnavailableError, 4),
    501: (StatusError, 1, TokenUnavailableError, 1),
    502: (StatusError, 4, TokenUnavailableError, 4),
    503: (ServiceUnavailableError, 4, TokenUnavailableError, 4),
    504: (StatusError, 4, TokenUnavailableError, 4),
    505: (StatusError, 1, TokenUnavailableError, 1),
    511: (StatusError, 1, TokenUnavailableError, 1),
    599: (StatusError, 1, TokenUnavailableError, 1),
    999: (StatusError, 1, TokenUnavailableError, 1),
}


def refusing(status: int, body: bytes | None = None, *headers: str) -> Act:
    """Return the act of a server that answers with an error."""

    async def act(wire: Wire) -> None:
        await wire.answer(words(wire) if body is None else body, *headers, status=f"{status} X")

    return act


def refused(status: int, *, said: bool = True) -> dict[str, Outcome]:
    """Return what calls make of a status, and of its words, if it has any: what must not be repeated is masked."""
    error, tries, token_error, token_tries = STATUSES[status]
    tokens = 2 if status == 401 else 1
    read = failed(error, tries, tokens, status=status, message="invented words *** ***" if said else "")
    text = "invented words ***" if said else ""
    return reads(read, token=failed(token_error, token_tries, status=status, error=text))


def forbidden(name: str, act: Act) -> Fault:
    """Return the fault of a 403 whose body is not what it should be: the status says enough."""
    expect = {
        call: failed(outcome.error or ForbiddenError, 1, status=403) for call, outcome in fatal(ForbiddenError).items()
    }
    return Fault(name=f"403, {name}", act=act, expect=expect)


def breaking(then: str) -> Act:
    """Return the act of a server whose refusal breaks off in its body."""

    async def act(wire: Wire) -> None:
        await wire.head("403 X", length=1000)
        await wire.send(b'{"error": ')
        if then == "reset":
            wire.reset()
        elif then == "close":
            wire.close()
        elif then == "drip":
            await wire.drip(b" " * 1000)
        else:
            await wire.silence()

    return act


async def endless_chunks(wire: Wire) -> None:
    await wire.head("403 X", "Transfer-Encoding: chunked")
    while not wire.reader.at_eof():
        await wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


MEBIBYTE = 1_048_576

REFUSALS = themed(
    "Statuses",
    *(Fault(name=str(status), act=refusing(status), expect=refused(status)) for status in STATUSES),
    Fault(
        name="HTML with 503",
        act=refusing(503, b"<h1>Invented gateway</h1>", "Content-Type: text/html"),
        expect=refused(503, said=False),
    ),
)
REFUSAL_BODIES = themed(
    "Bodies of a 403",
    forbidden("empty", refusing(403, b"")),
    forbidden("HTML", refusing(403, b"<h1>Invented</h1>")),
    forbidden("an array", refusing(403, b'["invented"]')),
    forbidden("its error a list", refusing(403, b'{"error": ["invented"]}')),
    forbidden("its error a number", refusing(403, b'{"error": 403}')),
    forbidden("control characters in it", refusing(403, b'{"error": "\\u001b[31minvented\\u0000\\r\\n\\u202e"}')),
    forbidden("invalid UTF-8", refusing(403, b'{"error": "\xff"}')),
    forbidden("a depth bomb", refusing(403, b'{"error":' * 7000)),
    forbidden("1 MiB", refusing(403, json.dumps({"error": "x" * MEBIBYTE}).encode())),
    forbidden("without end", endless_chunks),
    forbidden("reset in it", breaking("reset")),
    forbidden("closed in it", breaking("close")),
    forbidden("silence in it", breaking("silence")),
    forbidden("one byte a second", breaking("drip")),
)


def later(seconds: float) -> Callable[[Wire], str]:
    """Return what makes an HTTP date so many seconds from now, by the session's clock."""
    return lambda wire: formatdate(wire.side.now() + seconds, usegmt=True)


def retry_after(value: str | Callable[[Wire], str], status: int = 503) -> Act:
    """Return the act of a server that is not available, or is asked too often, and says when to come back."""

    async def act(wire: Wire) -> None:
        said = value if isinstance(value, str) else value(wire)
        await wire.answer(words(wire), f"Retry-After: {said}", status=f"{status} X")

    return act


def waiting(name: str, value: str | Callable[[Wire], str], tries: int, **facts: float | None) -> Fault:
    """Return the fault of a 503 with this Retry-After."""
    read, token = failed(ServiceUnavailableError, tries, **facts), failed(TokenUnavailableError, tries, **facts)
    return Fault(name=f"503, Retry-After: {name}", act=retry_after(value), expect=reads(read, token=token))


def skewed(name: str, seconds: float) -> Fault:
    """Return the fault of a 503 with a date in 5 seconds, by a clock that is wrong, and with its Date."""

    async def act(wire: Wire) -> None:
        now = wire.side.now() + seconds
        date, until = (formatdate(each, usegmt=True) for each in (now, now + 5))
        await wire.answer(words(wire), f"Retry-After: {until}", f"Date: {date}", status="503 X")

    return evolve(waiting(f"a date in 5 seconds, its clock {name}", "", 4, retry_after_seconds=5.0), act=act)


def throttled(value: str, tries: int, name: str = "", shut_seconds: float = 0.0) -> Fault:
    """Return the fault of a 429 with this Retry-After."""
    facts = {"retry_after_seconds": float(value)}
    read, token = failed(RateLimitedError, tries, **facts), failed(TokenUnavailableError, tries, **facts)
    return Fault(
        name=f"429, Retry-After: {name or value}",
        act=retry_after(value, 429),
        expect=reads(read, token=token),
        shut_seconds=shut_seconds,
    )


WAITS = themed(
    "Retry-After",
    waiting("5", "5", 4, retry_after_seconds=5.0),
    waiting("0", "0", 4, retry_after_seconds=0.0),
    waiting("a date in 5 seconds", later(5), 4),
    waiting("a date that has passed", later(-100), 4, retry_after_seconds=0.0),
    skewed("5 minutes slow", -300),
    skewed("5 minutes fast", 300),
    waiting("21 (over the cap)", "21", 1, retry_after_seconds=21.0),
    waiting("999999", "999999", 1, retry_after_seconds=999_999.0),
    waiting("a date in a year", later(31_536_000), 1),
    waiting("400 digits", "9" * 400, 4, retry_after_seconds=None),
    waiting("garbage", "soon, perhaps", 4, retry_after_seconds=None),
    waiting("negative", "-5", 4, retry_after_seconds=None),
    waiting("infinite", "inf", 4, retry_after_seconds=None),
    waiting("empty", "", 4, retry_after_seconds=None),
    throttled("5", 4),
    throttled("21", 1, "21 (over the cap)", shut_seconds=21.0),
    throttled("999999", 1, shut_seconds=999_999.0),
)


def redirecting(status: int, target: Callable[[Wire], str] | None) -> Act:
    """Return the act of a server that points elsewhere."""

    async def act(wire: Wire) -> None:
        headers = [] if target is None else [f"Location: {target(wire)}"]
        await wire.answer(b"", *headers, status=f"{status} X")

    return act


def same_origin(wire: Wire) -> str:
    return f"http://127.0.0.1:{wire.side.port}/api/v2/equipe/doctors"


def itself(wire: Wire) -> str:
    return wire.request.target


def other_origin(wire: Wire) -> str:
    return f"http://127.0.0.1:{wire.side.other_port()}/api/v1/equipe/doctors"


REDIRECTED = reads(failed(StatusError), token=failed(TokenError))
TARGETS = {"to the same origin": same_origin, "to another origin": other_origin}

REDIRECTS = themed(
    "Redirects",
    *(
        Fault(name=f"{status} {where}", act=redirecting(status, target), expect=REDIRECTED)
        for status in (301, 302, 303, 307, 308)
        for where, target in TARGETS.items()
    ),
    *(
        Fault(name=f"{status} from https to http", act=redirecting(status, other_origin), tls=True, expect=REDIRECTED)
        for status in (301, 302, 303, 307, 308)
    ),
    Fault(name="302 to itself", act=redirecting(302, itself), expect=REDIRECTED),
    Fault(name="302 without a target", act=redirecting(302, None), expect=REDIRECTED),
    Fault(name="302 to nowhere", act=redirecting(302, lambda _: "http://[::1"), expect=REDIRECTED),
    Fault(name="302 to a script", act=redirecting(302, lambda _: "javascript:alert(1)"), expect=REDIRECTED),
)
