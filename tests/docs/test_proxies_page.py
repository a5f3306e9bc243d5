"""docs/how-to/proxies.md: its sessions reach a server of a company's own authority, with and without a client certificate."""

from __future__ import annotations

import asyncio
import shlex
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from support import RawServer
from support.cli import neutral_environment
from support.clinics_files import toml
from support.docs_pages import blocks_of
from support.docs_program import default_base_url

from arzamed_async import ArzamedSession, ClinicCredentials, RetryPolicy, TokenUnavailableError

pytestmark = pytest.mark.asyncio

BLOCKS = blocks_of("docs/how-to/proxies.md")
PROXY, AUTHORITY, CLIENT, OWN = [block.code for block in BLOCKS if block.language == "python"]
(COMMAND,) = [block.code for block in BLOCKS if block.language == "sh"]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Write the files that the page names to the current folder: an authority, and a client's certificate of it."""
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path("company-ca.pem")
    client = authority.issue_cert("client.invented.example")
    Path("client.pem").write_bytes(b"".join(each.bytes() for each in client.cert_chain_pems))
    client.private_key_pem.write_to_path("client.key")
    return authority


def serving(authority: trustme.CA, *, client: bool) -> RawServer:
    """Return a server of this authority, which requires a client certificate of it, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return RawServer(tls=context)


async def read(session: ArzamedSession, credentials: ClinicCredentials) -> str:
    """Read a clinic, and return the lane that its requests have taken."""
    async with session:
        assert await session.clinic(credentials).doctors.list()
        return session.stats().pool.lane


async def test_the_session_that_trusts_an_authority_reaches_its_server(authority: trustme.CA) -> None:
    """The page's context is enough, and keeps the direct lane; without it the certificate does not verify."""
    async with serving(authority, client=False) as server:
        with default_base_url(server.base_url):
            names: dict[str, Any] = {}
            exec(PROXY + AUTHORITY, names)
            assert await read(names["session"], server.credentials()) == "direct"
            with pytest.raises(TokenUnavailableError, match="signed by an unknown authority"):
                await read(ArzamedSession(retry=RetryPolicy.none()), server.credentials())


async def test_the_session_with_a_client_certificate_is_let_in(authority: trustme.CA) -> None:
    """A server that requires a certificate accepts the page's session, and one as http= with its context, and no other."""
    async with serving(authority, client=True) as server:
        with default_base_url(server.base_url):
            names: dict[str, Any] = {}
            exec(PROXY + AUTHORITY, names)
            with pytest.raises(TokenUnavailableError):  # asyncio resets the connection: the alert may be lost
                await read(names["session"], server.credentials())
            exec(CLIENT, names)
            await read(names["session"], server.credentials())
            exec(OWN.replace(', proxy="http://proxy.example:3128"', ""), names)
            async with names["own"]:
                assert await read(names["session"], server.credentials()) != "direct"


async def test_the_command_trusts_the_authority_of_the_variable(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's line lists the doctors of a server of that authority."""
    neutral_environment(monkeypatch, tmp_path)
    setting, _, arguments = COMMAND.partition(" arzamed ")
    variable, _, value = setting.partition("=")
    monkeypatch.setenv(variable, value)
    async with serving(authority, client=False) as server:
        monkeypatch.setenv("ARZAMED_CLINICS", toml(tmp_path, [server.credentials()]))
        words = [*shlex.split(arguments), "--no-token-store", "--base-url", server.base_url]
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "arzamed_async.cli", *words, stdout=asyncio.subprocess.PIPE
        )
        listed, _ = await command.communicate()
    assert command.returncode == 0
    assert b'"clinic"' in listed
