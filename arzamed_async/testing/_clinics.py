"""The clinics of a fake Arzamed, and the counters of each."""

from __future__ import annotations

import threading

from attrs import define, field

from arzamed_async import ClinicCredentials, ConfigurationError

from ._endpoints import EndpointTable, FakeEndpoint

__all__ = ["Clinics", "Counts", "FakeClinic"]


@define(eq=False)
class Counts:
    """The number of requests so far by kind, of those open now, and the most that were open at once."""

    requests: dict[str, int] = field(factory=lambda: {"api": 0, "token": 0})
    open: int = 0
    peak_open: int = 0

    def begin(self, kind: str) -> None:
        """Count a request that arrives."""
        self.requests[kind] += 1
        self.open += 1
        self.peak_open = max(self.peak_open, self.open)

    def end(self) -> None:
        """Count a request that has ended."""
        self.open -= 1


@define(eq=False)
class FakeClinic:
    """One clinic: its key, its endpoints, its latency, and whether its key is revoked."""

    credentials: ClinicCredentials
    secret: str
    endpoints: EndpointTable
    latency_seconds: dict[str, float] = field(factory=dict[str, float])
    revoked_status: int | None = None
    counts: Counts = field(factory=Counts)

    @property
    def name(self) -> str:
        """The name it was added under."""
        return self.credentials.name


class Clinics:
    """All clinics, found by name, by client id or by the path of their token endpoint."""

    def __init__(self) -> None:
        self._by_name: dict[str, FakeClinic] = {}
        self._by_id: dict[str, FakeClinic] = {}
        self._by_token_path: dict[str, FakeClinic] = {}
        self._everywhere = EndpointTable()
        #: Held while a clinic is added, or an endpoint of all.
        self.lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, clinic: FakeClinic, token_path: str) -> None:
        """Add a clinic. Raises ConfigurationError where its name or client id is taken."""
        client_id = clinic.credentials.client_id
        if clinic.name in self._by_name:
            raise ConfigurationError(f"this FakeArzamed has a clinic {clinic.name!r} already")
        if client_id in self._by_id:
            raise ConfigurationError(f"this FakeArzamed has a clinic with the client_id {client_id!r} already")
        self._by_name[clinic.name] = self._by_id[client_id] = self._by_token_path[token_path] = clinic

    def add_endpoint(self, path: str, endpoint: FakeEndpoint, clinic: ClinicCredentials | str | None) -> None:
        """Add an endpoint to a clinic; with None to all, those added later included."""
        if clinic is not None:
            self.find(clinic).endpoints.add(path, endpoint)
            return
        with self.lock:
            self._everywhere.add(path, endpoint)
            for each in self._by_name.values():
                each.endpoints.add(path, endpoint)

    def endpoints_of_all(self) -> dict[str, FakeEndpoint]:
        """Return the endpoints that every clinic has, by their path."""
        return self._everywhere.copy()

    def find(self, clinic: ClinicCredentials | str) -> FakeClinic:
        """Return the clinic of this name or of these credentials (by client id); ConfigurationError if there is none."""
        if isinstance(clinic, ClinicCredentials):
            found = self._by_id.get(clinic.client_id)
        else:
            found = self._by_name.get(clinic)
        if found is None:
            name = clinic.display_name if isinstance(clinic, ClinicCredentials) else clinic
            raise ConfigurationError(f"this FakeArzamed has no clinic {name!r}: add it with add_clinic")
        return found

    def at(self, token_path: str) -> FakeClinic | None:
        """Return the clinic whose token endpoint this is."""
        return self._by_token_path.get(token_path)
