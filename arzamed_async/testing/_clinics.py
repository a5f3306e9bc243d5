"""The clinics of a fake Arzamed, and the counters of each."""

from __future__ import annotations

import threading

from attrs import define, field

from arzamed_async import ClinicCredentials, ConfigurationError

from ._endpoints import EndpointTable, FakeEndpoint

__all__ = ["Clinics", "Counts", "FakeClinic", "FakeKey"]


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
class FakeKey:
    """One key of a clinic, and the status of its token requests once it is revoked."""

    credentials: ClinicCredentials
    secret: str
    revoked_status: int | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """Client id and secret."""
        return self.credentials.client_id, self.secret


@define(eq=False)
class FakeClinic:
    """One clinic: its keys, the newest last, its endpoints, and its latency."""

    keys: list[FakeKey]
    endpoints: EndpointTable
    latency_seconds: dict[str, float] = field(factory=dict[str, float])
    counts: Counts = field(factory=Counts)

    @property
    def credentials(self) -> ClinicCredentials:
        """Those of the newest key."""
        return self.keys[-1].credentials

    @property
    def name(self) -> str:
        """The name it was added under."""
        return self.credentials.name

    def key_of(self, pair: tuple[str, object] | None) -> FakeKey | None:
        """Return the key with this client id and secret."""
        return next((key for key in self.keys if key.pair == pair), None)

    def revoke(self, clinic: ClinicCredentials | str, status: int) -> None:
        """Revoke the key with these credentials; by a name, or with another secret than those of its keys, all keys."""
        own = None
        if isinstance(clinic, ClinicCredentials) and isinstance(clinic.client_secret, str):
            own = self.key_of((clinic.client_id, str(clinic.client_secret)))
        for key in self.keys if own is None else [own]:
            key.revoked_status = status


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

    def add_key(self, clinic: FakeClinic, key: FakeKey) -> None:
        """Add a key to a clinic. Raises ConfigurationError where it, or its client id, is taken."""
        client_id = key.credentials.client_id
        if self._by_id.get(client_id, clinic) is not clinic:
            raise ConfigurationError(f"this FakeArzamed has a clinic with the client_id {client_id!r} already")
        if clinic.key_of(key.pair) is not None:
            raise ConfigurationError(f"{clinic.name} has a key with this client_id and client_secret already")
        clinic.keys.append(key)
        self._by_id[client_id] = clinic

    def credentials(self) -> list[ClinicCredentials]:
        """Return those of the newest key of each clinic."""
        return [clinic.credentials for clinic in self._by_name.values()]

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
