"""Authlib's authorization server on Flask: client credentials, RS256 JWTs as RFC 9068 has them.

The settings are the first line of the standard input; its end ends the server.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import threading

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, g
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

SETTINGS = json.loads(sys.stdin.readline())
KEYS = KeySet([RSAKey.generate_key(2048, {"kid": "invented-key", "alg": "RS256", "use": "sig"})])


class Client(ClientMixin):
    def __init__(self, client_id: str, client_secret: str, lives: list[int], audience: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.lives = lives
        self.audience = audience
        self.issued = 0

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str) -> str | None:
        return scope if set(scope.split()) <= set(SETTINGS["scopes"]) else None

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


CLIENTS = {client["client_id"]: Client(**client) for client in SETTINGS["clients"]}


def life(client: Client, grant_type: str) -> int:
    """The n-th token of a client has the n-th of its lives, then from the first again. (Asked for twice a token.)"""
    if "life" not in g:
        g.life = client.lives[client.issued % len(client.lives)]
        client.issued += 1
    return g.life


class Tokens(JWTBearerTokenGenerator):
    def get_jwks(self) -> KeySet:
        return KEYS

    def get_audiences(self, client: Client, user: object, scope: str) -> str:
        return client.audience


app = Flask("authlib_server")
app.config["OAUTH2_SCOPES_SUPPORTED"] = [*SETTINGS["scopes"], *SETTINGS["other_scopes"]]
authorization = AuthorizationServer(app, CLIENTS.get, lambda token, request: None)
authorization.register_grant(grants.ClientCredentialsGrant)


@app.post("/oauth/token")
def token():
    return authorization.create_token_response()


@app.get("/jwks.json")
def jwks():
    return KEYS.as_dict(private=False)


def main() -> None:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    issuer = f"http://127.0.0.1:{server.server_port}"
    authorization.register_token_generator("default", Tokens(issuer=issuer, expires_generator=life))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    ready = {"port": server.server_port, "token": "/oauth/token", "jwks": "/jwks.json"}
    sys.stdout.write(f"ready {json.dumps(ready)}\n")
    sys.stdout.flush()
    server.serve_forever()


main()
