"""`Failure.unwrap`, called more than once."""

from __future__ import annotations

import traceback

from arzamed_async import Failure, NotFoundError


def raised() -> NotFoundError:
    try:
        raise NotFoundError(status=404)
    except NotFoundError as error:
        return error


def names(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_a_traceback_does_not_grow() -> None:
    """However often a failure is unwrapped, its traceback has the last call and where the error comes from, and no more."""
    failure = Failure("milano", raised(), 0.1)
    lengths = []
    for _ in range(50):
        try:
            failure.unwrap()
        except NotFoundError as error:
            assert error is failure.error
            lengths.append(names(error))
    assert lengths == [["test_a_traceback_does_not_grow", "unwrap", "raised"]] * 50


def test_a_traceback_does_not_grow_behind_other_frames() -> None:
    """The same holds where the error passes frames of the caller's on its way, and is caught elsewhere each time."""
    failure = Failure("milano", raised(), 0.1)

    def through(depth: int) -> None:
        if depth:
            through(depth - 1)
        failure.unwrap()

    for depth in (5, 0, 3, 0):
        try:
            through(depth)
        except NotFoundError as error:
            found = names(error)
    assert found == ["test_a_traceback_does_not_grow_behind_other_frames", "through", "unwrap", "raised"]
