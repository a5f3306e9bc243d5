"""A fake Arzamed API on a loopback socket, and other tools for tests.

`FakeArzamed` implements the API as the vendor publishes it: tokens, errors and doctors. Its slots and patients are
invented, field names included, because the vendor has published neither. In reading order:

    _fake            `FakeArzamed`: start, stop, clinics
    _faulty          its faults
    _limited         its limits
    _request_log     its counters and assertions
    _server          its requests: each counted, delayed, failed or served
    _clinics         its clinics, with their lists and counters
    _serving         its endpoints
    _clinics_file    the clinics file of all
    _endpoints       their paths, with parameters, and what each serves
    _paths           which path of a request a path with parameters stands for
    _records         the records, encoded as one JSON array or one object
    _invented        invented records of a class or a model
    _tokens          the token endpoint's rules
    _photos          the doctors' photos
    _faults          the steps of a script
    _answer          a response that is sent as given
    _breaks          those without a response
    _script          faults in a queue, each for the requests that it matches
    _thread          a server in its own thread
    _clock           `ManualClock`
    _memory_store    `MemoryTokenStore`
    _store_keeping   the tests of a token store: what it keeps
    _store_contract  the tests of a token store: leases, concurrency, and the whole
"""

from ._answer import Answer
from ._clock import ManualClock
from ._fake import FakeArzamed
from ._invented import record_strategy, records_of
from ._memory_store import MemoryTokenStore
from ._server import RecordedRequest
from ._store_contract import TokenStoreContract

__all__ = [
    "Answer",
    "FakeArzamed",
    "ManualClock",
    "MemoryTokenStore",
    "RecordedRequest",
    "TokenStoreContract",
    "record_strategy",
    "records_of",
]
