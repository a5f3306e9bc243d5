"""Credentials, secrets by reference, the clinics file, and the checks they share."""

from __future__ import annotations

import ipaddress
import os
import socket
import traceback
import tracemalloc
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import yarl
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SECRET, RawServer

from arzamed_async import (
    PRODUCTION,
    SANDBOX,
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Endpoint,
    Endpoints,
    Limits,
    RetryPolicy,
    SecretFromEnv,
    SecretFromFile,
    Timeouts,
    TokenUnavailableError,
    load_clinics,
)
from arzamed_async._http.proxies import EnvironmentProxies

URL = "https://auth.invented.example/oauth2/token"


def test_identity_is_everything_but_the_name() -> None:
    """Credentials that differ only in name are equal; any other difference makes them others."""
    one = ClinicCredentials("id", SECRET, URL, name="Milano")
    assert one == evolve(one, name="Milano 2")
    assert hash(one) == hash(evolve(one, name="Milano 2"))
    for change in ({"client_id": "i"}, {"client_secret": "s"}, {"token_url": URL + "2"}, {"scope": "s"}):
        assert one != evolve(one, **change)
    assert one != evolve(one, basic_encoding="raw")
    assert (one.display_name, evolve(one, name="").display_name) == ("Milano", "id")


def test_base_urls() -> None:
    """The base URLs are those the vendor publishes."""
    assert PRODUCTION == "https://api.nextgen.arzamed.com/api/v1"
    assert SANDBOX == "https://api-uat.nextgen.arzamed.com/api/v1"


BAD_URLS = [
    "http://auth.invented.example/token", "ftp://auth.invented.example/", "auth.invented.example", "", "https://",
    "https://user:canary-pw@auth.invented.example/", "https://u@auth.invented.example/", URL + "#part", URL + "#",
    URL + "\r\nX: y", URL + "\x00", URL + " ", "https://auth.invented.example:99999/", "https://[::1", "file:///etc",
    "https://auth.invented.example\\@evil.example/", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/",
    "https://auth.invented.example:0/", "https://u:canary-pw@ex\u2100mple/", "https://u:canary-pw/path", "javascript:alert(1)", "//auth.invented.example/", None, 5,
    "https://auth.invented.example/a/../b", "https://auth.invented.example/..", "https://auth.invented.example/./token",
    "https://auth.invented.example/a/%2e%2E/b", "https://auth.invented.example/a/%252e%252e/b", "https://auth.invented.example/..;a=b/c?d",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_no_secret_may_be_sent_to(url: str) -> None:
    """Https alone, plain http to loopback; userinfo, fragments, other schemes and control characters are refused."""
    with pytest.raises(ConfigurationError, match="token_url") as caught:
        ClinicCredentials("id", SECRET, url)
    assert "canary-pw" not in str(caught.value)
    assert caught.value.__context__ is None
    with pytest.raises(ConfigurationError, match="base_url"):
        ArzamedSession(base_url=url)


HOSTS = {
    "clinica-però.invented.example": "xn--clinica-per-oeb.invented.example",
    "Straße.invented.example": "xn--strae-oqa.invented.example",
    "\uff43\uff4cinica.invented.example": "clinica.invented.example",
    "clinica。invented.example": "clinica.invented.example",
    "xn--clinica-per-oeb.invented.example": "xn--clinica-per-oeb.invented.example",
    "a_b.invented.example": "a_b.invented.example",
    "API.Invented.example": "API.Invented.example",
    "invented.example.": "invented.example.",
    "\uff11\uff12\uff17.0.0.1": "127.0.0.1",
    "127\u30020\u30020\u30021": "127.0.0.1",
    "\u2113ocalhost": "localhost",
    "[::ffff:127.0.0.1]": "[::ffff:127.0.0.1]",
    "1.invented.example": "1.invented.example",
    "[fe80::1]": "[fe80::1]",
    "a.invented.example:8443": "a.invented.example:8443",
    "però.invented.example:8443": "xn--per-ena.invented.example:8443",
    f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}": f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
}


@pytest.mark.parametrize(("host", "sent"), HOSTS.items())
def test_hosts_are_encoded(host: str, sent: str) -> None:
    """A host goes out as DNS and TLS need it: outside ASCII by IDNA, once; any other as given."""
    given = ClinicCredentials("id", SECRET, f"https://{host}/token")
    assert given.token_url == f"https://{sent}/token"
    assert evolve(given, name="again") == given == ClinicCredentials("id", SECRET, f"https://{sent}/token")
    assert repr(ArzamedSession(base_url=f"https://{host}/v1")) == f"<ArzamedSession https://{sent}/v1>"


