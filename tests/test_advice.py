"""The advice at the end of errors: there is some for each class, and what it names exists, in Python and on the command line."""

from __future__ import annotations

import inspect
import re
import ssl
from typing import Any

import attrs
import pytest
from typer.main import get_command

import arzamed_async
from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, ConfigurationError, errors
from arzamed_async._calls.sending import CROWDED
from arzamed_async._http import failures, reasons
from arzamed_async.cli.advice import advice_on
from arzamed_async.cli.app import app
from arzamed_async.cli.messages import format_failure

CLASSES: list[type[ArzamedError]] = [getattr(errors, name) for name in errors.__all__ if name != "ArzamedError"]
#: Each class, and each kind of failure with a remedy of its own.
KINDS: list[tuple[type[ArzamedError], dict[str, Any], str]] = [
    (
        errors.ConfigurationError,
        {"what": "invented"},
        "Correct the argument, the variable or the file that the text names",
    ),
    (errors.SessionClosedError, {}, "Await all calls within the session's `async with`"),
    (errors.TransportError, {}, "Check the host in base_url and the network, or retry later"),
    (
        errors.TransportError,
        {"reason": "the body was cut (a.example)", "incomplete_body": True},
        "Retry later. If it persists, report it",
    ),
    (
        errors.TransportError,
        {"reason": "the compressed body was cut", "incomplete_body": True},
        "Retry later. If it persists, report it",
    ),
    (errors.CircuitOpenError, {}, "Retry after that time; BreakerPolicy sets"),
    (errors.DeadlineExceededError, {}, "Retry later, or raise Timeouts.total_seconds"),
    (errors.DeadlineExceededError, {"phase": "waiting to start"}, "Raise the deadline_seconds of the fan-out"),
    (
        errors.DeadlineExceededError,
        {"phase": "waiting for a token from a.example"},
        "Check the token endpoint: token_url",
    ),
    (errors.DeadlineExceededError, {"phase": "waiting (PoolLimits.connections)"}, "Make fewer calls at once"),
    (errors.DeadlineExceededError, {"remedy": CROWDED}, "Lower the concurrency, or raise Timeouts.total_seconds"),
    (errors.TokenError, {}, "Check that token_url is an OAuth 2 token endpoint"),
    (errors.TokenError, {"status": 400}, "Check that token_url is an OAuth 2 token endpoint"),
    (errors.TokenError, {"status": 302}, "Check token_url: it must be the address that the redirect leads to"),
    (errors.TokenError, {"status": 404}, "Check token_url: the host has no such path"),
    (errors.TokenError, {"status": 405}, "Check token_url: that path does not accept POST"),
    (errors.TokenError, {"status": 407}, "Check user and password in the URL of the proxy"),
    (errors.TokenError, {"status": 410}, "Check token_url: the host no longer has this path"),
    (errors.CredentialsRejectedError, {"status": 401}, "Check client_id, client_secret and token_url"),
    (errors.TokenUnavailableError, {}, "Check token_url, or retry later"),
    (errors.TokenUnavailableError, {"status": 503}, "Check token_url, or retry later"),
    (errors.StatusError, {"status": 400}, "Check the path and the parameters of the request"),
    (errors.StatusError, {"status": 302}, "Check base_url: it must be the address that the redirect leads to"),
    (errors.StatusError, {"status": 407}, "Check user and password in the URL of the proxy"),
    (errors.StatusError, {"status": 500}, "The server has failed: retry later"),
    (errors.UnauthorizedError, {"status": 401}, "Check that the key is still valid"),
    (errors.ForbiddenError, {"status": 403}, "The key is revoked, expired, not registered"),
    (
        errors.NotFoundError,
        {"status": 404},
        "Check the path, the values of its parameters, and the API version in base_url",
    ),
    (errors.RateLimitedError, {"status": 429}, "Send requests at a lower rate, or lower the concurrency"),
    (errors.ServiceUnavailableError, {"status": 503}, "A service of the API is temporarily unavailable"),
    (errors.ResponseError, {"what": "invented"}, "Check the path and base_url"),
    (errors.DecodeError, {}, "Check the path: the response is not a list of such records"),
    (errors.LimitExceededError, {}, "If this size is expected, raise that limit of Limits"),
    (errors.LimitExceededError, {"limit": "record_bytes"}, "If this size is expected, raise Limits.record_bytes"),
    (errors.StreamInterruptedError, {}, "The records received so far are correct, but the list is incomplete: read it"),
]


def of_connections() -> list[str]:
    """Return the remedies of all that can happen to a connection."""
    found = [reasons.certificate_reason(code)[1] for code in (9, 10, 18, 19, 20, 62, 64, 1)]
    found += [remedy for _, remedy in reasons._TLS.values()]
    found += [remedy for _, _, remedy in reasons._LOOK_UPS.values()] + [reasons.look_up_reason(None)[2]]
    found += [reasons.proxy_reason(status)[2] for status in (403, 405, 407, 418, 502, 503, 504)]
    heads = [reasons.head_reason(text, 1, 1, 1) for text in ("Got more than 1", "Too many headers", "Head too long")]
    return [*found, *(each[2] for each in heads if each), *failures.REMEDIES.values()]


