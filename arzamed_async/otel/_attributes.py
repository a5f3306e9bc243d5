"""Names and attributes of spans: OpenTelemetry's stable HTTP conventions, and the prefix `arzamed.` for our own.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and .../http-metrics/
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from attrs import frozen

from arzamed_async import Work

__all__ = ["Attributes", "error_type", "request_attributes", "span_attributes", "span_name"]

Attributes = dict[str, str | int]

_PORTS = {"http": 80, "https": 443}


@frozen
class _Server:
    """A base URL, split into the server and the path after it."""

    origin: str
    address: str
    port: int
    path: str


@lru_cache(maxsize=1024)
def _server(base_url: str) -> _Server:
    parts = urlsplit(base_url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return _Server(f"{parts.scheme}://{parts.netloc}", parts.hostname or "", port, parts.path.rstrip("/"))


def _template(work: Work) -> str:
    """Return the path template of an endpoint; empty if no path may be shown."""
    return "" if work.path.startswith("<") else f"{_server(work.base_url).path}/{work.path}"


def span_name(work: Work) -> str:
    """Return the span's name, of which there is one for each endpoint, whatever the number of clinics."""
    if work.kind == "request":
        return f"{work.method} {_template(work)}".rstrip()
    if work.kind in {"token", "token_wait"}:
        return f"arzamed.{work.kind}"
    return f"arzamed.{work.kind} {'' if work.path.startswith('<') else work.path}".rstrip()


def request_attributes(work: Work) -> Attributes:
    """Return the attributes that the span of a request and its metrics share."""
    server = _server(work.base_url)
    attributes: Attributes = {
        "http.request.method": work.method,
        "server.address": server.address,
        "server.port": server.port,
    }
    if template := _template(work):
        attributes["url.template"] = template
    return attributes


def span_attributes(work: Work) -> Attributes:
    """Return the attributes known when a span starts. Queries, and paths that may hold identifiers, are left out."""
    attributes: Attributes = {"arzamed.clinic": work.clinic, "arzamed.path": work.path}
    if work.call_id:
        attributes["arzamed.call_id"] = work.call_id
    if work.kind == "request":
        attributes |= request_attributes(work)
        server = _server(work.base_url)
        attributes["url.full"] = server.origin + (_template(work) or f"{server.path}/REDACTED")
        if work.attempt > 1:
            attributes["http.request.resend_count"] = work.attempt - 1
    return attributes


def error_type(status: int | None, error: str) -> str:
    """Return `error.type` of the conventions: the status if it is an error, else the exception's class."""
    return str(status) if status is not None and status >= 400 else error