BAD_HOSTS = [
    "", ".", "a..invented.example", ".invented.example", "a" * 64 + ".example", f"{'a.' * 127}a", "xn--a.example",
    "xn--.example", "xn--zz--.example", "XN--A.example", "xn--clinica-per-oebò.example", "exa\u200bmple.com", "exa\u200dmple.com",
    "\u200b", "exa\u00admple.com", "\ufeffexample.com", "a\x85b.example", "a\u202eb.example", "a*b.example", "a%41.example", "a,b.example",
    "evil.example[::1]", "[::1]evil.example", "[::1", "::1", "[::1]]", "[1.2.3.4]", "[evil]", "[]", "a b.example", "a:b:8080",
    "127.1", "0x7f.1", "0x7f.0.0.0x1", "0", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.01", "127.0.0.1.", "1.2.3.4.5", "a.1",
    "[::1%eth0]", "[::1%25eth0]", "[fe80::1%25lo]", "%31%32%37.0.0.1", "127.0.0.1%2eevil.example", "x:80:80", "\u2488.0.0.1",
    "a.example:\u0661", "a.example:-1", "a.example:65536", "a.example:0", "\u2100.example",
]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_hosts_that_are_none(host: str) -> None:
    """A host that DNS cannot know, or that another parser reads as another one, is refused where it is given."""
    for scheme in ("https", "http"):
        with pytest.raises(ConfigurationError, match="token_url") as caught:
            ClinicCredentials("id", SECRET, f"{scheme}://{host}/token")
        assert caught.value.__context__ is None
        with pytest.raises(ConfigurationError, match="base_url"):
            ArzamedSession(base_url=f"{scheme}://{host}/")
        with pytest.raises(ConfigurationError, match="proxy"):
            ArzamedSession(proxy=f"{scheme}://{host}/")
        for proxy in (f"{scheme}://{host}/", f"{scheme}://u:canary-pw@{host}:8080"):
            with pytest.raises(ConfigurationError, match="environment variable https_proxy") as caught:
                EnvironmentProxies({"https_proxy": proxy}).proxy_for("https://auth.invented.example/")
            assert "canary-pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/però", "/per%C3%B2"),
        ("/per%C3%B2", "/per%C3%B2"),
        ("/per%C3%B2/però", "/per%C3%B2/per%C3%B2"),
        ("/100%", "/100%25"),
        ("/a?b=però", "/a?b=per%C3%B2"),
        ("/a?b=%zz", "/a?b=%25zz"),
        ("", ""),
        ("?però", "?per%C3%B2"),
    ],
)
def test_paths_are_encoded_once(path: str, sent: str) -> None:
    """A path and a query outside ASCII are percent-encoded; what is encoded already stays so."""
    assert ClinicCredentials("id", SECRET, f"https://a.example{path}").token_url == f"https://a.example{sent}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "localhost:8080"])
def test_plain_http_to_loopback(host: str) -> None:
    """Plain http is for this machine alone."""
    assert ClinicCredentials("id", SECRET, f"http://{host}/token")


@pytest.mark.parametrize(
    "host", ["\u24dbocalhost", "localho\u017ft", "\uff4cocalhost", "\u2460\u2461\u2466.0.0.1", "127\u30020.0.1"]
)
def test_loopback_in_other_letters_is_judged_as_it_is_sent(host: str) -> None:
    """Circled, long and full-width letters are folded before the host is judged, kept and sent: what is kept is plain."""
    sent = ClinicCredentials("id", SECRET, f"http://{host}/token").token_url
    assert sent in ("http://localhost/token", "http://127.0.0.1/token")
    with pytest.raises(ConfigurationError, match="loopback only"):
        ClinicCredentials("id", SECRET, f"http://{host}.evil.example/token")


def test_a_path_may_hold_dots_and_a_query_dot_segments() -> None:
    """Only a whole segment of one or two dots changes the path."""
    for rest in ("/v1.0/..token", "/a..b/...", "/token?next=../x", "/token?a=/./b"):
        assert ClinicCredentials("id", SECRET, f"https://a.example{rest}").token_url == f"https://a.example{rest}"


