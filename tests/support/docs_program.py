"""Run a program of the docs as it stands, over a FakeArzamed: `python docs_program.py PROGRAM CLINICS [PRELUDE]`.

Nothing in the program is changed. What differs from a user's run: the default of ArzamedSession's base_url leads to the
fake, and the clinics file, as the page shows it, has the fake's token URLs. It is written where the program is run.
Needs nothing but the package, so that it also serves to try an installed wheel.
"""

from __future__ import annotations

import os
import runpy
import sys
import tomllib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from arzamed_async import ArzamedSession
from arzamed_async.testing import FakeArzamed

__all__ = ["default_base_url", "write_clinics"]


def write_clinics(fake: FakeArzamed, text: str, folder: Path, environment: MutableMapping[str, str]) -> None:
    """Let the fake serve the clinics of this clinics file; write it to `folder`, and what it refers to."""
    for name, clinic in tomllib.loads(text)["clinics"].items():
        secret = clinic.get("client_secret") or f"invented-secret-{name}"
        if variable := clinic.get("client_secret_env"):
            environment[variable] = secret
        if file := clinic.get("client_secret_file"):
            text = text.replace(f'"{file}"', f'"{name}.secret"')
            (folder / f"{name}.secret").write_text(secret, encoding="utf-8")
        served = fake.add_clinic(name, client_id=clinic["client_id"], client_secret=secret)
        assert text.count(f'"{clinic["token_url"]}"') == 1, f"the token URL of {name} is not its own"
        text = text.replace(f'"{clinic["token_url"]}"', f'"{served.token_url}"')
    (folder / "clinics.toml").write_text(text, encoding="utf-8")


@contextmanager
def default_base_url(url: str) -> Iterator[None]:
    """Let sessions that are given no base_url use this one."""
    defaults = ArzamedSession.__init__.__kwdefaults__
    before, defaults["base_url"] = defaults["base_url"], url
    try:
        yield
    finally:
        defaults["base_url"] = before


def main(program: str, clinics: str, prelude: str = "") -> None:
    """Run the program."""
    with FakeArzamed() as fake, default_base_url(fake.base_url):
        write_clinics(fake, Path(clinics).read_text(encoding="utf-8"), Path.cwd(), os.environ)
        exec(prelude, {"fake": fake})
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
