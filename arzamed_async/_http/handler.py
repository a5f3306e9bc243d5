"""aiohttp's protocol of a connection, and the guard of the names that both lanes use although aiohttp does not promise them."""

from __future__ import annotations

from typing import Any

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
    "HEAD_BYTES",
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
#: What may be received before the end of a response's head, with all interim responses; and after it in a row without a
#: byte of the body: trailers, chunk extensions.
HEAD_BYTES = 65_536
#: A head is parsed in pieces of this size: a read may hold thousands of interim responses, each an object.
_STEP_BYTES = 16_384

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
    """aiohttp's protocol, but headers are bounded in all, and an incomplete body fails whenever its connection fails.

    aiohttp's fast parser drops the body when it encounters bytes that are not HTTP, so that its reader would wait in
    vain; and it takes a reset for the end of a body without a length. (Names that are not of aiohttp begin with `arz`.)
    """

    arz_has_head = False
    arz_counted = 0  # bytes received of the head, or after it without a byte of the body
    arz_still = False  # the parser keeps what it receives until the body is read

    def set_response_params(self, **params: Any) -> None:
        """Expect the head of a response."""
        self.arz_has_head, self.arz_counted = False, 0
        super().set_response_params(**params)

    def feed_data(self, data: tuple[Any, Any], size: int = 0) -> None:
        """Receive the head of a response, interim or final."""
        if data[0].code >= 200 or data[0].code == 101:
            self.arz_has_head, self.arz_counted = True, 0
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes. (aiohttp calls this with b"" as well.)"""
        if data and not self.arz_has_head:
            data = self._arz_parse_head(data)
            if not data:
                return
        body, still = self._payload, self.arz_still
        before = 0 if body is None else body.total_bytes
        super().data_received(data)
        if body is None or still or body.total_bytes != before or body.is_eof():
            self.arz_counted = 0
        else:
            self.arz_counted += len(data)
            if self.arz_counted > HEAD_BYTES:
                self._arz_refuse()

    def _arz_parse_head(self, data: bytes) -> bytes:
        """Parse bytes up to the end of the head. Return those that are left, none after a failure."""
        while data and not self.arz_has_head:
            piece = data[: min(_STEP_BYTES, HEAD_BYTES - self.arz_counted)]
            super().data_received(piece)
            if self.exception() is not None:
                return b""
            data = data[len(piece) :]
            if not self.arz_has_head:
                self.arz_counted += len(piece)
                if self.arz_counted >= HEAD_BYTES:
                    self._arz_refuse()
                    return b""
        return data

    def _arz_refuse(self) -> None:
        error, body = HttpProcessingError(message="Head too long"), self._payload
        if self.transport is not None:
            self.transport.close()
        if body is not None and not body.is_eof():
            body.set_exception(error)
        self.set_exception(error)

    def pause_reading(self) -> None:
        """Let the parser keep what it receives: aiohttp's body is full."""
        self.arz_still = True
        super().pause_reading()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        """Parse and read on."""
        self.arz_still = False
        super().resume_reading(*args, **options)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body first."""
        body = self._payload
        if (exc or self.exception()) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError())
        super().connection_lost(exc)
