"""What a token store raises is code of the store: no call fails by its class or its text, and neither forges a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from test_guarded_store import Wrapped, store_failures
from test_shared import Numbered, sessions

from arzamed_async import ConfigurationError, Event

pytestmark = pytest.mark.asyncio


class Nameless(type):
    """A class of classes without a usable name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("hostile")

    def __hash__(cls) -> int:
        raise RuntimeError("hostile")


class UnnamedError(TypeError, metaclass=Nameless):
    pass


class MuteError(ConfigurationError):
    def __str__(self) -> str:
        raise RuntimeError("hostile")


class WordlessError(ConfigurationError):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class Text(str):
    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        return "\x1b[31m\nERROR forged"

    __str__ = isprintable = isascii = __format__  # type: ignore[assignment]


class DressedError(ConfigurationError):
    def __str__(self) -> str:
        return Text("a text")


FORGED = "Forged\x1b[31m\nERROR forged" + "x" * 1000
RAISED: dict[str, Any] = {
    "a metaclass without a name": UnnamedError(),
    "a text that raises": MuteError(),
    "a text that is none": WordlessError(),
    "a text of a subclass": DressedError(),
    "a name with an escape": type(FORGED, (Exception,), {})(),
    "a mistake with such a name": type(FORGED, (TypeError,), {})(),
}


@pytest.mark.parametrize("method", ["load", "save", "acquire", "release"])
@pytest.mark.parametrize("raised", RAISED)
async def test_no_error_of_a_store_breaks_a_call(method: str, raised: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call has its token; event and log have one printable line of at most 200 characters about the error."""

    async def before(name: str) -> None:
        if name == method:
            raise RAISED[raised]

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Wrapped(before), 1, observers=[events.append])
        assert await session.clinic(server.credentials("c")).token()
        await session.aclose()
    (failure,) = store_failures(events)
    assert failure.isprintable()
    assert len(failure) <= 200
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines
    assert all(line.isprintable() and len(line) < 500 for line in lines)