@pytest.mark.parametrize(("field", "most"), [("client_id", 8192), ("scope", 8192), ("token_url", 8192), ("name", 1024)])
def test_texts_have_a_bound(field: str, most: int) -> None:
    """A name of a megabyte would be in every line of the log, and no server accepts a header or a URL of that length."""
    longest = f"https://a.example/{'x' * most}"[:most] if field == "token_url" else "x" * most
    values = {"client_id": "id", "client_secret": SECRET, "token_url": URL}
    assert getattr(ClinicCredentials(**{**values, field: longest}), field) == longest
    with pytest.raises(ConfigurationError, match=f"^{field} has more than {most:,} characters$"):
        ClinicCredentials(**{**values, field: f"{longest}x"})


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\x00b", "a\x7f", "", None, 5, "a\ud800"])
def test_text_with_control_characters(bad: str) -> None:
    """Empty text, control characters and what is no text are refused in id, secret and scope, and not quoted."""
    for field in ("client_id", "client_secret", "scope"):
        with pytest.raises(ConfigurationError, match=field) as caught:
            ClinicCredentials(**{"client_id": "id", "client_secret": SECRET, "token_url": URL, field: bad})
        assert not bad or repr(bad) not in str(caught.value)
    with pytest.raises(ConfigurationError, match="name"):
        ClinicCredentials("id", SECRET, URL, name="a\nb")


def test_basic_encodings() -> None:
    """The encoding is form or raw; raw cannot carry a colon in the id."""
    with pytest.raises(ConfigurationError, match="'form' or 'raw'"):
        ClinicCredentials("id", SECRET, URL, basic_encoding="other")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="colon"):
        ClinicCredentials("i:d", SECRET, URL, basic_encoding="raw")


def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from the environment, the secret as a reference; what is missing is named."""
    for name in ("CLIENT_ID", "TOKEN_URL", "CLIENT_SECRET"):
        monkeypatch.delenv(f"MI_{name}", raising=False)
    monkeypatch.setenv("MI_CLIENT_ID", "id")
    with pytest.raises(ConfigurationError, match="MI_CLIENT_SECRET, MI_TOKEN_URL"):
        ClinicCredentials.from_env("MI_")
    monkeypatch.setenv("MI_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("MI_TOKEN_URL", URL)
    assert ClinicCredentials.from_env("MI_") == ClinicCredentials("id", SecretFromEnv("MI_CLIENT_SECRET"), URL)
    monkeypatch.setenv("MI_NAME", "Milano")
    monkeypatch.setenv("MI_SCOPE", "other")
    credentials = ClinicCredentials.from_env("MI_")
    assert (credentials.name, credentials.scope) == ("Milano", "other")


MARKED = {
    "no mark": (b"%s", ""),
    "a byte order mark": (b"\xef\xbb\xbf%s", ""),
    "line breaks of Windows": (b"%s\r\n", ""),
    "UTF-16": ("utf-16", "is not UTF-8 text, but UTF-16: save it as UTF-8"),
    "UTF-16, big-endian": ("utf-16-be", "is not UTF-8 text, but UTF-16: save it as UTF-8"),
    "UTF-16 without a mark": ("utf-16-le", "is not UTF-8 text, but UTF-16: save it as UTF-8"),
    "another encoding": (b"%s\xf2", "is not UTF-8 text"),
    "a device": (b"%s" + b"x" * 70_000, "has more than 64 KiB"),
}


@pytest.mark.parametrize("kind", MARKED)
def test_byte_order_marks(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark is no part of a secret or a clinics file; UTF-16 is an error that says what to do."""
    form, problem = MARKED[kind]

    def encoded(text: str) -> bytes:
        return text.encode(form) if isinstance(form, str) else form % text.encode()

    (tmp_path / "secret").write_bytes(encoded(SECRET))
    table = f'[clinics.milano]\nclient_id = "id"\ntoken_url = "{URL}"\nclient_secret = "{SECRET}"'
    (tmp_path / "clinics.toml").write_bytes(encoded(table))
    secret = SecretFromFile(tmp_path / "secret")
    if not problem:
        assert secret.resolve() == SECRET
        assert load_clinics(tmp_path / "clinics.toml")[0].client_secret == SECRET
        monkeypatch.setitem(os.environb, b"MARKED", encoded(SECRET).rstrip())
        assert SecretFromEnv("MARKED").resolve() == SECRET
        return
    with pytest.raises(ConfigurationError, match=f"the secret file .*secret {problem}") as caught:
        secret.resolve()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    if kind != "a device":
        with pytest.raises(ConfigurationError, match=f"clinics.toml: {problem}"):
            load_clinics(tmp_path / "clinics.toml")