def kind_of(kind: type[ArzamedError], facts: dict[str, Any]) -> ArzamedError:
    return kind(**facts, clinic="Milano")


REMEDIES = sorted({kind_of(kind, facts).remedy for kind, facts, _ in KINDS} | set(of_connections()))


def exists(name: str) -> bool:
    """Return whether a name in a remedy is an argument, a field, a class or a function that there is."""
    holder, dot, attribute = name.rpartition(".")
    if dot:
        kind = {**vars(ssl), **{each: getattr(arzamed_async, each) for each in arzamed_async.__all__}}[holder]
        return attribute in {each.name for each in attrs.fields(kind)} if attrs.has(kind) else hasattr(kind, attribute)
    arguments = {
        *inspect.signature(ArzamedSession).parameters,
        *inspect.signature(ArzamedSession.fan_out).parameters,
        *(each.name for each in attrs.fields(ClinicCredentials)),
        *arzamed_async.__all__,
        "SSL_CERT_FILE",  # OpenSSL's
    }
    return name in arguments


def names_in(text: str) -> list[str]:
    """Return what looks like a name of a program: with an underscore, a dot inside, or a capital inside."""
    found = re.findall(r"[A-Za-z]+(?:[._][A-Za-z_]+)+|\b[A-Z][a-z]+[A-Z]\w+|\bLimits\b", text)
    return [each for each in found if each]


def test_each_class_is_in_the_table() -> None:
    """No error is without a remedy: all classes but the root, which nothing raises, are in the table."""
    assert {kind for kind, _, _ in KINDS} == set(CLASSES)


@pytest.mark.parametrize(("kind", "facts", "start"), KINDS)
def test_the_text_ends_with_the_remedy(kind: type[ArzamedError], facts: dict[str, Any], start: str) -> None:
    """Each kind of failure has the remedy of the table, and its text ends with that; a ConfigurationError's is its text."""
    error = kind_of(kind, facts)
    assert error.remedy.startswith(start)
    assert str(error).endswith(f". {error.remedy}") == (kind is not ConfigurationError)
    assert not error.remedy.endswith(".")


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_names_what_exists(remedy: str) -> None:
    """Whatever a remedy tells to check, raise or pass is an argument, a field or a function of this package, or of ssl."""
    assert [name for name in names_in(remedy) if not exists(name)] == []


def test_names_are_found() -> None:
    """The search for names finds what the remedies are made of, and an invented name is none."""
    assert names_in("raise Timeouts.total_seconds, base_url, BreakerPolicy, SSLContext.load_cert_chain of Limits") == [
        "Timeouts.total_seconds", "base_url", "BreakerPolicy", "SSLContext.load_cert_chain", "Limits",
    ]  # fmt: skip
    assert not exists("invented_name")
    assert not exists("Timeouts.invented_seconds")


def test_the_command_line_advises_what_its_options_do() -> None:
    """For each failure a command's advice names options that it has, and no argument of Python without saying so."""
    options = {option for each in get_command(app).commands.values() for param in each.params for option in param.opts}  # type: ignore[attr-defined]
    made = [kind_of(kind, facts) for kind, facts, _ in KINDS]
    made += [errors.TransportError("x", remedy=remedy) for remedy in of_connections()]
    made += [errors.DeadlineExceededError(seconds=30), errors.DeadlineExceededError(seconds=7)]
    made += [errors.DeadlineExceededError(seconds=30, phase="waiting for a token from a.example")]
    for error in made:
        advice = advice_on(error)
        assert set(re.findall(r"--[a-z-]+", advice)) <= options
        if "Python" not in advice:
            assert not re.search(r"Timeouts|(?<!-)base_url|ssl_context|deadline_seconds|total_seconds", advice), advice
        assert bool(advice) == (type(error) is not ConfigurationError)
        text = format_failure("Milano", error)
        assert text.startswith("Milano: ")
        assert text.endswith(advice)
        assert text.count(advice or "Milano") == 1
    assert "--timeout" in advice_on(errors.DeadlineExceededError(seconds=7, method="GET"))
    crowded = errors.DeadlineExceededError(seconds=7, method="GET", remedy=CROWDED)
    for error, names in ((errors.DeadlineExceededError(seconds=7, method="GET"), False), (crowded, True)):
        assert ("--concurrency" in advice_on(error)) == names
    assert "--deadline" in advice_on(errors.DeadlineExceededError(seconds=30))
    assert "--timeout" in advice_on(errors.TransportError("x", remedy="Retry later, or raise Timeouts.read_seconds"))
