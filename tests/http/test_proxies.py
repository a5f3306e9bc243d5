"""Proxies of the environment, and logins that would clash with the token: a .netrc, and a session given as http=."""

from __future__ import annotations

import asyncio
import base64
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support import DOCTORS, RawServer, Request, json_answer, token_answer

from arzamed_async import ArzamedSession, ConfigurationError, RetryPolicy, TokenUnavailableError
from arzamed_async._http.proxies import EnvironmentProxies

P, Q = "http://proxy.invented.example:3128", "http://other.invented.example:8080"
CANARY = "p%40ss-canary-51d0"

CHOICES = [
    # environment, URL, proxy
    ({}, "https://api.example/v1", None),
    ({"HTTPS_PROXY": P}, "https://api.example/v1", P),
    ({"https_proxy": P, "HTTPS_PROXY": Q}, "https://api.example/v1", P),
    ({"https_proxy": "", "HTTPS_PROXY": Q}, "https://api.example/v1", None),
    ({"HTTPS_PROXY": P}, "http://api.example/v1", None),
    ({"HTTP_PROXY": P}, "https://api.example/v1", None),
    ({"HTTP_PROXY": P}, "http://api.example/v1", P),
    ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, "http://api.example/v1", None),
    ({"http_proxy": P, "REQUEST_METHOD": "GET"}, "http://api.example/v1", P),
    ({"ALL_PROXY": P}, "https://api.example/v1", P),
    ({"all_proxy": P, "HTTPS_PROXY": Q}, "https://api.example/v1", Q),
    ({"HTTPS_PROXY": "proxy.invented.example:3128"}, "https://api.example/v1", P),
    ({"HTTPS_PROXY": f"  {P} "}, "https://api.example/v1", P),
    ({"HTTPS_PROXY": "https://proxy.invented.example"}, "https://api.example/v1", "https://proxy.invented.example"),
    ({"HTTPS_PROXY": f"http://us:{CANARY}@proxy.example"}, "https://api.example/v1", f"http://us:{CANARY}@proxy.example"),
    ({"ALL_PROXY": "socks5://proxy.example", "HTTPS_PROXY": P}, "https://api.example/v1", P),
    ({"HTTPS_PROXY": "socks5://proxy.example", "NO_PROXY": "api.example"}, "https://api.example/v1", None),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "url", "proxy"), CHOICES)
def test_which_variable_counts(environment: dict[str, str], url: str, proxy: str | None) -> None:
    """The scheme's variable, then ALL_PROXY, each in lower case first; without a scheme a proxy is http://."""
    assert EnvironmentProxies(environment).proxy_for(url) == proxy


EXEMPT = [
    # NO_PROXY, authority, exempt
    ("", "api.example", False),
    ("*", "api.example", True),
    ("api.example", "api.example", True),
    ("API.Example", "api.example", True),
    ("api.example", "API.EXAMPLE", True),
    ("example", "api.example", True),
    (".example", "api.example", True),
    ("*.example", "api.example", True),
    (".api.example", "api.example", True),
    ("api.example.", "api.example", True),
    ("api.example", "api.example.", True),
    ("pi.example", "api.example", False),
    ("api.example", "my-api.example", False),
    ("other.example, api.example", "api.example", True),
    ("other.example api.example", "api.example", True),
    (",, ,", "api.example", False),
    ("api.example:443", "api.example", True),
    ("api.example:8443", "api.example", False),
    ("api.example:8443", "api.example:8443", True),
    ("example:8443", "api.example:8443", True),
    ("api.example:443", "api.example:8443", False),
    ("10.1.2.3", "10.1.2.3", True),
    ("10.1.2.3:443", "10.1.2.3", True),
    ("10.1.2.3:444", "10.1.2.3", False),
    ("10.0.0.0/8", "10.1.2.3", True),
    ("10.0.0.0/8", "11.1.2.3", False),
    ("10.1.2.3/8", "10.200.0.1", True),
    ("10.0.0.0/8", "host-10.example", False),
    ("2.3", "10.1.2.3", False),
    ("::1", "[::1]", True),
    ("[::1]", "[::1]:8443", True),
    ("[::1]:8443", "[::1]:8443", True),
    ("[::1]:443", "[::1]:8443", False),
    ("0:0:0:0:0:0:0:1", "[::1]", True),
    ("fd00::/8", "[fd12::9]", True),
    ("fd00::/8", "10.1.2.3", False),
    ("localhost", "127.0.0.1", False),
    ("clinica-però.example", "xn--clinica-per-oeb.example", True),
    ("10.0.0.0/99, ][, :80, a:b:c, [::1, 1.2.3.4:99999", "api.example", False),
]  # fmt: skip


