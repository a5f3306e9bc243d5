"""FakeArzamed, read with a plain HTTP client over real sockets."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import warnings
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from urllib.parse import quote

import aiohttp
import attrs
import pytest
import pytest_asyncio

from arzamed_async import ClinicCredentials, ConfigurationError, Doctor, OpenRecord
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio


class Clock:
    """Seconds since the epoch, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def fake(clock: Clock) -> AsyncIterator[FakeArzamed]:
    async with FakeArzamed(clock=clock) as server:
        yield server


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


class Answer:
    """A response with its body."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    http: aiohttp.ClientSession,
    credentials: ClinicCredentials,
    *,
    form: dict[str, str] | str | None = None,
    authorization: str | None = None,
    method: str = "POST",
    **options: Any,
) -> Answer:
    """Make a token request, right in all that is not given."""
    header = authorization or basic(credentials.client_id, str(credentials.client_secret))
    data = {"grant_type": "client_credentials", "scope": credentials.scope} if form is None else form
    headers = {"Authorization": header} if header != "none" else {}
    async with http.request(method, credentials.token_url, data=data, headers=headers, **options) as response:
        return Answer(response, await response.read())


async def token(http: aiohttp.ClientSession, credentials: ClinicCredentials) -> str:
    answer = await ask(http, credentials)
    assert answer.status == 200
    return answer.json()["access_token"]


async def read(
    http: aiohttp.ClientSession,
    fake: FakeArzamed,
    bearer: str | None,
    path: str = "equipe/doctors",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Answer:
    """Make an API request."""
    sent = dict(headers or {})
    if bearer is not None:
        sent["Authorization"] = f"Bearer {bearer}"
    async with http.request(method, f"{fake.base_url}/{path}", headers=sent, **options) as response:
        return Answer(response, await response.read())


async def open_requests(fake: FakeArzamed, count: int) -> None:
    """Return once `count` requests are open at the server."""
    async with asyncio.timeout(60):
        while fake.open_requests != count:
            await asyncio.sleep(0)


def unpacked(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# The token endpoint


async def test_a_token_has_the_shape_of_an_rs256_jwt_with_the_claims_of_the_vendor(fake, http, clock):
    """A token has three base64url parts, an RS256 header with kid, and claims that agree with expires_in."""
    milano = fake.add_clinic("Milano")
    answer = await ask(http, milano)
    grant = answer.json()
    header, payload, signature = grant["access_token"].split(".")
    claims = unpacked(payload)
    assert (answer.status, grant["token_type"], grant["expires_in"]) == (200, "Bearer", 3600)
    assert answer.headers["Cache-Control"] == "no-store"
    assert unpacked(header)["alg"] == "RS256"
    assert unpacked(header)["kid"]
    assert len(base64.urlsafe_b64decode(signature + "==")) == 256
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["iat"] == int(clock.now)
    assert (claims["sub"], claims["scope"]) == (milano.client_id, milano.scope)
    assert {"iss", "jti"} <= claims.keys()


async def test_two_tokens_of_a_clinic_differ_and_both_are_good(fake, http):
    """A second token does not end the first."""
    milano = fake.add_clinic("Milano")
    first, second = await token(http, milano), await token(http, milano)
    assert first != second
    assert (await read(http, fake, first)).status == (await read(http, fake, second)).status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "none",
        "Bearer something",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        basic("someone-else", "wrong"),
    ],
)
async def test_bad_client_credentials_are_invalid_client_with_a_challenge(fake, http, authorization):
    """For any fault of the Basic header the response is 401, invalid_client and WWW-Authenticate."""
    answer = await ask(http, fake.add_clinic("Milano"), authorization=authorization)
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_clinic_at_the_token_endpoint_of_another_is_invalid_client(fake, http):
    """Each clinic's key works at its own token endpoint alone."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    answer = await ask(http, attrs.evolve(milano, token_url=roma.token_url))
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(("client_id", "secret"), [("id:with colon", "pass+word %41&è"), ("Ünicode", "a+b c")])
async def test_basic_credentials_are_form_decoded(fake, http, client_id, secret):
    """Id and secret are decoded as RFC 6749 section 2.3.1 has them encoded, and not without that."""
    milano = fake.add_clinic("Milano", client_id=client_id, client_secret=secret)
    assert (await ask(http, milano)).status == 200
    raw = "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    assert (await ask(http, milano, authorization=raw)).status == 401


