"""Paths with parameters, as in `equipe/doctors/{doctor}/slots`: their names, and the values in their places. No I/O."""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import keyword
import unicodedata
from collections.abc import Iterator, Mapping
from enum import Enum
from urllib.parse import quote, unquote
from uuid import UUID

from .._arguments import shown_name
from .._masked import Masked
from .._validation import dot_segments, has_control, plain_text
from ..errors import ConfigurationError
from .urls import endpoint_url

__all__ = ["PathValue", "filled_url", "parameters_of"]

PathValue = str | int | UUID | dt.date
#: A longer value is a mistake: servers refuse a request line of some thousand bytes.
LONGEST_VALUE = 1_024
#: A whole number of more bits has more digits than that; Python does not write those of any number.
_LONGEST_BITS = 4 * LONGEST_VALUE
#: Arguments of Clinic.resource: a parameter with such a name could not be given there.
_TAKEN = frozenset(("self", "endpoint"))
#: How often a value is decoded before it is checked: a proxy on the way may do so more than once.
_DECODINGS = 3


@functools.lru_cache(maxsize=256)
def parameters_of(name: str, path: str) -> dict[str, int]:
    """Return the parameters of a path in its order, each with the number of its segment. `name` is what errors call the path.

    Raises ConfigurationError for braces that are no parameter.
    """
    found: dict[str, int] = {}
    for number, segment in enumerate(path.split("/")):
        if "{" not in segment and "}" not in segment:
            continue
        if segment.count("{") != segment.count("}"):
            raise ConfigurationError(f"{name} has an unmatched brace: write a parameter as {{name}}")
        inner = segment[1:-1]
        if segment[0] != "{" or segment[-1] != "}" or "{" in inner or "}" in inner:
            raise ConfigurationError(f"{name}: a parameter is a whole segment, as in rooms/{{room}}/slots")
        parameter = unicodedata.normalize("NFKC", inner)  # as Python reads the name of an argument
        if not parameter.isidentifier() or keyword.iskeyword(parameter) or parameter in _TAKEN:
            raise ConfigurationError(f"{name}: the name of a parameter is not valid as an argument of clinic.resource")
        if parameter in found:
            raise ConfigurationError(f"{name} has the parameter {shown_name(parameter)} twice")
        found[parameter] = number
    return found


def filled_url(base_url: str, path: str, values: Mapping[str, object]) -> str:
    """Return the URL of a path whose parameters have these values, each percent-encoded as one segment. Its repr is masked.

    Raises ConfigurationError where one is missing, unknown or no segment: it names the parameter, never its value.
    """
    places = parameters_of("Endpoint.path", path)
    if values.keys() != places.keys():
        raise ConfigurationError(f"{path}: {'; '.join(_mismatches(places, values))}")
    segments = endpoint_url(base_url, path)[len(base_url) :].split("/")  # the first one is empty
    for parameter, number in places.items():
        segments[number + 1] = quote(_segment(f"the path parameter {parameter}", values[parameter]), safe="")
    return Masked(base_url + "/".join(segments))


def _mismatches(places: Mapping[str, int], values: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the names of the values given."""
    missing = [name for name in places if name not in values]
    if missing:
        given = ", ".join(f"{name}=..." for name in missing)
        yield f"give a value for each parameter of the path, as in clinic.resource(endpoint, {given})"
    for name in (name for name in values if name not in places):
        close = difflib.get_close_matches(name, missing, 1)
        known = f"did you mean {close[0]}?" if close else f"known: {', '.join(places)}" if places else "it has none"
        yield f"the path has no parameter {shown_name(name)} ({known})"


def _segment(what: str, value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, (str, int, UUID, dt.date)):
        kind = type(value).__name__
        raise ConfigurationError(f"{what} must be text, a whole number, a UUID or a date, not {kind}")
    if isinstance(value, int):
        value = "9" * (LONGEST_VALUE + 1) if value.bit_length() > _LONGEST_BITS else format(int(value), "d")
    elif isinstance(value, dt.date):
        value = value.isoformat()
    text = plain_text(what, value if isinstance(value, str) else str(value))
    if len(text) > LONGEST_VALUE:
        raise ConfigurationError(f"{what} has more than {LONGEST_VALUE:,} characters")
    problem = _problem(text)
    if problem:
        raise ConfigurationError(f"{what} {problem}")
    return text


def _problem(text: str) -> str:
    """Return why a value would be no segment, or another one, to a server that decodes, trims or normalizes it; else empty."""
    forms = {
        text,
        unicodedata.normalize("NFKC", text),
    }  # which turns characters that look like dots and slashes into these
    for form in tuple(forms):
        for _ in range(_DECODINGS):
            form = unquote(form)  # noqa: PLW2901 - decoded once, twice, ...
            forms.add(form)
    for form in forms:
        if "/" in form or "\\" in form:
            return "must not contain a slash or backslash: it is one segment of the path"
        if not form.strip() or dot_segments(form.strip()):
            return "must not be blank, '.' or '..'"
        if not form.isprintable() and has_control(form):
            return "contains an encoded control character"
    return ""
