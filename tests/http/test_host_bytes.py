"""The host as it goes over TLS: the name in the handshake, that in the Host header and that in the certificate are one."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
import pytest
import trustme
from support import SECRET, RawServer

from arzamed_async import ArzamedSession, ClinicCredentials, RetryPolicy

pytestmark = pytest.mark.asyncio

#: What is given, what the handshake names (RFC 6066 section 3: without a final dot), and what the Host header does.
HOSTS = {
    "Clinica.Invented.example": ("clinica.invented.example", "clinica.invented.example"),
    "per\xf2.invented.example": ("xn--per-ena.invented.example", "xn--per-ena.invented.example"),
    "clinica\u3002invented.example": ("clinica.invented.example", "clinica.invented.example"),
    "stra\xdfe.invented.example.": ("xn--strae-oqa.invented.example", "xn--strae-oqa.invented.example"),
}


@pytest.mark.parametrize("lane", ["direct", "aiohttp"])
@pytest.mark.parametrize(("host", "sent"), HOSTS.items())
async def test_the_name_of_the_handshake_is_that_of_the_request(
    host: str, sent: tuple[str, str], lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either lane SNI and Host name the host of the URL as it was judged, and the certificate is checked for it."""
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("*.invented.example").configure_cert(served)
    authority.configure_trust(trusted)
    names: list[str | None] = []

    def note(_socket: object, name: str | None, _context: object) -> None:
        names.append(name)

    served.sni_callback = note  # type: ignore[assignment]
    look_up = socket.getaddrinfo

    def here(name: str | bytes, *arguments: Any, **options: Any) -> Any:
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    http: dict[str, Any] = {"ssl_context": trusted}
    if lane == "aiohttp":
        http = {"http": lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))}
    async with RawServer(tls=served) as server:
        place = f"{host}:{server.port}"
        clinic = ClinicCredentials("id", SECRET, f"https://{place}/token")
        async with ArzamedSession(base_url=f"https://{place}/api/v1", retry=RetryPolicy.none(), **http) as session:
            assert len(await session.clinic(clinic).doctors.list()) == 3
        in_handshake, in_header = sent
        assert {str(name).lower() for name in names} == {in_handshake}
        hosts = {request.headers["host"].lower().replace(".:", ":") for request in server.requests}
        assert hosts == {f"{in_header}:{server.port}"}