@pytest.mark.parametrize(("no_proxy", "authority", "exempt"), EXEMPT)
def test_what_no_proxy_lists(no_proxy: str, authority: str, exempt: bool) -> None:
    """Names with their subdomains, addresses, networks, each with a port or without; what is none of these is passed over."""
    for variable in ("NO_PROXY", "no_proxy"):
        environment = {"HTTPS_PROXY": P, variable: no_proxy}
        assert EnvironmentProxies(environment).proxy_for(f"https://{authority}/v1") == (None if exempt else P)


@pytest.mark.parametrize(
    "value",
    [
        f"socks5://us:{CANARY}@h", f"socks5h://{CANARY}", f"ftp://{CANARY}", f"http://us:{CANARY}@", "http://", "://",
        f"http://us:{CANARY}@h:port", f"http://us:{CANARY}@h:99999", f"us:{CANARY}@h:0", f"http://{CANARY} h", "http://[::1",
    ],
)  # fmt: skip
def test_a_proxy_that_is_none(value: str) -> None:
    """A value that is no proxy's URL is a ConfigurationError that names the variable, and never quotes it."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        with pytest.raises(ConfigurationError, match=f"variable {variable} ") as caught:
            EnvironmentProxies({variable: value}).proxy_for("https://api.example/v1")
        assert CANARY not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("login", ["us%3Aer:", "us:\u20ac", "us:%E2%82%AC", "us:%ff", "\u0142us:", "%3a"])
def test_a_login_that_cannot_be_sent(login: str) -> None:
    """Aiohttp sends a login in Latin-1, its user up to the first colon: another one is refused where it is given."""
    for proxy in (f"http://{login}{CANARY}@127.0.0.1:1", f"https://{login}{CANARY}@h.example"):
        with pytest.raises(ConfigurationError, match="^proxy has a login with ") as caught:
            ArzamedSession(proxy=proxy)
        assert CANARY not in str(caught.value)
    for good in ("us:p%3A:\u00e9@", ":p@", "us@", ""):
        assert repr(ArzamedSession(proxy=f"http://{good}h.example"))


class Proxy(RawServer):
    """An HTTP proxy that responds in the place of the API and of the token endpoint."""

    def __init__(self) -> None:
        super().__init__(self.respond)

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.method == "POST" else json_answer(200, DOCTORS))

    @property
    def url(self) -> str:
        return f"http://us:{CANARY}@127.0.0.1:{self.port}"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.asyncio
async def test_requests_go_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With trust_env the proxy of the environment gets both requests, with its own login; NO_PROXY and its port count."""
    async with Proxy() as proxy, RawServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)

        async def read(*, trust_env: bool) -> int:
            before = len(proxy.requests)
            async with ArzamedSession(base_url=server.base_url, trust_env=trust_env) as session:
                assert len(await session.clinic(server.credentials()).doctors.list()) == 3
            return len(proxy.requests) - before

        assert await read(trust_env=True) == 2
        assert proxy.requests[1].target == f"{server.base_url}/equipe/doctors"
        login = proxy.requests[0].headers["proxy-authorization"]
        assert base64.b64decode(login.removeprefix("Basic ")) == b"us:p@ss-canary-51d0"
        assert await read(trust_env=False) == 0
        monkeypatch.setenv("NO_PROXY", f"127.0.0.1:{server.port}")
        assert await read(trust_env=True) == 0
        monkeypatch.setenv("NO_PROXY", "127.0.0.1:1")
        assert await read(trust_env=True) == 2