def test_references_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reference that leads nowhere is a ConfigurationError naming variable or file, and never what it holds."""
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(ConfigurationError, match="NO_SUCH is not set"):
        SecretFromEnv("NO_SUCH").resolve()
    monkeypatch.setenv("ODD", "a\nb")
    with pytest.raises(ConfigurationError, match="ODD contains a control character"):
        SecretFromEnv("ODD").resolve()
    with pytest.raises(ConfigurationError):
        SecretFromEnv("")
    file = tmp_path / "secret"
    for path in (file, tmp_path, "with\0nul"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            SecretFromFile(path).resolve()
    for content, words in ((b"", "is empty"), (b"\xff", "not UTF-8"), (b"a\nb\n", "control character")):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=words):
            SecretFromFile(file).resolve()
    file.write_bytes(b"s3 cret\r\n")
    assert SecretFromFile(str(file)).resolve() == "s3 cret"


@pytest.mark.asyncio
async def test_secrets_are_read_at_each_token_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret by reference is read anew for each token request, and a missing one names the clinic."""
    monkeypatch.setenv("MI_SECRET", "first")
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        by_env = evolve(server.credentials(), client_secret=SecretFromEnv("MI_SECRET"))
        by_file = evolve(server.credentials(), client_secret=SecretFromFile(file))
        await session.clinic(by_env).token()
        await session.clinic(by_file).token()
        monkeypatch.delenv("MI_SECRET")
        with pytest.raises(ConfigurationError, match="^Milano: the environment variable MI_SECRET is not set"):
            await session.clinic(evolve(by_env, scope="other")).token()
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Basic aWQtTWlsYW5vOmZpcnN0", "Basic aWQtTWlsYW5vOmZyb20tZmlsZQ=="]


FILE = """
[clinics.milano]
client_id = "m"
token_url = "https://auth.invented.example/m"
client_secret_env = "MI_SECRET"

[clinics."Studio Nuovo"]
client_id = "s"
token_url = "https://auth.invented.example/s"
client_secret_file = "studio.secret"
scope = "other"
basic_encoding = "raw"

[clinics.roma]
client_id = "r"
token_url = "https://auth.invented.example/r"
client_secret = "invented"
"""


def test_the_clinics_file(tmp_path: Path) -> None:
    """Clinics come in the order of the file, named as their tables, each secret in its own way."""
    file = tmp_path / "clinics.toml"
    file.write_text(FILE)
    milano, studio, roma = load_clinics(file)
    assert (milano.name, milano.client_id, milano.client_secret) == ("milano", "m", SecretFromEnv("MI_SECRET"))
    assert studio.client_secret == SecretFromFile(tmp_path / "studio.secret")
    assert (studio.name, studio.scope, studio.basic_encoding) == ("Studio Nuovo", "other", "raw")
    assert (roma.client_secret, roma.token_url) == ("invented", "https://auth.invented.example/r")
    assert load_clinics(str(file)) == [milano, studio, roma]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no clinics found"),
        ("[clinics]", "no clinics found"),
        ("clinics = 5", "no clinics found"),
        ("[clinic.milano]", "unknown key 'clinic'"),
        ("[clinics]\nmilano = 5", "clinics.milano. is not a table"),
        ("[clinics.milano]\nclient_id = 5", "client_id must be a string"),
        ("[clinics.milano]\nclient = 'x'", "unknown key 'client'"),
        ("[clinics.milano]\ntoken_url = 'https://a.example/'", "client_id is missing"),
        ("[clinics.milano]\nclient_id = 'x'", "token_url is missing"),
        ("[clinics.milano]\nclient_id = 'x'\ntoken_url = 'https://a.example/'", r"\(found none\)"),
        (
            "[clinics.milano]\nclient_id = 'x'\ntoken_url = 'https://a.example/'\nclient_secret='canary'\n"
            "client_secret_env='B'",
            r"\(found client_secret and client_secret_env\)",
        ),
        (
            "[clinics.milano]\nclient_id = 'x'\ntoken_url = 'http://a.example/'\nclient_secret='canary'",
            "token_url must",
        ),
        ("[clinics.milano]\nclient_secret = canary", "is not TOML"),
        ("canary = " + "[" * 20_000, "is nested too deeply"),
        ("canary = " + "{a = " * 20_000, "is nested too deeply"),
        ("canary." + "a." * 300 + "a = 1", "has a line with more than 256 dots"),
        ("[canary." + "'a'." * 10_000 + "a]", "has a line with more than 256 dots"),
    ],
)
def test_a_bad_clinics_file_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    """Each mistake in a clinics file names the file, the clinic and the key, and never a secret."""
    file = tmp_path / "clinics.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_clinics(file)
    assert str(caught.value).startswith(str(file))
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("label", ["\u00e8" * 2000, "\u00e8." * 1000, "e\u0300" * 1000])
def test_a_host_outside_ascii_is_not_encoded_at_any_length(label: str) -> None:
    """A host of more than a thousand characters is refused before IDNA, which takes quadratic time for it."""
    with pytest.raises(ConfigurationError, match="^token_url has an invalid host: it is too long$"):
        ClinicCredentials("x", "invented-secret", f"https://{label}.example/token")