async def test_a_raw_clinic_takes_basic_credentials_as_they_are(fake, http):
    """With basic_encoding="raw" a percent sign in the secret is a percent sign."""
    milano = fake.add_clinic("Milano", client_id="plain", client_secret="50%25", basic_encoding="raw")
    raw = "Basic " + base64.b64encode(b"plain:50%25").decode()
    assert (await ask(http, milano, authorization=raw)).status == 200
    assert (await ask(http, milano)).status == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "https://api.nextgen.arzamed.com/read"}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": ""}, "invalid_request"),
        ("grant_type=client_credentials&grant_type=client_credentials&scope=x", "invalid_request"),
        ({"grant_type": "password", "scope": "https://api.nextgen.arzamed.com/read"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "write"}, "invalid_scope"),
    ],
)
async def test_a_wrong_token_request_gets_400_with_its_reason(fake, http, form, error):
    """grant_type and scope must each be there once, and right."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    milano = fake.add_clinic("Milano")
    headers["Authorization"] = basic(milano.client_id, milano.client_secret)
    async with http.post(milano.token_url, data=form, headers=headers) as response:
        answer = await response.json()
    assert (response.status, answer["error"]) == (400, error)
    assert answer["error_description"]


async def test_a_token_request_that_is_no_form_is_invalid_request(fake, http):
    """A correct body with another Content-Type is rejected."""
    milano = fake.add_clinic("Milano")
    headers = {"Authorization": basic(milano.client_id, milano.client_secret), "Content-Type": "text/plain"}
    body = f"grant_type=client_credentials&scope={milano.scope}".encode()
    async with http.post(milano.token_url, data=body, headers=headers) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_request")


async def test_a_get_at_the_token_endpoint_is_405(fake, http):
    """The token endpoint takes POST alone."""
    answer = await ask(http, fake.add_clinic("Milano"), method="GET")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


# The API


async def test_doctors_may_be_names_mappings_and_doctors(fake, http):
    """Each way to give a doctor comes out as the record of the vendor, in the order given."""
    photo = "https://photos.example/finta.png"
    milano = fake.add_clinic("Milano", doctors=["Dr. Uno", {"name": "Dr. Due", "extra": 1}, Doctor("Dr. Terzo", photo)])
    answer = await read(http, fake, await token(http, milano))
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == [
        {"name": "Dr. Uno", "profileImage": None},
        {"name": "Dr. Due", "extra": 1},
        {"name": "Dr. Terzo", "profileImage": photo},
    ]


async def test_slots_and_patients_are_served_as_given(fake, http):
    """Slots and patients of any shape come out as they went in, dates in ISO 8601."""
    patients = [OpenRecord({"nested": {"of": [1, {"any": "shape"}]}})]
    milano = fake.add_clinic("Milano", slots=[{"when": date(2030, 1, 7)}], patients=patients)
    bearer = await token(http, milano)
    assert (await read(http, fake, bearer, "equipe/slots")).json() == [{"when": "2030-01-07"}]
    assert (await read(http, fake, bearer, "equipe/patients")).json() == [{"nested": {"of": [1, {"any": "shape"}]}}]


async def test_what_is_left_out_is_served_as_inventions(fake, http):
    """Without records a clinic has some, and their fields are called invented."""
    bearer = await token(http, fake.add_clinic("Milano"))
    assert (await read(http, fake, bearer)).json()[0]["name"] == "Dr. Inventata Uno"
    for path in ("equipe/slots", "equipe/patients"):
        records = (await read(http, fake, bearer, path)).json()
        assert records
        assert all(name.startswith("invented") for record in records for name in record)


async def test_an_empty_list_is_served_as_one(fake, http):
    """A clinic without doctors responds with []."""
    milano = fake.add_clinic("Milano", doctors=[])
    assert (await read(http, fake, await token(http, milano))).body == b"[]"


async def test_a_clinic_sees_its_own_records(fake, http):
    """The token alone decides whose records are served."""
    milano = fake.add_clinic("Milano", doctors=["Dr. Milano"])
    roma = fake.add_clinic("Roma", doctors=["Dr. Roma"])
    assert (await read(http, fake, await token(http, milano))).json()[0]["name"] == "Dr. Milano"
    assert (await read(http, fake, await token(http, roma))).json()[0]["name"] == "Dr. Roma"


async def test_add_endpoint_serves_another_list_and_replaces_one(fake, http):
    """add_endpoint makes a new path, or new records for an old one, for one clinic."""
    milano = fake.add_clinic("Milano")
    fake.add_clinic("Roma")
    bearer = await token(http, milano)
    assert (await read(http, fake, bearer, "equipe/rooms")).status == 404
    fake.add_endpoint("equipe/rooms", milano, [{"roomName": "Blu"}])
    fake.add_endpoint("equipe/doctors", "Milano", ["Dr. Nuovo"])
    assert (await read(http, fake, bearer, "equipe/rooms")).json() == [{"roomName": "Blu"}]
    assert (await read(http, fake, bearer)).json() == [{"name": "Dr. Nuovo", "profileImage": None}]


async def test_a_large_list_is_one_json_array_in_chunks(fake, http):
    """A list over 64 KiB is sent chunked and whole; a callable is called again for each request."""
    slots = [{"n": n, "text": "è" * 40} for n in range(5_000)]
    milano = fake.add_clinic("Milano", slots=slots, patients=lambda: ({"n": n} for n in range(30_000)))
    bearer = await token(http, milano)
    answer = await read(http, fake, bearer, "equipe/slots")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.json() == slots
    for _ in range(2):
        lazy = await read(http, fake, bearer, "equipe/patients")
        assert [record["n"] for record in lazy.json()] == list(range(30_000))


@pytest.mark.parametrize("lazy", [False, True])
async def test_compress_sends_gzip_to_those_who_accept_it(fake, http, lazy):
    """With compress on, a client that accepts gzip gets it, and one that does not gets plain JSON."""
    records = [{"n": n} for n in range(100)]
    bearer = await token(http, fake.add_clinic("Milano", slots=(lambda: records) if lazy else records))
    fake.compress = True
    packed = await read(http, fake, bearer, "equipe/slots", headers={"Accept-Encoding": "gzip"})
    plain = await read(http, fake, bearer, "equipe/slots", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json() == records


async def test_gzip_on_the_wire_is_whole(fake):
    """The compressed bytes are a complete gzip member, trailer included."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        bearer = await token(http, fake.add_clinic("Milano", doctors=["Dr. Uno"]))
        fake.compress = True
        answer = await read(http, fake, bearer, headers={"Accept-Encoding": "gzip"})
    assert json.loads(gzip.decompress(answer.body))[0]["name"] == "Dr. Uno"


