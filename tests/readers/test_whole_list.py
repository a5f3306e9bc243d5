"""A list that has come as a whole is decoded at once: the same records and the same errors as in windows."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from arzamed_async import ArzamedError, Doctor, Limits, TransportError
from arzamed_async._concurrency.semaphore import FairSemaphore
from arzamed_async._http.response import HttpResponse
from arzamed_async._readers import whole as lists
from arzamed_async._readers.body import WHOLE_BYTES
from arzamed_async._records.decoder import decoder_for
from arzamed_async._records.elements import decode_list


class Body:
    """A body that comes in these pieces, each of them when it is read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def read_nowait(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def readany(self) -> bytes:
        return self.read_nowait()

    def at_eof(self) -> bool:
        return not self.pieces


def fault(error: Exception, host: str) -> TransportError:
    return TransportError(f"{type(error).__name__} ({host})")


def outcome(pieces: list[bytes], limits: Limits, headers: dict[str, str] | None = None) -> Any:
    """Return what reading this body gives: the records, or the error's class and facts."""
    scope: Any = SimpleNamespace(expect_bytes=lambda: None, got_bytes=lambda: None)
    answer = HttpResponse(200, headers or {}, Body(pieces), lambda: None, "host", scope, fault, ())
    observers = SimpleNamespace(present=False, field_watcher=lambda *_: None)
    engine = SimpleNamespace(observers=observers, list_turns=FairSemaphore(1))
    options = SimpleNamespace(limits=limits)
    request: Any = SimpleNamespace(engine=engine, options=options, name="Milano", path="x")
    source = lists.ListReader(request, decoder_for(Doctor))
    try:
        return asyncio.run(source.read_all(answer))
    except ArzamedError as error:
        return type(error), str(error), getattr(error, "record_index", None), getattr(error, "field", None)


def document(chance: random.Random) -> bytes:
    """Return a list of doctors of up to 64 KiB and more, in most cases with something wrong in it."""
    doctors: list[Any] = [
        {"name": f"Dr. Inventata {n}", "profileImage": chance.choice([None, "https://invented.example/a,}{.png"])}
        for n in range(chance.choice([0, 1, 20, 200, 400, 900]))
    ]
    for _ in range(chance.choice([0, 0, 1, 2])):
        if doctors:
            wrong = chance.choice([None, 5, [], {}, {"name": 5}, {"name": "x", "profileImage": 1}, [{"name": "x"}]])
            doctors[chance.randrange(len(doctors))] = wrong
    body = json.dumps(doctors, indent=chance.choice([None, 1]), separators=chance.choice([None, (",", ":")])).encode()
    for _ in range(chance.choice([0, 0, 1])):
        place = chance.randrange(len(body) + 1)
        damage = chance.choice([b"", b"{", b"}", b"[", b"]", b",", b'"', b"\xff", b"\\", b"0"])
        body = body[:place] + damage + body[place + chance.choice([0, 1, 9]) :]
    wrap = chance.choice([(b"", b"")] * 4 + [(b"\xef\xbb\xbf", b""), (b" \n", b"\n "), (b"", b"[]"), (b'{"a":', b"}")])
    return wrap[0] + body + wrap[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_same_records_and_errors_as_in_windows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the body holds, decoded at once it gives what windows give: records, or the error with index and field."""
    chance = random.Random(seed)
    at_once = 0
    for _ in range(250):
        body = document(chance)
        limits = Limits(record_bytes=chance.choice([1 << 20, 1 << 20, 9000]), list_bytes=chance.choice([1 << 28, 9000]))
        found = outcome([body], limits)
        with monkeypatch.context() as patch:
            patch.setattr(lists, "small_list", lambda *_: None)
            assert outcome([body], limits) == found
        at_once += isinstance(found, list) and len(body) <= min(WHOLE_BYTES, limits.record_bytes, limits.list_bytes)
    assert at_once > 20


def test_two_hundred_records_are_one_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of up to 64 KiB that is there as a whole, compressed or not, takes no window; a longer one does."""
    taken: list[int] = []

    def counted(body: bytes) -> list[Any] | None:
        taken.append(len(body))
        return decode_list(body)

    monkeypatch.setattr("arzamed_async._readers.body.decode_list", counted)
    for count in (200, 600, 2000):
        doctors = [{"name": f"Dr. Inventata {n:04}", "profileImage": "x" * 30} for n in range(count)]
        body = json.dumps(doctors, separators=(",", ":")).encode()
        for pieces, headers in (([body], {}), ([gzip.compress(body)], {"Content-Encoding": "gzip"})):
            taken.clear()
            assert len(outcome(pieces, Limits(), headers)) == count
            assert taken == ([len(body)] if len(body) <= WHOLE_BYTES else [])
