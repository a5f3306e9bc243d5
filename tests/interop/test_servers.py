"""The client against authorization servers that others have written: what it says over the wire, they understand.

oidc-provider and Authlib sign RS256 JWTs, which the API behind them checks with the keys they publish;
django-oauth-toolkit hands out opaque tokens, of which the API asks it (introspection).
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import tomllib
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("joserfc", reason="the API needs the extra `interop`: joserfc not found")

from interop_clients import (
    ELSEWHERE,
    EVERY_PRINTABLE,
    FORBIDDEN_SCOPE,
    NOT_ASCII,
    ORDINARY,
    OTHER_SCOPE,
    PIECES,
    SHORT_LIVED,
    SOON_EXPIRED,
    Client,
    with_piece,
)
from interop_place import Place
from interop_servers import KINDS, wanted_node_version
from joserfc import jwt
from joserfc.jwk import RSAKey
from support import DOCTORS

from arzamed_async import CredentialsRejectedError, Doctor, TokenError, UnauthorizedError

ROOT = Path(__file__).parents[2]
LIST = [Doctor(doctor["name"], doctor["profileImage"]) for doctor in DOCTORS]
CROWD = 100

each_kind = pytest.mark.parametrize("kind", list(KINDS))
each_jwt_kind = pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.jwt])
CREDENTIALS = {"ordinary": ORDINARY, "every-printable": EVERY_PRINTABLE, "not-ascii": NOT_ASCII}
each_kind_and_client = pytest.mark.parametrize(
    ("kind", "client"),
    [
        pytest.param(kind.name, client, id=f"{kind.name}-{name}")
        for kind in KINDS.values()
        for name, client in CREDENTIALS.items()
        if client in kind.clients
    ],
)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition is met; the bound is for a test that is broken, not for a machine that is slow."""
    async with asyncio.timeout(60):
        while not await met():
            await asyncio.sleep(0.02)


def forged(token: str) -> dict[str, str]:
    """Return tokens that look like a JWT and are none of the server's."""
    head, body, signature = token.split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body))
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["exp"] + 60}).encode()).rstrip(b"=")
    unsigned = base64.urlsafe_b64encode(json.dumps({**header, "alg": "none"}).encode()).rstrip(b"=")
    stranger = RSAKey.generate_key(2048, {"kid": header["kid"]})
    return {
        "changed claims": f"{head}.{changed.decode()}.{signature}",
        "no signature": f"{unsigned.decode()}.{body}.",
        "another's signature": jwt.encode(header, claims, stranger, algorithms=["RS256"]),
    }


@each_kind_and_client
@pytest.mark.asyncio
async def test_a_token_opens_the_api(place: Place, client: Client) -> None:
    """Whatever characters the credentials hold, one request gives a token that the API takes."""
    async with place.session() as session:
        clinic = session.clinic(place.credentials(client))
        asked = time.time()
        token = await clinic.token()
        assert await clinic.doctors.list() == LIST
        assert 3600 - 1 <= token.expires_at.timestamp() - asked <= 3600 + time.time() - asked
    assert place.accepted == [token.access_token]
    assert (place.refused, place.token_requests) == ([], 1)


@each_jwt_kind
@pytest.mark.asyncio
async def test_the_api_tells_a_forged_token(place: Place) -> None:
    """The API of these tests takes a JWT of the server, and none that was changed, unsigned or signed by another."""
    async with place.session() as session:
        token = (await session.clinic(place.credentials()).token()).access_token
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["alg"] == "RS256"
    assert await place.status(token) == 200
    for what, fake in forged(token).items():
        assert await place.status(fake) == 401, what
    assert await place.status("") == 401


@pytest.mark.parametrize("kind", ["django"])
@pytest.mark.asyncio
async def test_the_api_asks_about_an_opaque_token(place: Place) -> None:
    """The API of these tests takes a token that the server knows, and no other."""
    async with place.session() as session:
        token = (await session.clinic(place.credentials()).token()).access_token
    assert await place.status(token) == 200
    assert await place.status(f"{token[:-1]}-") == 401
    assert await place.status("") == 401


@each_kind_and_client
@pytest.mark.asyncio
async def test_a_cold_crowd_makes_one_token_request(place: Place, client: Client) -> None:
    """A hundred callers without a token make one request for it, and all of them get their list."""
    async with place.session() as session:
        credentials = place.credentials(client)
        lists = await asyncio.gather(*(session.clinic(credentials).doctors.list() for _ in range(CROWD)))
    assert lists == [LIST] * CROWD
    assert (place.token_requests, len(place.accepted), len(set(place.accepted))) == (1, CROWD, 1)
    assert place.refused == []


