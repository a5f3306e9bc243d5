"""An Arzamed on a loopback socket, to test against.

`FakeArzamed` speaks the wire as the vendor publishes it: tokens, errors and the doctors. What it says under
slots and patients is invented, field names included, since the vendor has published neither.
"""

from ._clock import ManualClock
from ._fake import FakeArzamed
from ._faults import Answer
from ._memory_store import MemoryTokenStore
from ._server import RecordedRequest
from ._store_contract import TokenStoreContract

__all__ = ["Answer", "FakeArzamed", "ManualClock", "MemoryTokenStore", "RecordedRequest", "TokenStoreContract"]
