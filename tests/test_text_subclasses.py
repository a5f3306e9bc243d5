"""Text of a subclass of str (an enum's, a TOML library's, a hostile one) is kept and sent as what was checked."""

from __future__ import annotations

import enum
import pickle
from typing import Any

import aiohttp
import pytest
from support import SECRET

from arzamed_async import ArzamedSession, ClinicCredentials, Doctor, Endpoint, Endpoints
from arzamed_async.testing import FakeArzamed

ELSEWHERE = "https://evil.invented.example/\r\nInvented: header"


class Lying(str):
    """Text that is checked as one thing, and becomes another when it is formatted, converted or cut."""

    __slots__ = ()

    def __str__(self) -> str:
        return ELSEWHERE

    def __format__(self, _spec: str) -> str:
        return ELSEWHERE

    def __len__(self) -> int:
        return 1

    def isascii(self) -> bool:
        return True

    def split(self, *_arguments: Any) -> Any:
        return ["plain"]

    def encode(self, *_arguments: Any) -> bytes:
        return ELSEWHERE.encode()


class Named(str, enum.Enum):  # noqa: UP042 - a StrEnum is harmless
    """As settings often are: str() of a member is its name."""

    CLIENT_ID = "invented-id"
    SECRET = SECRET
    URL = "https://auth.invented.example/token"
    NAME = "Milano"


def test_credentials_keep_plain_text() -> None:
    """Each field is what was checked, the secret is masked, and the identity is that of the plain text."""
    plain = ClinicCredentials("invented-id", SECRET, "https://auth.invented.example/token", name="Milano", scope="read")
    for kind in (Lying, str):
        texts = [kind(text) for text in (plain.client_id, SECRET, plain.token_url, "Milano", "read")]
        given = ClinicCredentials(*texts)
        assert (given, given.name) == (plain, "Milano")
        assert repr(given) == repr(plain)
        assert pickle.loads(pickle.dumps(given)) == plain
    assert repr(ClinicCredentials(*Named, scope="read")) == repr(plain)
    fields = ("client_id", "token_url", "name", "scope")
    assert {type(getattr(given, field)) for field in fields} == {str}


@pytest.mark.asyncio
@pytest.mark.parametrize("http", [None, aiohttp.ClientSession])
async def test_what_was_checked_is_sent(http: type[aiohttp.ClientSession] | None) -> None:
    """In both lanes the secret, the token and the path go where the checked text says, and the texts show that."""
    async with FakeArzamed() as fake:
        added = fake.add_clinic("Milano", doctors=["Dr. Inventata Uno"])
        assert isinstance(added.client_secret, str)
        lying = ClinicCredentials(*map(Lying, (added.client_id, added.client_secret, added.token_url, "Milano")))
        async with ArzamedSession(base_url=Lying(fake.base_url), http=http) as session:
            clinic = session.clinic(lying)
            assert (
                len(await clinic.resource(Endpoint(Lying("equipe/doctors"), Doctor)).list({Lying("a"): Lying("b")}))
                == 1
            )
            response = await clinic.get(Lying("equipe/doctors"), route=Lying("doctors"))
            assert (response.status, repr(clinic)) == (200, "<Clinic Milano>")


def test_paths_are_kept_plain() -> None:
    """A path of an endpoint is in errors and events: it is plain text, too."""
    assert type(Endpoint(Lying("equipe/doctors"), Doctor).path) is str
    assert type(Endpoints(slots=Lying("equipe/slots")).slots) is str