@each_kind
@pytest.mark.parametrize(
    ("client", "age"),
    [(ORDINARY, 3400), (EVERY_PRINTABLE, 3400), (SHORT_LIVED, 75)],
    ids=["an-hour", "every-printable", "two-minutes"],
)
@pytest.mark.asyncio
async def test_a_token_is_refreshed_before_it_expires(place: Place, client: Client, age: float) -> None:
    """Some time before expiry one request gets the next token, while callers go on with the one they have."""
    clock = Clock()
    async with place.session(clock=clock) as session:
        clinic = session.clinic(place.credentials(client))
        first = (await clinic.token()).access_token
        clock.now += age
        assert await clinic.doctors.list() == LIST

        async def refreshed() -> bool:
            return (await clinic.token()).access_token != first

        await until(refreshed)
        assert await clinic.doctors.list() == LIST
        second = (await clinic.token()).access_token
    assert place.token_requests == 2
    assert (place.accepted, place.refused) == ([first, second], [])


@each_kind
@pytest.mark.parametrize("age", [3590, 3601], ids=["in-the-margin", "expired"])
@pytest.mark.asyncio
async def test_a_token_that_is_too_old_is_not_sent(place: Place, age: float) -> None:
    """A crowd that finds a token expired, or all but expired, makes one request and sends the new token only."""
    clock = Clock()
    async with place.session(clock=clock) as session:
        clinic = session.clinic(place.credentials())
        first = (await clinic.token()).access_token
        clock.now += age
        assert await asyncio.gather(*(clinic.doctors.list() for _ in range(CROWD))) == [LIST] * CROWD
    assert place.token_requests == 2
    assert (len(set(place.accepted)), place.refused) == (1, [])
    assert first not in place.accepted


@each_kind
@pytest.mark.asyncio
async def test_a_token_the_server_holds_expired_is_replaced_once(place: Place) -> None:
    """Where the client's clock is slow, a 401 for an expired token costs one new token, and the call succeeds."""
    async with place.session(clock=Clock(), wall_clock=lambda: 1.7e9) as session:
        clinic = session.clinic(place.credentials(SOON_EXPIRED))
        first = (await clinic.token()).access_token

        async def expired() -> bool:
            return await place.status(first) == 401

        await until(expired)
        place.accepted.clear()
        place.refused.clear()
        assert await clinic.doctors.list() == LIST
    assert (place.refused, len(place.accepted), place.token_requests) == ([first], 1, 2)


@each_kind
@pytest.mark.asyncio
async def test_a_revoked_token_is_replaced_once_for_a_crowd(place: Place) -> None:
    """A hundred callers with a token that was revoked cause one new one, and all of them get their list."""
    async with place.session() as session:
        clinic = session.clinic(place.credentials())
        first = (await clinic.token()).access_token
        assert await clinic.doctors.list() == LIST
        await place.revoke(first, ORDINARY)
        place.accepted.clear()
        assert await asyncio.gather(*(clinic.doctors.list() for _ in range(CROWD))) == [LIST] * CROWD
    assert place.token_requests == 2
    assert set(place.refused) == {first}
    assert first not in place.accepted


@each_kind
@pytest.mark.asyncio
async def test_a_token_that_opens_nothing_is_replaced_once(place: Place) -> None:
    """A token without the API's scope is answered 401; one new token is fetched, then that call and the next give up."""
    async with place.session() as session:
        clinic = session.clinic(place.credentials(scope=OTHER_SCOPE))
        for _ in range(2):
            with pytest.raises(UnauthorizedError) as caught:
                await clinic.doctors.list()
            assert caught.value.status == 401
    assert (place.accepted, len(set(place.refused)), place.token_requests) == ([], 2, 2)


@each_jwt_kind
@pytest.mark.asyncio
async def test_a_token_for_another_api_is_replaced_once(place: Place) -> None:
    """A token with another audience is answered 401; one new token is fetched, then the call gives up."""
    async with place.session() as session:
        with pytest.raises(UnauthorizedError):
            await session.clinic(place.credentials(ELSEWHERE)).doctors.list()
    assert (place.accepted, len(set(place.refused)), place.token_requests) == ([], 2, 2)


@each_kind_and_client
@pytest.mark.asyncio
async def test_a_wrong_secret_is_rejected_and_remembered(place: Place, client: Client) -> None:
    """A wrong secret raises CredentialsRejectedError after one request; the right one works at once."""
    wrong = f"{client.client_secret}-wrong"
    async with place.session() as session:
        clinic = session.clinic(place.credentials(client, client_secret=wrong, name="Milano"))
        for _ in range(2):
            with pytest.raises(CredentialsRejectedError) as caught:
                await clinic.doctors.list()
            error = caught.value
            assert (error.status, error.error, error.clinic) == (401, "invalid_client", "Milano")
            assert client.client_secret not in f"{error!r}{error}{error.args}{error.__dict__}"
        assert place.token_requests == 1
        assert await session.clinic(place.credentials(client)).doctors.list() == LIST
    assert place.token_requests == 2


