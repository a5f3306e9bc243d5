"""What an error advises: in each failure what helps there, and a retry only where one can help. In both lanes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
import trustme
from support import RawServer, Request, answer, token_answer

from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, RetryPolicy, TokenError, TransportError
from arzamed_async._http.proxy_logins import REFUSED_SECONDS, ProxyChoice
from arzamed_async._http.reasons import certificate_reason, look_up_reason, proxy_reason

pytestmark = pytest.mark.asyncio

TWO = RetryPolicy(max_attempts=2, initial_backoff_seconds=0.001)
LANES = ["direct", "ordinary"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def session_at(base_url: str, lane: str, context: ssl.SSLContext | None = None, **options: Any) -> ArzamedSession:
    if lane == "direct":
        return ArzamedSession(base_url=base_url, retry=TWO, ssl_context=context, **options)

    def client() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True))

    return ArzamedSession(base_url=base_url, retry=TWO, http=client)


async def error_of(session: ArzamedSession, credentials: ClinicCredentials, *, token: bool) -> ArzamedError:
    clinic = session.clinic(credentials)
    async with session:
        with pytest.raises(ArzamedError) as caught:
            await (clinic.token() if token else clinic.doctors.list())
    return caught.value


NO_DATA = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)
LOOK_UPS = [
    (socket.EAI_NONAME, "the host name was not found", "Check the host in token_url, and that this machine's", 2),
    (None, "the host name has no address", "Check the host in token_url: its DNS entry has no address", 1),
    (NO_DATA, "the host name has no address", "Check the host in token_url: its DNS entry has no address", 1),
    (socket.EAI_AGAIN, "the name server did not respond", "Check this machine's name server, or retry later", 2),
    (socket.EAI_FAIL, "the name server failed", "Check this machine's name server, or retry later", 2),
]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(("number", "reason", "remedy", "attempts"), LOOK_UPS)
async def test_a_look_up_that_fails(
    lane: str, number: int | None, reason: str, remedy: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is not found, one without an address, and a name server that fails differ; only the second is final."""

    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        if number is None:
            return []
        raise socket.gaierror(number, "invented")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    if lane == "ordinary" and number is None:
        return  # the caller's own resolver
    credentials = ClinicCredentials("id", "invented", "https://a.invalid/token", name="Milano")
    error = await error_of(session_at("https://b.invalid", lane), credentials, token=True)
    assert f"token endpoint unreachable: {reason} (a.invalid:443)" in str(error)
    assert (error.attempts, error.remedy[: len(remedy)], error.host) == (attempts, remedy, "a.invalid")


class TlsServer:
    """A server in a thread: OpenSSL sends its alerts there, which asyncio's servers drop."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> TlsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            raw.settimeout(10)
            with raw, contextlib.suppress(OSError):
                self._handshake(raw)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):
                    pass

    def _handshake(self, raw: socket.socket) -> None:
        if self._context is None:
            raw.recv(10)
            raw.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
            except ssl.SSLError:
                raw.sendall(outgoing.read())
                return
            else:
                return


def _contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def _requires_certificate(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.verify_mode = ssl.CERT_REQUIRED


def _requires_certificate_12(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.verify_mode, server.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2


def _foreign_certificate(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.verify_mode = ssl.CERT_REQUIRED
    trustme.CA().issue_cert("client.invented.example").configure_cert(client)


def _older(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.maximum_version, client.minimum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def _newer(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    server.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2


CERTIFICATE = "the server requires a TLS client certificate"
HANDSHAKES: list[tuple[Callable[[ssl.SSLContext, ssl.SSLContext], None] | None, str, str]] = [
    (_requires_certificate, CERTIFICATE, "Pass an ssl_context with one: SSLContext.load_cert_chain"),
    (_requires_certificate_12, "requires a client certificate", "Pass an ssl_context with a certificate"),
    (
        _foreign_certificate,
        "the server rejected the TLS client certificate",
        "Check the certificate that the ssl_context",
    ),
    (_older, "no TLS version is allowed by both sides", "Allow the server's TLS version in an ssl_context"),
    (_newer, "no TLS version is allowed by both sides", "Allow the server's TLS version in an ssl_context"),
    (None, "the server does not speak TLS on this port", "Check scheme and port in token_url"),
]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(("setting", "reason", "remedy"), HANDSHAKES)
async def test_a_handshake_that_fails(
    lane: str, setting: Callable[..., None] | None, reason: str, remedy: str, authority: trustme.CA
) -> None:
    """A missing or foreign client certificate, a TLS version, plaintext: each has words of its own; only the last is retried."""
    server, client = _contexts(authority)
    if setting is not None:
        setting(server, client)
    with TlsServer(None if setting is None else server) as tls:
        url = f"https://127.0.0.1:{tls.port}"
        credentials = ClinicCredentials("id", "invented", f"{url}/token", name="Milano")
        error = await error_of(session_at(url, lane, client), credentials, token=True)
        assert reason in str(error)
        assert error.remedy.startswith(remedy)
        assert tls.connections == (2 if setting is None else 1)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            b"X-Long: " + b"x" * 9000 + b"\r\n",
            "a header or the status line of the response is longer than the limit of 8,190 bytes (",
        ),
        (b"".join(b"X-%d: y\r\n" % n for n in range(200)), "the response has more headers than the limit of 128 ("),
    ],
)
async def test_a_head_over_a_limit_names_it(lane: str, headers: bytes, reason: str) -> None:
    """A header that is too long, and too many of them, are errors that name the limit; no retry would help."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + headers + b"\r\n[]"
        writer.write(token_answer() if request.is_token else head)

    async with RawServer(handler) as server:
        error = await error_of(session_at(server.base_url, lane), server.credentials(), token=False)
        assert isinstance(error, TransportError)
        assert reason in str(error)
        assert not error.transient
        assert server.api_requests == 1


