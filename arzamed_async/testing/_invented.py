"""Invented records of a class or an inferred model, so that tests have data without a patient in it."""

from __future__ import annotations

import importlib
from random import Random
from typing import TYPE_CHECKING, Any

from arzamed_async import ConfigurationError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from arzamed_async import InferredModel

__all__ = ["record_strategy", "records_of"]


def records_of(model: InferredModel | type[Any], count: int, *, seed: int) -> list[dict[str, Any]]:
    """Return invented records as JSON objects. The same seed gives the same records; none looks real.

        fake.add_endpoint("equipe/slots", records_of(Slot, 50, seed=1))

    A session can read the records with the class, or with the class in the model's `source`. Texts begin with "invented".
    Values of an Enum, a Literal or an enumeration of the model are the declared ones.

    Args:
        model: An attrs class, or an InferredModel.
        count: The number of records.
        seed: The seed of the random generator.

    Raises:
        ConfigurationError: `model` has a wrong type, or validators of the class reject all invented records.
    """
    from arzamed_async._inference.inventor import Inventor

    for name, value in (("count", count), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or (name == "count" and value < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{name} must be a whole number" + " of zero or more" * (name == "count"))
    inventor, rng = Inventor(model), Random(seed)  # noqa: S311 # nosec B311 - nothing secret
    return [inventor.record(rng) for _ in range(count)]


def record_strategy(model: InferredModel | type[Any]) -> SearchStrategy[dict[str, Any]]:
    """Return a Hypothesis strategy that generates invented records, one at a time, like those of `records_of`.

        @given(st.lists(record_strategy(Slot)))
        def test_slots(slots): ...

    Args:
        model: An attrs class, or an InferredModel.

    Raises:
        ConfigurationError: Hypothesis is not installed, or `model` is one that `records_of` rejects.
    """
    from arzamed_async._inference.inventor import Inventor

    strategies: Any = None
    try:
        strategies = importlib.import_module("hypothesis.strategies")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hypothesis":
            raise
    if strategies is None:
        raise ConfigurationError(
            "record_strategy needs hypothesis, which is not installed: add it to your requirements"
        )
    made: SearchStrategy[dict[str, Any]] = strategies.randoms(use_true_random=False).map(Inventor(model).record)
    return made