def test_a_clinics_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A clinics file that is missing or no text is named."""
    with pytest.raises(ConfigurationError, match="clinics.toml: cannot be read"):
        load_clinics(tmp_path / "clinics.toml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_clinics("with\0nul")
    (tmp_path / "clinics.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_clinics(tmp_path / "clinics.toml")


@pytest.mark.parametrize(
    "make",
    [
        lambda: RetryPolicy(max_attempts=0),
        lambda: RetryPolicy(max_attempts=True),
        lambda: RetryPolicy(max_attempts=1.5),  # type: ignore[arg-type]
        lambda: RetryPolicy(initial_backoff_seconds=float("nan")),
        lambda: RetryPolicy(max_backoff_seconds=-1),
        lambda: RetryPolicy(max_retry_after_seconds=-1),
        lambda: RetryPolicy(statuses={200}),  # type: ignore[arg-type]
        lambda: RetryPolicy(statuses={401}),  # type: ignore[arg-type]
        lambda: RetryPolicy(token_statuses={403}),  # type: ignore[arg-type]
        lambda: Timeouts(total_seconds=0),
        lambda: Timeouts(read_seconds="5"),  # type: ignore[arg-type]
        lambda: Limits(record_bytes=0),
        lambda: Endpoint("../x", Doctor),
        lambda: Endpoint("https://evil.example/x", Doctor),
        lambda: Endpoint("//evil.example", Doctor),
        lambda: Endpoint("x", dict),
        lambda: Endpoint("x", 5),  # type: ignore[arg-type, type-var]
        lambda: Endpoints(slots="/x"),
    ],
)
def test_settings_that_cannot_work(make) -> None:
    """Each setting that cannot work is a ConfigurationError, and so a ValueError, where it is made."""
    with pytest.raises(ConfigurationError):
        make()
    with pytest.raises(ValueError):
        make()


def test_a_secret_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without an end, or 64 KiB and one more, is refused as a secret, wherever it comes from; 64 KiB are not."""
    large = tmp_path / "large.secret"
    large.write_text("x" * 65_537)
    monkeypatch.setenv("ROMA_SECRET", "x" * 65_537)
    for refused in (
        SecretFromFile("/dev/zero").resolve,
        SecretFromFile(large).resolve,
        SecretFromEnv("ROMA_SECRET").resolve,
        lambda: ClinicCredentials("id", "x" * 65_537, "https://auth.invented.example/token"),
    ):
        with pytest.raises(ConfigurationError, match="has more than 64 KiB"):
            refused()
    large.write_text("x" * 65_536)
    assert len(SecretFromFile(large).resolve()) == 65_536