@contextlib.contextmanager
def proxy_of(status: int, seen: list[str]) -> Iterator[RawServer]:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request.method)
        writer.write(answer(status))

    yield RawServer(handler)


@pytest.mark.parametrize(
    ("status", "reason", "attempts"),
    [
        (407, "the proxy requires a valid login (HTTP 407)", 1),
        (403, "the proxy refused the host (HTTP 403)", 1),
        (405, "the proxy refused a tunnel (HTTP 405)", 1),
        (418, "the proxy refused the connection (HTTP 418)", 1),
        (502, "the proxy could not reach the host (HTTP 502)", 2),
        (503, "the proxy is temporarily unavailable (HTTP 503)", 2),
        (504, "the proxy did not reach the host in time (HTTP 504)", 2),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(status: int, reason: str, attempts: int) -> None:
    """Each refusal of a proxy is named; only what may pass is retried. After a 407 nothing is sent to it for a minute."""
    seen: list[str] = []
    with proxy_of(status, seen) as proxy:
        async with proxy:
            session = ArzamedSession(
                base_url="https://api.invalid", retry=TWO, proxy=f"http://us:canary-51@127.0.0.1:{proxy.port}"
            )
            async with session:
                errors: list[ArzamedError] = []
                for name in ("Milano", "Roma"):
                    credentials = ClinicCredentials(name, "invented", "https://login.invalid/token", name=name)
                    with pytest.raises(TokenError) as caught:
                        await session.clinic(credentials).token()
                    errors.append(caught.value)
    assert f"token endpoint unreachable: {reason} (login.invalid:443)" in str(errors[0])
    assert proxy_reason(status)[2].replace("base_url", "token_url") == errors[0].remedy
    assert seen == ["CONNECT"] * (1 if status == 407 else 2 * attempts)
    assert ("request not sent: " in str(errors[1])) == (status == 407)
    assert "canary" not in "".join(f"{each} {vars(each)}" for each in errors)


async def test_a_login_that_was_refused_may_be_tried_again_later() -> None:
    """A refusal counts for that proxy alone, and for a minute; another status is not remembered."""
    refused = TransportError("refused", remedy="invented")
    choice, other = ProxyChoice("http://a", trust_env=False), ProxyChoice(None, trust_env=True)
    choice.failed(None, refused, 502, 100.0)
    assert choice.proxy_for("https://h", 101.0) is None
    assert choice.failed(None, refused, 407, 100.0) is refused
    other.failed("http://b", refused, 407, 100.0)
    with pytest.raises(TransportError, match=r"request not sent: refused, 10 s ago\. invented"):
        choice.proxy_for("https://h", 110.0)
    choice.proxy_for("https://h", 100.0 + REFUSED_SECONDS)
    assert other.proxy_for("https://127.0.0.1", 110.0) is None


async def test_each_fault_of_a_certificate_has_its_remedy() -> None:
    """Expired, too early, self-signed, of another host: what helps differs."""
    remedies = {code: certificate_reason(code)[1] for code in (9, 10, 18, 20, 62, 64, 1)}
    assert remedies[9] == "Check this machine's clock"
    assert "renew" in remedies[10]
    assert "ssl_context" in remedies[18]
    assert remedies[18] == remedies[20] == remedies[1]
    assert remedies[62].startswith("Check the host in base_url")
    assert "address" in remedies[64]
    assert look_up_reason(None)[1]
