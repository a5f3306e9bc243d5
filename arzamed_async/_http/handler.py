"""aiohttp's protocol of a connection, and the guard of the names that both lanes use although aiohttp does not promise them."""

from __future__ import annotations

import aiohttp

from ..errors import ConfigurationError

try:
    from aiohttp.client_proto import ResponseHandler
except ImportError:
    raise ImportError(f"aiohttp {aiohttp.__version__} has no aiohttp.client_proto.ResponseHandler") from None

try:
    from aiohttp.http import HttpProcessingError
except ImportError:
    raise ImportError(f"aiohttp {aiohttp.__version__} has no aiohttp.http.HttpProcessingError") from None

__all__ = [
    "EMPTY_PAYLOAD",
    "HEADER_BYTES",
    "MOST_HEADERS",
    "PATCHED_WHY",
    "UNPROMISED_NAMES",
    "DisconnectedError",
    "Handler",
    "HttpProcessingError",
    "LookUpTimeoutError",
    "NotHttpError",
    "SilentError",
    "is_patched",
    "require_unpromised_names",
]

#: The body of a response that has none.
EMPTY_PAYLOAD = aiohttp.EMPTY_PAYLOAD
#: Limits of a response's head: bytes of a line, and number of headers.
HEADER_BYTES, MOST_HEADERS = 8190, 128

#: What both lanes use of aiohttp although aiohttp does not promise it.
UNPROMISED_NAMES = {
    "TCPConnector": ["_factory"],
    "ResponseHandler": ["_parser", "_payload", "exception", "should_close"],
}

#: A library that replaces aiohttp's own method (aioresponses, vcrpy, tracers) has to see every request.
_REQUEST = vars(aiohttp.ClientSession).get("_request")
PATCHED_WHY = "ClientSession._request is not aiohttp's own"

#: A patch made before this import copies the name and the module of the method (functools.wraps), but not its globals.
_GENUINE = _REQUEST if getattr(_REQUEST, "__globals__", None) is vars(aiohttp.client) else object()


def is_patched() -> bool:
    """Return whether aiohttp's own method is replaced."""
    return getattr(aiohttp.ClientSession, "_request", None) is not _GENUINE


def require_unpromised_names(*objects: object) -> None:
    """Raise ConfigurationError if this aiohttp lacks a name that is used: a cut body would pass for a whole one."""
    missing = [
        f"{kind.__name__}.{name}"
        for each in objects
        for kind in type(each).__mro__
        for name in UNPROMISED_NAMES.get(kind.__name__, ())
        if not (hasattr(kind, name) or hasattr(each, name))  # a property that needs another name counts as there
    ]
    if missing:
        raise ConfigurationError(
            f"aiohttp {aiohttp.__version__} has no {', '.join(missing)}: use another version of aiohttp"
        )


class DisconnectedError(aiohttp.ClientError):
    """The connection was lost. aiohttp does not resend a request after this exception."""


class SilentError(aiohttp.ClientError):
    """A connection that had been idle no longer responds."""


class LookUpTimeoutError(aiohttp.ClientError):
    """The look-up of a host name has not ended within connect_seconds; the text names the host."""


class NotHttpError(aiohttp.ClientError):
    """The bytes received are not an HTTP response."""


class Handler(ResponseHandler):
    """aiohttp's protocol, but a body that is still incomplete fails whenever its connection fails.

    aiohttp's fast parser drops the body when it encounters bytes that are not HTTP, so that its reader would wait in
    vain; and it takes a reset for the end of a body without a length.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body first."""
        body = self._payload
        if (exc or self.exception()) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError())
        super().connection_lost(exc)
