"""django-oauth-toolkit on Django's own server: client credentials, opaque tokens with introspection and revocation.

It offers no JWT for access tokens, only a hook for a generator of one's own; so this one stays as it comes.
The settings are the first line of the standard input; its end ends the server.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import django
from django.conf import settings
from django.urls import include, path

SETTINGS = json.loads(sys.stdin.readline())
LIVES = {client["client_id"]: client["lives"] for client in SETTINGS["clients"]}
ISSUED: Counter[str] = Counter()


def life(request) -> int:
    """The n-th token of a client has the n-th of its lives, then from the first again."""
    client_id = request.client.client_id
    ISSUED[client_id] += 1
    return LIVES[client_id][(ISSUED[client_id] - 1) % len(LIVES[client_id])]


settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(SETTINGS["folder"], "django.sqlite3")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={
        "SCOPES": dict.fromkeys(SETTINGS["scopes"], "invented"),
        "EXTRA_SERVER_KWARGS": {"token_expires_in": life},
    },
    # Secrets are hashed as they should be, but fast: the API's own one is checked at each introspection.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="invented",
    USE_TZ=True,
)
django.setup()

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


def main() -> None:
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0)
    applications = get_application_model().objects
    for client in SETTINGS["clients"]:
        applications.create(
            client_id=client["client_id"],
            client_secret=client["client_secret"],
            client_type="confidential",
            authorization_grant_type="client-credentials",
        )
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    ready = {
        "port": server.server_port,
        "token": "/o/token/",
        "introspection": "/o/introspect/",
        "revocation": "/o/revoke_token/",
    }
    sys.stdout.write(f"ready {json.dumps(ready)}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
