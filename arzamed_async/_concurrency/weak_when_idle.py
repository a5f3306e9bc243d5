"""Values by key that end when nothing is worth keeping and nobody uses them.

A session may see any number of clinics, secrets and token endpoints. What it knows of each is held in one of two ways:

    held --- idle, and found so when another is kept ---> weak     (it lives as long as anybody has it)
    weak --- kept ---> held

So there are never two values for one key at a time. No task and no timer looks for idle ones: each `keep` looks at a few.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["WeakWhenIdle"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: How many values each `keep` looks at. Beyond the number allowed, one idle value for three others may be left.
LOOKS = 4


class WeakWhenIdle(Generic[K, V]):
    """The values. `is_idle` is called with one, and with whether more than `most_idle` are held: an idle one may go then."""

    __slots__ = ("_held", "_is_idle", "_most_idle", "_weak")

    def __init__(self, is_idle: Callable[[V, bool], bool], most_idle: int) -> None:
        self._is_idle = is_idle
        self._most_idle = most_idle
        self._held: OrderedDict[K, V] = OrderedDict()
        self._weak: WeakValueDictionary[K, V] = WeakValueDictionary()

    def get(self, key: K) -> V | None:
        """Return the value of this key, None if nobody has one."""
        return self._held.get(key) or self._weak.get(key)

    def values(self) -> list[V]:
        """Return all values that anybody has."""
        return [*self._held.values(), *self._weak.values()]

    def items(self) -> list[tuple[K, V]]:
        """Return all keys and values."""
        return [*self._held.items(), *self._weak.items()]

    def add(self, key: K, value: V) -> None:
        """Share a value for as long as anybody has it."""
        self._weak[key] = value

    def keep(self, key: K, value: V) -> None:
        """Hold a value that is about to have something worth keeping."""
        for _ in range(min(LOOKS, len(self._held))):
            if not self._look():
                break
        self._weak.pop(key, None)
        self._held[key] = value

    def _look(self) -> bool:
        """Look at the first one; return whether to look at the next. An idle one that may stay is the first to go later."""
        key, value = next(iter(self._held.items()))
        if self._is_idle(value, len(self._held) > self._most_idle):
            self._weak[key] = value
            del self._held[key]
        elif self._is_idle(value, True):
            return False
        else:
            self._held.move_to_end(key)
        return True

    def pop(self, key: K) -> V | None:
        """Forget the value of this key, and return it."""
        value, shared = self._held.pop(key, None), self._weak.pop(key, None)
        return value or shared

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
        self._weak.clear()