@pytest.mark.asyncio
async def test_a_proxy_given_comes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`proxy=` is used for all requests, whatever the environment holds."""
    async with Proxy() as proxy, RawServer() as server:
        monkeypatch.setenv("HTTP_PROXY", "socks5://invented.example")
        async with ArzamedSession(base_url=server.base_url, proxy=proxy.url, trust_env=True) as session:
            await session.clinic(server.credentials()).doctors.list()
        assert len(proxy.requests) == 2


@pytest.mark.asyncio
async def test_an_invalid_proxy_is_one_error_and_leaves_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable and the clinic, is not retried, shows no login, and holds no slot of the pool."""
    monkeypatch.setenv("ALL_PROXY", f"socks5://us:{CANARY}@invented.example")
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, trust_env=True) as session:
        for _ in range(3):
            with pytest.raises(ConfigurationError, match="Milano: .*ALL_PROXY must begin with http") as caught:
                await session.clinic(server.credentials()).doctors.list()
            assert CANARY not in repr(caught.value)
            session.forget(server.credentials())
        assert session.stats().pool.in_use == 0
        assert server.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize("through", ["environment", "proxy="])
async def test_a_proxys_login_is_in_no_error(monkeypatch: pytest.MonkeyPatch, through: str) -> None:
    """A proxy that refuses connections is named as the cause; its login is in no text."""
    async with Proxy() as gone, RawServer() as server:
        pass
    monkeypatch.setenv("HTTP_PROXY", gone.url)
    option: dict[str, Any] = {"trust_env": True} if through == "environment" else {"proxy": gone.url}
    async with ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none(), **option) as session:
        with pytest.raises(TokenUnavailableError, match="proxy connection failed") as caught:
            await session.clinic(server.credentials()).doctors.list()
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.__dict__}"


@pytest.fixture(params=["machine 127.0.0.1 login a password b", "default login anonymous password me"])
def netrc(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    path.write_text(f"{request.param}\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.mark.asyncio
@pytest.mark.usefixtures("netrc")
async def test_a_netrc_is_never_read() -> None:
    """With trust_env a .netrc that has a login for the host, or a default one, changes no request."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, trust_env=True) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        assert [request.headers["authorization"].split()[0] for request in server.requests] == ["Basic", "Bearer"]


@pytest.mark.asyncio
@pytest.mark.usefixtures("netrc")
async def test_a_session_given_that_reads_a_netrc() -> None:
    """A session given with trust_env=True whose .netrc has a login: one ConfigurationError that says why, and no request."""
    async with (
        RawServer() as server,
        aiohttp.ClientSession(trust_env=True) as http,
        ArzamedSession(base_url=server.base_url, http=http) as session,
    ):
        with pytest.raises(ConfigurationError, match=r"http= has trust_env=True, .* \.netrc"):
            await session.clinic(server.credentials()).doctors.list()
        assert server.requests == []


@pytest.mark.asyncio
async def test_a_session_given_with_trust_env_alone_works() -> None:
    """Without a .netrc a session given with trust_env=True is the caller's own business."""
    async with (
        RawServer() as server,
        aiohttp.ClientSession(trust_env=True) as http,
        ArzamedSession(base_url=server.base_url, http=http) as session,
    ):
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3


def with_auth() -> aiohttp.ClientSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return aiohttp.ClientSession(auth=aiohttp.BasicAuth("us", "invented"))


def with_header() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"authorization": "Basic aW52ZW50ZWQ="})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("make", "why"), [(with_auth, "has auth="), (with_header, "has a default Authorization header")]
)
async def test_a_session_given_with_an_authorization_of_its_own(
    make: Callable[[], aiohttp.ClientSession], why: str
) -> None:
    """It is a ConfigurationError where the session is given, and at the first call where a function makes it."""
    async with make() as http:
        with pytest.raises(ConfigurationError, match=why) as caught:
            ArzamedSession(http=http)
    assert "invented" not in str(caught.value)
    made: list[aiohttp.ClientSession] = []

    def function() -> aiohttp.ClientSession:
        made.append(make())
        return made[-1]

    async with RawServer() as server:
        async with ArzamedSession(base_url=server.base_url, http=function) as session:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match=why):
                    await session.clinic(server.credentials()).doctors.list()
        assert server.requests == []
    assert [each.closed for each in made] == [True]