@pytest.mark.parametrize("name", ["/dev/zero", "/proc/self/environ", "/", "/dev/null"])
def test_a_file_that_holds_no_text(name: str) -> None:
    """A device, a folder and a file of the kernel are refused as a secret and as a clinics file, without filling the memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError):
            SecretFromFile(name).resolve()
        with pytest.raises(ConfigurationError):
            load_clinics(name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


def test_what_is_no_name_and_no_path_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error names the variable, the file and the key at fault; of a secret given in their place it shows the length."""
    monkeypatch.chdir(tmp_path)
    for variable in ("ROMA_SECRET", "roma_secret", "SECRET7_A", "ClientSecret"):
        with pytest.raises(ConfigurationError, match=f"the environment variable {variable} is not set"):
            SecretFromEnv(variable).resolve()
    for secret in ("0f" * 16, "QmFzZTY0c2VjcmV0", "invented-secret", "A7" * 9):
        with pytest.raises(ConfigurationError, match="of [0-9]+ characters, which are not shown") as caught:
            SecretFromEnv(secret if secret != "QmFzZTY0c2VjcmV0" else f"{secret}_").resolve()
        assert secret not in str(caught.value)
    for path in ("/run/secrets/roma", "roma.secret", "conf/roma.txt"):
        with pytest.raises(ConfigurationError, match=f"the secret file {path} cannot be read"):
            SecretFromFile(path).resolve()
    for key in ("client-secret", "Client_Id", "client_secrt"):
        file = tmp_path / "clinics.toml"
        file.write_text(f"[clinics.a]\n{key} = 'x'\n")
        with pytest.raises(ConfigurationError, match=f"unknown key '{key}'"):
            load_clinics(file)


NOT_LOOPBACK = [
    "localhost.", "localhost.evil.example", "127.0.0.1.evil.example", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::]",
    "0.0.0.0", "loc\u0430lhost", "localhost\u3002",
]  # fmt: skip


@pytest.mark.parametrize("host", NOT_LOOPBACK)
def test_what_is_not_loopback(host: str) -> None:
    """Plain http goes to localhost, 127.0.0.0/8 and ::1 alone, on every version of Python."""
    assert ClinicCredentials("id", SECRET, f"https://{host}/")
    with pytest.raises(ConfigurationError, match="http is allowed for loopback only"):
        ClinicCredentials("id", SECRET, f"http://{host}/")


PARTS = [
    "127.0.0.1", "localhost", "evil.example", "[::1]", "::1", "127.1", "xn--", "xn--a", "@", "#", "?", "/", "\\", "%", "%2e", "%40", ":", ":80",
    ".", "\u3002", "\uff11", "\xdf", "\u200b", "\x85", "\u2113", "\u0661", "[", "]", "0", "0x7f", "a", "-", "_", "u:p@", ";", "\t", "\u0430",
]  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.characters(), min_size=1, max_size=6).map("".join))
def test_an_accepted_host_is_the_one_that_is_judged(place: str) -> None:
    """For any text that is accepted, the URL as stored has one host to each parser, and plain http has a loopback one."""
    for scheme in ("http", "https"):
        try:
            url = ClinicCredentials("id", SECRET, f"{scheme}://{place}/").token_url
        except ConfigurationError:
            continue
        host = yarl.URL(url).raw_host or ""
        judged = (urlsplit(url).hostname or "").strip("[]")
        assert host == (str(ipaddress.ip_address(judged)) if ":" in judged else judged)
        assert yarl.URL(str(yarl.URL(url))).raw_host == host
        assert host.isascii()
        assert not set(host) & set("@%#?/\\ ")
        if scheme == "http":
            assert host == "localhost" or ipaddress.ip_address(host).is_loopback


SENT_TO = {
    "Clinica.Invented.example": "clinica.invented.example",
    "per\xf2.invented.example": "xn--per-ena.invented.example",
    "stra\xdfe.invented.example.": "xn--strae-oqa.invented.example",
    "clinica\u3002invented.example": "clinica.invented.example",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("lane", ["direct", "aiohttp"])
@pytest.mark.parametrize(("host", "sent"), SENT_TO.items())
async def test_the_host_that_is_looked_up(host: str, sent: str, lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either lane the name that is looked up is that of the URL as it was stored, and no other is."""
    names: list[str] = []

    def look_up(name: str | bytes, *_: object, **__: object) -> list[object]:
        names.append(name if isinstance(name, str) else name.decode())
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    http = {"http": aiohttp.ClientSession} if lane == "aiohttp" else {}
    credentials = ClinicCredentials("id", SECRET, f"https://{host}/token")
    async with ArzamedSession(retry=RetryPolicy.none(), **http) as session:
        with pytest.raises(TokenUnavailableError):
            await session.clinic(credentials).token()
    assert {name.rstrip(".").lower() for name in names} == {sent}
    assert sent in credentials.token_url.lower()