@pytest.mark.parametrize(("bearer", "words"), [(None, "Missing token"), ("made.up.token", "Invalid token")])
async def test_a_missing_or_unknown_token_is_401_with_an_error_text(fake, http, bearer, words):
    """Without a token of its own the API responds with 401 and {"error": ...}, whatever the path."""
    fake.add_clinic("Milano")
    answer = await read(http, fake, bearer, "equipe/nowhere")
    assert (answer.status, answer.json()) == (401, {"error": words})


async def test_a_token_expires_by_the_clock_of_the_server(fake, http, clock):
    """A token is good until its lifetime is over on the injected clock, and 401 from then on."""
    fake.token_lifetime_seconds = 60
    bearer = await token(http, fake.add_clinic("Milano"))
    clock.now += 59.9
    assert (await read(http, fake, bearer)).status == 200
    clock.now += 0.1
    answer = await read(http, fake, bearer)
    assert (answer.status, answer.json()) == (401, {"error": "Expired token"})


async def test_an_unknown_path_is_404_and_another_method_405(fake, http):
    """With a good token a path that is not served is 404, inside the API and outside; POST to a list is 405."""
    bearer = await token(http, fake.add_clinic("Milano"))
    assert (await read(http, fake, bearer, "equipe/nowhere")).json() == {"error": "Not found"}
    async with http.get(fake.origin + "/equipe/doctors", headers={"Authorization": f"Bearer {bearer}"}) as outside:
        assert outside.status == 404
    posted = await read(http, fake, bearer, method="POST")
    assert (posted.status, posted.headers["Allow"]) == (405, "GET")


