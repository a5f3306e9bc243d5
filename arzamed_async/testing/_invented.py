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
    """Return invented records as JSON objects: the same ones for the same seed, and none that looks like a real one.

        fake.add_endpoint("equipe/slots", records_of(Slot, 50, seed=1))

    The library reads them as the class, or as the class in the model's source. Texts begin with "invented"; values of Enums and
    Literals, and the choices of a model, are those that it names.

    Args:
        model: An attrs class, or what `infer_model` returns.
        count: The number of records.
        seed: Another number gives other records.

    Raises:
        ConfigurationError: The model is neither, or a validator of the class accepts nothing that is invented.
    """
    from arzamed_async._inference.inventor import Inventor

    for name, value in (("count", count), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or (name == "count" and value < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{name} must be a whole number" + " of zero or more" * (name == "count"))
    inventor, rng = Inventor(model), Random(seed)  # noqa: S311 # nosec B311 - nothing secret
    return [inventor.record(rng) for _ in range(count)]


def record_strategy(model: InferredModel | type[Any]) -> SearchStrategy[dict[str, Any]]:
    """Return a Hypothesis strategy for what `records_of` returns one of.

        @given(st.lists(record_strategy(Slot)))
        def test_slots(slots): ...

    Args:
        model: An attrs class, or what `infer_model` returns.

    Raises:
        ConfigurationError: Hypothesis is not installed, or what `records_of` raises.
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
