"""The pause that a refusal requires: its Retry-After, or what is left of a rate limit that is used up. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .status import retry_after_seconds

__all__ = ["pause_seconds"]

#: Pairs of headers: what remains, and when there is more again.
_PAIRS = (("ratelimit-remaining", "ratelimit-reset"), ("x-ratelimit-remaining", "x-ratelimit-reset"))
#: The parameters of the one header, by the present draft of the IETF, and by its earlier ones. `re` compiles
#: these when they are first used: few programs meet one.
_REMAINING = r"(?a:(?:^|[;,\s])(?:r|remaining)=(\d{1,10})(?=[;,\s]|$))"
_RESET = r"(?a:(?:^|[;,\s])(?:t|reset)=(\d{1,10})(?=[;,\s]|$))"
_NUMBER = r"(?a:\d{1,13}(?:\.\d{1,9})?)"
_LONGEST_HEADER = 1024
#: Larger numbers are moments (seconds or milliseconds since 1970), not durations.
_MOMENT, _MOMENT_MS = 1e9, 1e12


def pause_seconds(header: Callable[[str], str | None], wall_now: float, most_seconds: float) -> float | None:
    """Return how long a refused client has to wait, None if the response does not report it.

    The headers of rate limits (`RateLimit` of draft-ietf-httpapi-ratelimit-headers, `RateLimit-Reset`,
    `X-RateLimit-Reset`) count where nothing remains, and up to `most_seconds`: a server may mean the end of a long window
    in which it serves requests before. A Retry-After takes precedence.
    """
    required = retry_after_seconds(header("retry-after"), wall_now, header("date"))
    if required is not None:
        return required
    resets = [seconds for seconds in _resets(header, wall_now) if 0 <= seconds <= most_seconds]
    return max(resets, default=None)


def _resets(header: Callable[[str], str | None], wall_now: float) -> Iterator[float]:
    combined = header("ratelimit") or ""
    if 0 < len(combined) <= _LONGEST_HEADER:
        # The earlier drafts have one limit, whose parameters are list items; now each limit is an item.
        for item in combined.split(",") if '"' in combined else [combined]:
            remaining, reset = re.search(_REMAINING, item), re.search(_RESET, item)
            if remaining is not None and reset is not None and int(remaining[1]) == 0:
                yield float(reset[1])
    for remaining_name, reset_name in _PAIRS:
        left, reset_at = header(remaining_name), header(reset_name)
        if left is None or reset_at is None or left.strip() != "0" or not re.fullmatch(_NUMBER, reset_at.strip()):
            continue
        number = float(reset_at)
        if number >= _MOMENT:
            number = (number / 1000 if number >= _MOMENT_MS else number) - wall_now
        yield number