# Faults


async def test_failures_are_consumed_in_order(fake, http):
    """Scripted failures come one after the other, then requests succeed again."""
    bearer = await token(http, fake.add_clinic("Milano"))
    fake.fail(503, times=2, retry_after=7, message="resting")
    fake.fail(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    fake.fail(520)
    answers = [await read(http, fake, bearer) for _ in range(5)]
    assert [answer.status for answer in answers] == [503, 503, 429, 520, 200]
    assert answers[0].json() == {"error": "resting"}
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[2].json() == {"error": "Too Many Requests"}
    assert answers[2].headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert answers[3].json() == {"error": "Error"}
    assert "Retry-After" not in answers[4].headers


async def test_a_failure_meant_for_one_clinic_and_path_meets_nothing_else(fake, http):
    """clinic, path and on narrow a failure down."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    mine, other = await token(http, milano), await token(http, roma)
    fake.fail(500, clinic=milano, path="equipe/slots")
    assert (await read(http, fake, other, "equipe/slots")).status == 200
    assert (await read(http, fake, mine)).status == 200
    await token(http, milano)
    assert (await read(http, fake, mine, "equipe/slots")).status == 500


async def test_a_failure_of_the_token_endpoint_leaves_the_api_alone(fake, http):
    """on="token" applies to token requests, with the errors of RFC 6749."""
    milano = fake.add_clinic("Milano")
    bearer = await token(http, milano)
    fake.fail(400, on="token")
    fake.fail(503, on="token", clinic="Milano")
    fake.fail(400, on="token", message="unauthorized_client")
    assert (await read(http, fake, bearer)).status == 200
    answers = [await ask(http, milano) for _ in range(4)]
    assert [(answer.status, answer.json().get("error")) for answer in answers] == [
        (400, "invalid_request"),
        (503, "temporarily_unavailable"),
        (400, "unauthorized_client"),
        (200, None),
    ]


async def test_a_failure_without_end_lasts_until_clear_faults(fake, http):
    """times=None fails every request until clear_faults; a clinic's own faults can be cleared alone."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    mine, other = await token(http, milano), await token(http, roma)
    fake.fail(503, times=None, clinic=milano)
    fake.fail(502, times=None, clinic=roma)
    assert [(await read(http, fake, mine)).status for _ in range(5)] == [503] * 5
    fake.clear_faults(milano)
    assert [(await read(http, fake, bearer)).status for bearer in (mine, other)] == [200, 502]
    fake.clear_faults()
    assert (await read(http, fake, other)).status == 200


async def test_a_redirect_leads_back_to_this_server(fake, http):
    """fail(302) sends a Location below base_url, where a client that follows is counted."""
    milano = fake.add_clinic("Milano")
    bearer = await token(http, milano)
    fake.fail(302)
    answer = await read(http, fake, bearer, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, fake.base_url + "/redirected")
    fake.fail(302)
    assert (await read(http, fake, bearer)).status == 404
    assert fake.api_requests(milano) == 3


async def test_expire_tokens_ends_the_tokens_handed_out_so_far(fake, http):
    """Old tokens get 401, of one clinic or of all; new ones are good."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    mine, other = await token(http, milano), await token(http, roma)
    fake.expire_tokens(milano)
    assert [(await read(http, fake, bearer)).status for bearer in (mine, other)] == [401, 200]
    fake.expire_tokens()
    assert (await read(http, fake, other)).status == 401
    assert (await read(http, fake, await token(http, milano))).status == 200


@pytest.mark.parametrize("status", [401, 400])
async def test_a_revoked_key_gets_no_token_and_its_tokens_are_403(fake, http, status):
    """revoke_key refuses token requests as invalid_client and tokens still alive with 403."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    bearer = await token(http, milano)
    fake.revoke_key("Milano", status=status)
    refused = await ask(http, milano)
    assert (refused.status, refused.json()["error"]) == (status, "invalid_client")
    assert ("WWW-Authenticate" in refused.headers) == (status == 401)
    answer = await read(http, fake, bearer)
    assert (answer.status, answer.json()) == (403, {"error": "The API key has been revoked"})
    assert (await ask(http, roma)).status == 200


async def test_two_keys_of_a_clinic_work_until_the_old_one_is_revoked(fake, http):
    """rotate_key adds a key, and revoke_key with credentials ends that one alone: its tokens too, no others."""
    old = fake.add_clinic("Milano")
    old_bearer = await token(http, old)
    new = fake.rotate_key(old)
    assert (new.name, new.client_id, new.token_url) == (old.name, old.client_id, old.token_url)
    assert new != old
    new_bearer = await token(http, new)
    assert [(await read(http, fake, bearer)).status for bearer in (old_bearer, new_bearer)] == [200, 200]
    assert (await ask(http, old)).status == 200
    fake.revoke_key(old)
    assert [(await ask(http, each)).status for each in (old, new)] == [401, 200]
    assert [(await read(http, fake, bearer)).status for bearer in (old_bearer, new_bearer)] == [403, 200]
    assert fake.token_requests(old) == fake.token_requests(new) == fake.token_requests() == 5


async def test_a_new_key_replaces_a_revoked_one_and_may_have_another_client_id(fake, http):
    """After revoke_key the clinic works again with a key of the test's own; by its name all keys of it are revoked."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    fake.revoke_key(milano)
    new = fake.rotate_key("Milano", client_id="milano-2", client_secret="invented-2")
    assert (new.client_id, str(new.client_secret)) == ("milano-2", "invented-2")
    assert [(await ask(http, each)).status for each in (milano, new)] == [401, 200]
    third = fake.rotate_key(new)
    fake.revoke_key("Milano")
    assert [(await ask(http, each)).status for each in (milano, new, third, roma)] == [401, 401, 401, 200]
    for wrong in ({"client_id": roma.client_id}, {"client_secret": "invented-2"}):
        with pytest.raises(ConfigurationError, match="already"):
            fake.rotate_key("Milano", **wrong)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("after_bytes", [0, 10])
async def test_a_cut_body_ends_before_its_end(fake, http, lazy, after_bytes):
    """The status is good, the given number of bytes is sent, then the connection closes before the end."""
    doctors = ["Dr. Uno", "Dr. Due"]
    bearer = await token(http, fake.add_clinic("Milano", doctors=(lambda: doctors) if lazy else doctors))
    fake.cut_body(after_bytes)
    received = bytearray()
    headers = {"Authorization": f"Bearer {bearer}"}
    async with http.get(fake.base_url + "/equipe/doctors", headers=headers) as response:
        assert response.status == 200
        assert ("Content-Length" in response.headers) != lazy
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                received += piece
    assert len(received) == after_bytes
    assert len((await read(http, fake, bearer)).json()) == 2


async def test_a_cut_beyond_the_end_still_cuts(fake, http):
    """A body shorter than after_bytes comes without its last byte."""
    bearer = await token(http, fake.add_clinic("Milano", doctors=lambda: ["Dr. Uno"]))
    fake.add_endpoint("equipe/rooms", "Milano", [1, 2])
    fake.cut_body(1_000_000, times=2)
    for path in ("equipe/doctors", "equipe/rooms"):
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(http, fake, bearer, path)


async def test_the_body_of_a_token_response_can_be_cut_and_slowed(fake, http):
    """cut_body and slow_body reach the token endpoint with on="token"."""
    milano = fake.add_clinic("Milano")
    fake.cut_body(5, on="token")
    fake.slow_body(100, 0, on="token")
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(http, milano)
    assert (await ask(http, milano)).status == 200


async def test_a_slow_body_arrives_complete_in_small_chunks(fake, http):
    """slow_body sends chunks of the given size, for the given number of requests, to one clinic."""
    bearer = await token(http, fake.add_clinic("Milano", doctors=["Dr. Uno"]))
    fake.slow_body(7, 0, times=1, clinic="Milano")
    chunks: list[bytes] = []
    headers = {"Authorization": f"Bearer {bearer}"}
    async with http.get(fake.base_url + "/equipe/doctors", headers=headers) as response:
        async for piece, _ in response.content.iter_chunks():
            chunks.append(piece)
    sizes = [len(chunk) for chunk in chunks if chunk]
    assert len(sizes) > 3
    assert max(sizes) == 7
    assert json.loads(b"".join(chunks))[0]["name"] == "Dr. Uno"
    assert "Content-Length" in (await read(http, fake, bearer)).headers


async def test_a_slow_body_pauses_between_its_chunks(fake, http):
    """After a chunk nothing more comes before the pause is over, and the request stays open."""
    bearer = await token(http, fake.add_clinic("Milano", doctors=["Dr. Uno"]))
    fake.slow_body(3, 3600)
    headers = {"Authorization": f"Bearer {bearer}"}
    async with http.get(fake.base_url + "/equipe/doctors", headers=headers) as response:
        assert await response.content.readany() == b'[{"'
        assert fake.open_requests == 1
    await open_requests(fake, 0)


async def test_latency_comes_before_the_response_for_all_or_for_one(fake, http):
    """A clinic's own latency stands instead of the common one; for token requests there is another."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    mine, other = await token(http, milano), await token(http, roma)
    fake.latency_seconds = fake.token_latency_seconds = 3600
    fake.set_latency(0, roma)
    fake.set_latency(0, roma, on="token")
    assert (await read(http, fake, other)).status == 200
    assert (await ask(http, roma)).status == 200
    fake.set_latency(None, roma)
    fake.set_latency(None, roma, on="token")
    slow = [asyncio.create_task(read(http, fake, bearer)) for bearer in (mine, other)]
    slow += [asyncio.create_task(ask(http, clinic)) for clinic in (milano, roma)]
    await open_requests(fake, 4)
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)


