"""What a list read may keep: the number of its records, their memory, and one list at a time that expands."""

from __future__ import annotations

import asyncio

import pytest

from arzamed_async import Doctor, LimitExceededError, Limits, Slot
from arzamed_async._concurrency.semaphore import FairSemaphore
from arzamed_async._memory import FREE_BYTES
from arzamed_async._readers.kept import KeptRecords, check_count
from arzamed_async._records.decoder import decoder_for

SLOTS = decoder_for(Slot).footprint
EMPTY = b"[" + b"{}," * 20_000 + b"{}]"


def test_a_number_of_records_is_inclusive() -> None:
    """`list_records` is the number that may be read; without it, 1,000,000 of a typed class and 200,000 of an open one."""
    check_count(Limits(list_records=3), SLOTS, 3)
    with pytest.raises(LimitExceededError, match="3"):
        check_count(Limits(list_records=3), SLOTS, 4)
    for model, most in ((Doctor, 1_000_000), (Slot, 200_000)):
        footprint = decoder_for(model).footprint
        check_count(Limits(), footprint, most)
        with pytest.raises(LimitExceededError):
            check_count(Limits(), footprint, most + 1)


def test_what_a_list_expands_to_is_bounded_by_what_was_received() -> None:
    """Over what is free, records may take 256 times the bytes received; a number in `list_records` lifts that."""
    assert FREE_BYTES < 256 * 20_001
    KeptRecords(Limits(), SLOTS).add(20_001, EMPTY, len(EMPTY), received_bytes=len(EMPTY))
    with pytest.raises(LimitExceededError) as caught:
        KeptRecords(Limits(), SLOTS).add(20_001, EMPTY, len(EMPTY), received_bytes=100)
    assert caught.value.limit == "list_records"
    KeptRecords(Limits(list_records=30_000), SLOTS).add(20_001, EMPTY, len(EMPTY), received_bytes=100)


def test_records_take_no_more_memory_than_list_bytes() -> None:
    """The memory of the records is charged against `list_bytes`, too."""
    kept = KeptRecords(Limits(list_bytes=FREE_BYTES + 1), SLOTS)
    with pytest.raises(LimitExceededError) as caught:
        kept.add(20_001, EMPTY, len(EMPTY), received_bytes=len(EMPTY))
    assert caught.value.limit == "list_bytes"


@pytest.mark.asyncio
async def test_one_list_at_a_time_expands() -> None:
    """A second list waits for its turn until the first one leaves it; leaving twice gives back one."""
    turns = FairSemaphore(1)
    first, second = KeptRecords(Limits(), SLOTS, turns), KeptRecords(Limits(), SLOTS, turns)
    await first.take_turn()
    await first.take_turn()
    waits = asyncio.create_task(second.take_turn())
    await asyncio.sleep(0)
    assert not waits.done()
    first.leave_turn()
    first.leave_turn()
    await waits
    assert not turns.acquire_nowait()
    second.leave_turn()
    assert turns.acquire_nowait()
