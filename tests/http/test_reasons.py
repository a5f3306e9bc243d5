"""Why a connection failed: decided by the classes of exceptions, and by no class's name."""

from __future__ import annotations

import pickle

import aiohttp
import pytest

from arzamed_async import DeadlineExceededError
from arzamed_async._http.failures import REASONS, transport_error
from arzamed_async._http.handler import DisconnectedError
from arzamed_async._http.response import read_timed_out

OF_AIOHTTP = [kind for kind in REASONS if kind.__module__.startswith("aiohttp.")]


@pytest.mark.parametrize("kind", OF_AIOHTTP, ids=lambda kind: kind.__name__)
def test_each_class_is_public_in_this_aiohttp(kind: type[BaseException]) -> None:
    """Each exception of aiohttp's with a reason is one that aiohttp exports and raises as its own error."""
    assert kind.__name__ in aiohttp.__all__
    assert getattr(aiohttp, kind.__name__) is kind
    assert issubclass(kind, aiohttp.ClientError)


def test_the_classes_of_aiohttp_are_these() -> None:
    """The table names these classes of aiohttp, so that one taken out by mistake is missed."""
    assert [kind.__name__ for kind in OF_AIOHTTP] == [
        "ClientConnectorSSLError",
        "ClientConnectorDNSError",
        "ClientProxyConnectionError",
        "ClientHttpProxyError",
        "ConnectionTimeoutError",
        "ServerDisconnectedError",
        "ClientPayloadError",
        "ClientResponseError",
    ]


@pytest.mark.parametrize("kind", REASONS, ids=lambda kind: kind.__name__)
def test_a_subclass_has_the_reason_of_its_base(kind: type[BaseException]) -> None:
    """A class that a later version derives from one with a reason has that reason, under whatever name."""
    later = type("LaterError", (kind,), {})
    assert transport_error(later.__new__(later), "h").reason == f"{REASONS[kind]} (h)"


@pytest.mark.parametrize("kind", REASONS, ids=lambda kind: kind.__name__)
def test_a_foreign_class_of_the_same_name_has_no_reason(kind: type[BaseException]) -> None:
    """An exception that only shares its name with one of the table is named, not mistaken for it."""
    foreign = type(kind.__name__, (Exception,), {})
    assert transport_error(foreign(), "h").reason == f"the connection failed ({kind.__name__}) (h)"


def test_a_lost_connection_is_no_disconnect_of_aiohttps() -> None:
    """Aiohttp resends a GET after a ServerDisconnectedError or an OSError: our own exception is neither."""
    assert not issubclass(DisconnectedError, (aiohttp.ServerDisconnectedError, OSError))


def test_a_read_that_timed_out_is_marked_and_its_remedy_is_a_deadlines_too() -> None:
    """The mark, not the text, decides what to do, and it survives a pickle; a connect that timed out has none."""
    for error in (
        read_timed_out("h"),
        transport_error(TimeoutError(), "h"),
        transport_error(aiohttp.SocketTimeoutError(), "h"),
    ):
        copied = pickle.loads(pickle.dumps(error))
        assert (copied.read_timed_out, copied.remedy) == (True, error.remedy)
        assert "Timeouts.read_seconds" in error.remedy
        late = DeadlineExceededError(seconds=1, last_failure="no text", read_timed_out=error.read_timed_out)
        assert late.remedy == error.remedy
    assert not transport_error(aiohttp.ConnectionTimeoutError(), "h").read_timed_out
    assert DeadlineExceededError(last_failure=str(read_timed_out("h"))).remedy == DeadlineExceededError.remedy
