"""The method that adds an endpoint to a fake Arzamed."""

from __future__ import annotations

from typing import Any, overload

from arzamed_async import ClinicCredentials, ConfigurationError

from ._endpoints import FakeEndpoint, Served
from ._faulty import Faulty

__all__ = ["Serving"]

_NOT_GIVEN = object()


class Serving(Faulty):
    """A fake that serves any endpoint."""

    @overload
    def add_endpoint(self, path: str, records: Served, /) -> None: ...
    @overload
    def add_endpoint(self, path: str, clinic: ClinicCredentials | str | None, records: Served) -> None: ...
    @overload
    def add_endpoint(self, path: str, *, records: Served) -> None: ...
    def add_endpoint(self, path: str, clinic: Any = None, records: Any = _NOT_GIVEN) -> None:
        """Serve another endpoint, or replace the one at this path.

            fake.add_endpoint("equipe/rooms", [{"roomName": "Sala 1"}])
            fake.add_endpoint("equipe/rooms/{room}", lambda path, query: ROOMS.get(path["room"]))

        If several paths match a request, exact segments win over parameters, from left to right.

        Args:
            path: The path below `base_url`. It may have parameters, like the path of an Endpoint.
            records: A list of records, or one record (for `one()`). A record is a mapping or an object of an attrs class. Or a
                function that returns one of these, None (HTTP 404) or an `Answer`. It is called for each request: with the
                values of the path's parameters and the query, or without arguments if it takes none.
            clinic: The clinic that has the endpoint. None: all clinics, including those added later.

        Raises:
            ConfigurationError: The clinic is unknown, the path has invalid braces, or `records` has a wrong type.
        """
        if records is _NOT_GIVEN:
            clinic, records = None, clinic
        if isinstance(records, ClinicCredentials):
            raise ConfigurationError("records are missing: a clinic was given in their place")
        path = path.strip("/")
        self._handler.clinics.add_endpoint(path, FakeEndpoint(path, records), clinic)
