"""Values that are dropped when nothing is worth keeping, and found for as long as anybody has them."""

from __future__ import annotations

from arzamed_async._concurrency.weak_when_idle import LOOKS, WeakWhenIdle


class Value:
    """Something with a state."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy


def idle_if_many(value: Value, many: bool) -> bool:
    return many and not value.busy


def test_idle_values_beyond_the_number_are_dropped() -> None:
    """Of 10,000 idle values that nobody has, ten are held; each is gone as soon as it is dropped."""
    kept: WeakWhenIdle[int, Value] = WeakWhenIdle(idle_if_many, 10)
    for number in range(10_000):
        kept.keep(number, Value())
        assert len(kept.values()) <= 11
    assert kept.get(9_999) is not None  # the last one is held in any case


def test_busy_values_are_held() -> None:
    """A value with something worth keeping is held among any number of idle ones, which stay few all the same."""
    kept: WeakWhenIdle[int, Value] = WeakWhenIdle(idle_if_many, 10)
    for number in range(3_000):
        kept.keep(number, Value(busy=number % 3 == 0))
    held = kept.values()
    assert sum(value.busy for value in held) == 1_000
    assert sum(not value.busy for value in held) <= 10 + 1_000 / (LOOKS - 1)


def test_a_dropped_value_that_somebody_has_is_found() -> None:
    """Somebody has a value that was dropped: its key has no second one, and it is held again when it is kept."""
    kept: WeakWhenIdle[int, Value] = WeakWhenIdle(idle_if_many, 10)
    mine = Value()
    kept.keep(-1, mine)
    for number in range(100):
        kept.keep(number, Value())
    assert kept.get(-1) is mine
    assert (-1, mine) in kept.items()
    mine.busy = True
    kept.keep(-1, mine)
    del mine
    for number in range(100):
        kept.keep(number, Value())
    found = kept.get(-1)
    assert found is not None
    assert found.busy
    assert kept.pop(-1) is found
    assert kept.get(-1) is None
    kept.clear()
    assert kept.values() == []


def test_no_idle_value_stays_by_chance() -> None:
    """An idle value is gone once enough others have come after it, however busy ones are mixed with idle ones."""
    for busy in range(12):
        kept: WeakWhenIdle[int, Value] = WeakWhenIdle(idle_if_many, 10)
        for number in range(busy):
            kept.keep(-1 - number, Value(busy=True))
        for number in range(500):
            kept.keep(number, Value())
        assert min(number for number, value in kept.items() if not value.busy) > 500 - 10 - 2 * LOOKS
