"""`arzamed init`: writes a clinics file to fill in."""

from __future__ import annotations

import shlex
from pathlib import Path

from .files import write_private
from .messages import StdoutReport
from .sources import DEFAULT_FILE

__all__ = ["TEMPLATE", "write_template"]

TEMPLATE = """\
# The clinics that arzamed reads: a table for each, under any name.
# Keep this file to yourself (mode 0600) and out of version control.
#
# A clinic's administrator creates the key (Equipe Settings, API Keys) and gives you
# client_id, client_secret and token_url.

[clinics.example]
client_id = "the client_id"
token_url = "https://auth.example.com/oauth2/token"

# The secret: exactly one of these three.
client_secret_env = "EXAMPLE_SECRET"          # the name of an environment variable
# client_secret_file = "example.secret"       # a file that holds the secret and nothing else
# client_secret = "the secret itself"

# Rarely needed:
# scope = "https://api.nextgen.arzamed.com/read"
# basic_encoding = "raw"       # for a token endpoint that does not follow RFC 6749 2.3.1

# The next clinic:
# [clinics.roma]
# client_id = "..."
# token_url = "https://..."
# client_secret_env = "ROMA_SECRET"
"""


def write_template(path: Path, *, force: bool) -> int:
    """Write the file, and print the next steps."""
    write_private(path, TEMPLATE, replace=force, remedy="--force replaces it")
    option = "" if path == DEFAULT_FILE else f" --clinics {shlex.quote(str(path))}"
    lines = StdoutReport()
    lines.write(f"wrote {path} (mode 0600). Next:")
    lines.write("  1. fill in each clinic's client_id, token_url and secret")
    lines.write(f"  2. arzamed check{option}")
    lines.write(f"  3. arzamed doctors{option}")
    return 0