# Counters


async def test_counters_distinguish_kinds_and_clinics_and_count_failures(fake, http):
    """Token and API requests are counted per clinic and in all, refused ones included."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    bearer = await token(http, milano)
    fake.fail(503, clinic=milano)
    await read(http, fake, bearer)
    await read(http, fake, bearer)
    await read(http, fake, "made.up.token")
    await ask(http, roma, authorization="Basic !!!")
    assert (fake.token_requests(milano), fake.token_requests("Roma"), fake.token_requests()) == (1, 1, 2)
    assert (fake.api_requests("Milano"), fake.api_requests(roma), fake.api_requests()) == (2, 0, 3)


async def test_credentials_with_another_secret_are_the_same_clinic_to_the_counters(fake, http):
    """A clinic is found by its client id, so that requests with a wrong secret can be counted."""
    milano = fake.add_clinic("Milano")
    wrong = attrs.evolve(milano, client_secret="wrong", name="typo")
    assert (await ask(http, wrong)).status == 401
    assert fake.token_requests(wrong) == 1


async def test_the_high_water_mark_is_the_most_requests_open_at_once(fake, http):
    """The mark rises with concurrent requests, per clinic and in all, and does not fall."""
    milano, roma = fake.add_clinic("Milano"), fake.add_clinic("Roma")
    mine, other = await token(http, milano), await token(http, roma)
    for _ in range(3):
        await read(http, fake, mine)
    assert (fake.open_requests_high_water, fake.peak_open_requests(milano)) == (1, 1)
    fake.latency_seconds = 3600
    slow = [asyncio.create_task(read(http, fake, bearer)) for bearer in (mine, mine, mine, other, other)]
    await open_requests(fake, 5)
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)
    await open_requests(fake, 0)
    fake.latency_seconds = 0
    await read(http, fake, mine)
    assert (fake.open_requests_high_water, fake.peak_open_requests(milano), fake.peak_open_requests("Roma")) == (
        5,
        3,
        2,
    )


async def test_requests_are_recorded_without_token_or_secret(fake, http):
    """A record holds method, path, query, clinic and headers; of Authorization the scheme alone."""
    milano = fake.add_clinic("Milano")
    bearer = await token(http, milano)
    await read(http, fake, bearer, "equipe/slots?day=2030-01-07", headers={"User-Agent": "test/1"})
    first, second = fake.requests
    assert (first.kind, first.method, first.clinic) == ("token", "POST", "Milano")
    assert first.headers["authorization"] == "Basic ***"
    assert (second.kind, second.path, second.query) == ("api", "/api/v1/equipe/slots", "day=2030-01-07")
    assert (second.headers["user-agent"], second.headers["authorization"]) == ("test/1", "Bearer ***")
    assert bearer not in repr(fake.requests)


# Life


async def test_everything_can_be_done_for_ten_thousand_clinics(fake, http):
    """Ten thousand clinics each have an id and a token endpoint of their own."""
    clinics = [fake.add_clinic(f"Clinic {n}") for n in range(10_000)]
    assert len({clinic.client_id for clinic in clinics}) == len({clinic.token_url for clinic in clinics}) == 10_000
    assert (await ask(http, clinics[-1])).status == 200


async def test_closing_ends_open_requests_and_leaves_no_task(http):
    """Closing cancels slow requests at once; afterwards the port is closed and no task of the server runs."""
    before = asyncio.all_tasks()
    fake = FakeArzamed()
    await fake.start()
    milano = fake.add_clinic("Milano")
    bearer = await token(http, milano)
    fake.latency_seconds = 3600
    slow = asyncio.create_task(read(http, fake, bearer))
    await open_requests(fake, 1)
    async with asyncio.timeout(60):
        await fake.aclose()
        with pytest.raises(aiohttp.ClientError):
            await slow
    await fake.aclose()
    assert asyncio.all_tasks() == before
    assert (fake.open_requests, fake.api_requests(milano)) == (0, 1)
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(http, milano)


async def test_closing_ends_idle_connections():
    """A keep-alive connection that the client leaves open is closed by the server, and without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with FakeArzamed() as fake, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*fake.origin.removeprefix("http://").split(":"))
            writer.write(b"GET /api/v1/equipe/doctors HTTP/1.1\r\nHost: fake\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
            await fake.aclose()
            assert (await reader.read()).endswith(b'{"error": "Missing token"}')
            writer.close()
            await writer.wait_closed()


async def test_a_fake_that_has_not_started_has_no_url():
    """base_url and add_clinic need the port; a fake starts once."""
    fake = FakeArzamed()
    with pytest.raises(ConfigurationError, match="no port yet"):
        _ = fake.base_url
    with pytest.raises(ConfigurationError, match="no port yet"):
        fake.add_clinic("Milano")
    await fake.aclose()
    with pytest.raises(ConfigurationError, match="starts once"):
        await fake.start()


async def test_mistakes_of_the_caller_are_configuration_errors(fake):
    """An unknown clinic, a name taken twice and numbers that make no sense are refused where they are given."""
    milano = fake.add_clinic("Milano")
    stranger = ClinicCredentials("stranger", "invented", "https://auth.example/token", name="Napoli")
    for act, words in [
        (lambda: fake.token_requests("Napoli"), "no clinic 'Napoli'"),
        (lambda: fake.fail(503, clinic=stranger), "no clinic 'Napoli'"),
        (lambda: fake.add_clinic("Milano"), "'Milano' already"),
        (lambda: fake.add_clinic("Roma", client_id=milano.client_id), "client_id"),
        (lambda: fake.add_clinic("Roma", doctors="Dr. Uno"), "list of records"),
        (lambda: fake.add_clinic("Roma", slots=5), "list of records"),
        (lambda: fake.add_clinic("Roma", slots=[{"x": object()}]), "cannot hold a object"),
        (lambda: fake.fail(200), "300 to 599"),
        (lambda: fake.add_clinic(""), "needs a name"),
        (lambda: fake.fail(503, times=0), "times"),
        (lambda: fake.fail(503, on="both"), "'api' or 'token'"),
        (lambda: fake.cut_body(-1), "after_bytes"),
        (lambda: fake.slow_body(0, 1), "chunk_bytes"),
        (lambda: fake.set_latency(-1, milano), "seconds"),
        (lambda: fake.set_latency(1, milano, on="both"), "'api' or 'token'"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            act()
