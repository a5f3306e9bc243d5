"""A real Redis on a free loopback port, which tests may stop, kill, pause and start again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import redis

__all__ = ["RedisServer"]

_BOUND_SECONDS = 60.0


def free_port() -> int:
    """Return a port that nobody has, and from which a member of a cluster can count 10,000 up to its second one."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port <= 55_535:
            return port


class RedisServer:
    """One redis-server process at a time, on one port for good. `client` is a client for the tests' own use."""

    def __init__(self, folder: Path, *options: str, tls: dict[str, str] | None = None, password: str = "") -> None:
        self.program = shutil.which("redis-server") or ""
        if not self.program:
            pytest.skip("redis-server is not here (Debian: apt-get install redis-server)")
        self.folder = folder
        self.options = options
        self.tls = tls or {}
        self.password = password
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    def __enter__(self) -> RedisServer:
        for _ in range(10):  # another process may take the port before the server does
            self.port = free_port()
            try:
                self.start()
                return self
            except RuntimeError:
                self.kill()  # and forget the client of that port
            except BaseException:
                self.kill()
                raise
        raise RuntimeError(f"redis-server does not start:\n{self._log()}")

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Its URL, with time enough for a slow machine."""
        return f"{self.plain_url}?socket_connect_timeout=60&socket_timeout=60"

    @property
    def plain_url(self) -> str:
        """Its URL, with the time that a store gives it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client that has no limits, as the superuser."""
        if self._client is None:
            tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": self.tls["ca"]} if self.tls else {}
            self._client = redis.Redis(port=self.port, host="127.0.0.1", password=self.password or None, **tls)
        return self._client

    def start(self) -> None:
        """Start it; RuntimeError where it ends at once."""
        self._process = subprocess.Popen(self._command())
        end = time.monotonic() + _BOUND_SECONDS
        while True:
            if self._process.poll() is not None:
                raise RuntimeError("redis-server has ended")
            with contextlib.suppress(redis.RedisError):
                self.client.ping()
                return
            assert time.monotonic() < end, self._log()
            time.sleep(0.005)

    def _command(self) -> list[str]:
        port = ["--port", str(self.port)]
        if self.tls:
            port = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            port += [word for name in ("cert", "key", "ca") for word in (_TLS_OPTIONS[name], self.tls[name])]
        secret = ["--requirepass", self.password] if self.password else []
        kept = ["--save", "", "--appendonly", "no", "--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        return [self.program, "--bind", "127.0.0.1", *port, *kept, *secret, *self.options]

    def kill(self) -> None:
        """Kill it (-9), paused or not; all that it kept is lost."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it stand still: its sockets stay open, and nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def connections(self) -> int:
        """Return how many connections it has, but for the tests' own."""
        return len(self.client.client_list()) - 1

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""


_TLS_OPTIONS = {"cert": "--tls-cert-file", "key": "--tls-key-file", "ca": "--tls-ca-cert-file"}