@each_kind
@pytest.mark.asyncio
async def test_an_unknown_client_is_rejected(place: Place) -> None:
    """A client id that the server does not know raises CredentialsRejectedError after one request."""
    async with place.session() as session:
        with pytest.raises(CredentialsRejectedError) as caught:
            await session.clinic(place.credentials(client_id="nobody")).token()
    assert (caught.value.status, caught.value.error) == (401, "invalid_client")
    assert place.token_requests == 1


@each_kind
@pytest.mark.asyncio
async def test_a_scope_that_is_not_the_clients_is_a_token_error(place: Place) -> None:
    """A scope that the client may not ask for raises TokenError that says so, and is not asked for again."""
    async with place.session() as session:
        with pytest.raises(TokenError) as caught:
            await session.clinic(place.credentials(scope=FORBIDDEN_SCOPE)).doctors.list()
    assert type(caught.value) is TokenError
    assert (caught.value.status, caught.value.error) == (400, "invalid_scope")
    assert "invalid_scope" in str(caught.value)
    assert place.token_requests == 1


@pytest.mark.parametrize("kind", ["oidc-provider"])
@pytest.mark.asyncio
async def test_a_scope_that_is_dropped_shows_at_the_api(place: Place) -> None:
    """oidc-provider drops a scope it has never heard of and gives a token all the same; the API's 401 tells."""
    async with place.session() as session:
        with pytest.raises(UnauthorizedError):
            await session.clinic(place.credentials(scope="https://api.invented.example/unheard-of")).doctors.list()
    assert (place.accepted, len(set(place.refused)), place.token_requests) == ([], 2, 2)


@pytest.mark.parametrize("kind", ["oidc-provider"])
@pytest.mark.asyncio
async def test_oidc_provider_takes_ascii_credentials_only(place: Place) -> None:
    """oidc-provider answers 400 invalid_request to credentials outside printable ASCII: a TokenError, one request."""
    async with place.session() as session:
        with pytest.raises(TokenError) as caught:
            await session.clinic(place.credentials(NOT_ASCII)).token()
    assert type(caught.value) is TokenError
    assert (caught.value.status, caught.value.error) == (400, "invalid_request")
    assert place.token_requests == 1


#: All three decode what Basic holds (RFC 6749 section 2.3.1): oidc-provider strictly, Authlib without `+`, Django's
#: as a form. So these secrets are refused if they are sent "raw", with this status and error; the rest are taken.
RAW = {
    "oidc-provider": {
        "plus": (401, "invalid_client"),
        "percent": (400, "invalid_request"),
        "percent-hex": (401, "invalid_client"),
    },
    "authlib": {"percent-hex": (401, "invalid_client")},
    "django": {"plus": (401, "invalid_client"), "percent-hex": (401, "invalid_client")},
}


@pytest.mark.parametrize(
    ("kind", "piece"),
    [(kind.name, piece) for kind in KINDS.values() for piece in PIECES if with_piece(piece) in kind.clients],
)
@pytest.mark.asyncio
async def test_every_server_wants_form_encoding(place: Place, piece: str) -> None:
    """basic_encoding "form" is right for all three; "raw" is refused where decoding makes another secret of it."""
    refusal = RAW[place.server.kind.name].get(piece)
    async with place.session() as session:
        assert await session.clinic(place.credentials(with_piece(piece))).doctors.list() == LIST
        raw = session.clinic(place.credentials(with_piece(piece), basic_encoding="raw"))
        if refusal is None:
            assert await raw.doctors.list() == LIST
        else:
            with pytest.raises(TokenError) as caught:
                await raw.token()
            assert (caught.value.status, caught.value.error) == refusal
            assert isinstance(caught.value, CredentialsRejectedError) == (refusal[1] == "invalid_client")
    assert place.token_requests == 2


def test_the_servers_are_pinned() -> None:
    """The versions that these tests are about are exact in pyproject.toml and package.json, and are what is installed."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", wanted_node_version())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pins = dict(requirement.split("==") for requirement in extras["interop"])
    installed = {distribution.name: distribution.version for distribution in metadata.distributions()}
    if missing := pins.keys() - installed.keys():
        pytest.skip(f"the extra `interop` is not installed: {', '.join(sorted(missing))} not found")
    assert {name: installed[name] for name in pins} == pins
