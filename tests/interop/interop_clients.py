"""The clients that each authorization server knows, and the scopes they may ask for. All invented."""

from __future__ import annotations

from attrs import frozen
from support import SECRET

from arzamed_async.credentials import READ_SCOPE

#: What the API behind the servers is called in a token, and an API that is another's.
AUDIENCE = "https://api.invented.example/v1"
OTHER_AUDIENCE = "https://billing.invented.example/v1"

#: The API wants READ_SCOPE; a client may have this one as well, which opens nothing there.
OTHER_SCOPE = "https://api.invented.example/other"
#: Known to the servers that know scopes by client, and no client's.
FORBIDDEN_SCOPE = "https://api.invented.example/forbidden"

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@frozen
class Client:
    """A client as a server stores it: its n-th token lives for the n-th of `lives` (seconds), then from the first again."""

    client_id: str
    client_secret: str = SECRET
    lives: tuple[int, ...] = (3600,)
    audience: str = AUDIENCE


ORDINARY = Client("milano-7")
#: %41 and + tell who decodes twice, or not at all.
EVERY_PRINTABLE = Client(f"id{PRINTABLE}%41+", f"{PRINTABLE}%41+")
NOT_ASCII = Client("clinica-è:ß", "segreto-inventato-ü-✓-😀")
SHORT_LIVED = Client("roma-brief", lives=(120,))
SOON_EXPIRED = Client("torino-fleeting", lives=(1, 3600))
ELSEWHERE = Client("genova-elsewhere", audience=OTHER_AUDIENCE)
#: The API itself, where it has to ask the server about a token.
API = Client("the-api", "invented-api-secret")

#: What a secret may hold that makes "form" and "raw" differ, and what does not.
PIECES = {"colon": ":", "space": " ", "plus": "+", "percent": "%!", "percent-hex": "%41", "not-ascii": "ü"}


def with_piece(name: str) -> Client:
    """Return the client whose secret holds one of PIECES."""
    return Client(f"piece-{name}", f"invented{PIECES[name]}secret")


ASCII_CLIENTS = [ORDINARY, EVERY_PRINTABLE, SHORT_LIVED, SOON_EXPIRED, ELSEWHERE, API]
ASCII_CLIENTS += [with_piece(name) for name in PIECES if name != "not-ascii"]
ALL_CLIENTS = [*ASCII_CLIENTS, NOT_ASCII, with_piece("not-ascii")]

CLIENT_SCOPES = [READ_SCOPE, OTHER_SCOPE]
