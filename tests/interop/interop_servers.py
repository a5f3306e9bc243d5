"""Third-party authorization servers, each a process of its own on a port that the system chose."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import pytest
from attrs import define, field, frozen
from interop_clients import ALL_CLIENTS, ASCII_CLIENTS, CLIENT_SCOPES, FORBIDDEN_SCOPE, Client

HERE = Path(__file__).parent
NODE_FOLDER = HERE / "oidc_provider"
#: Bounds for a machine that is very slow: nothing takes a hundredth of that.
READY_SECONDS = 120
INSTALL_SECONDS = 300
STOP_SECONDS = 30


@frozen
class Kind:
    """One of the servers: what it is made of, and what it makes."""

    name: str
    modules: tuple[str, ...] = ()
    script: str = ""
    jwt: bool = True
    clients: tuple[Client, ...] = tuple(ALL_CLIENTS)


KINDS = {
    kind.name: kind
    for kind in [
        # It stores and takes printable ASCII only, as RFC 6749 appendix A has it.
        Kind("oidc-provider", clients=tuple(ASCII_CLIENTS)),
        Kind("authlib", ("authlib", "flask", "joserfc"), "authlib_server.py"),
        Kind("django", ("django", "oauth2_provider"), "django_server.py", jwt=False),
    ]
}


def wanted_node_version() -> str:
    """Return the version of oidc-provider that package.json pins."""
    package = json.loads((NODE_FOLDER / "package.json").read_text(encoding="utf-8"))
    return package["dependencies"]["oidc-provider"]


def installed_node_version() -> str:
    """Return the version of oidc-provider that is installed; nothing if none is."""
    package = NODE_FOLDER / "node_modules" / "oidc-provider" / "package.json"
    return json.loads(package.read_text(encoding="utf-8"))["version"] if package.exists() else ""


def install_node_modules(npm: str) -> None:
    """Install what package-lock.json says into an ignored folder beside it; scripts of packages are not run.

    It is made elsewhere and moved, so that an installation is whole or not there.
    """
    with tempfile.TemporaryDirectory(dir=NODE_FOLDER, prefix=".install-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE_FOLDER / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            pytest.fail(f"npm ci failed:\n{done.stdout}{done.stderr}")
        shutil.rmtree(NODE_FOLDER / "node_modules", ignore_errors=True)
        Path(folder, "node_modules").rename(NODE_FOLDER / "node_modules")


def command(kind: Kind) -> list[str]:
    """Return how the server is started; skip the test, with a word, where it cannot be."""
    if kind.script:
        missing = [module for module in kind.modules if importlib.util.find_spec(module) is None]
        if missing:
            pytest.skip(f"{kind.name} needs the extra `interop`: {', '.join(missing)} not found")
        return [sys.executable, str(HERE / kind.script)]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"{kind.name} needs node and npm: {'node' if node is None else 'npm'} not found")
    if installed_node_version() != wanted_node_version():
        install_node_modules(npm)
    return [node, str(NODE_FOLDER / "server.mjs")]


@define
class Server:
    """A running server. `ready` is what it said once it listened: its port, and the paths of its endpoints."""

    kind: Kind
    process: subprocess.Popen[str]
    log: IO[str]
    ready: Mapping[str, Any] = field(factory=dict)

    @property
    def port(self) -> int:
        """The port it chose."""
        return self.ready["port"]

    @property
    def origin(self) -> str:
        """Its origin, which is its name as an issuer, too."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, endpoint: str) -> str:
        """Return the URL of one of its endpoints."""
        return self.origin + self.ready[endpoint]

    def wait_until_ready(self) -> None:
        """Wait for its word that it listens."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            said = Path(self.log.name).read_text(encoding="utf-8", errors="replace")
            line = next((line for line in said.splitlines(keepends=True) if line.startswith("ready ")), "")
            if line.endswith("\n"):
                self.ready = json.loads(line.removeprefix("ready "))
                return
            if ended:
                break
            time.sleep(0.02)
        pytest.fail(f"{self.kind.name} did not start:\n{said}")

    def stop(self) -> None:
        """End this process, and no other."""
        assert self.process.stdin is not None
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.log.close()


class Servers:
    """Starts each server at the first wish, and stops all in the end. (A server also ends when this process does.)"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Server] = {}

    def __getitem__(self, name: str) -> Server:
        if name not in self._running:
            self._running[name] = self._start(KINDS[name])
        return self._running[name]

    def _start(self, kind: Kind) -> Server:
        folder = self._folder / kind.name
        folder.mkdir(exist_ok=True)
        arguments = command(kind)
        log = (folder / "log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        server = Server(kind, process, log)
        settings = {
            "clients": [attrs.asdict(client) for client in kind.clients],
            "scopes": CLIENT_SCOPES,
            "other_scopes": [FORBIDDEN_SCOPE],
            "folder": str(folder),
        }
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
            server.wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        """Stop those that run."""
        while self._running:
            self._running.popitem()[1].stop()
