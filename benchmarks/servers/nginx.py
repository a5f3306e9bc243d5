"""An nginx in front of the benchmark's server: its limit, its refusals. Configuration and files are in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Nginx", "nginx", "nginx_program"]

START_SECONDS = 10.0
CONFIGURATION = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr crit;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  log_format status "$status";
  access_log {folder}/access.log status;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  limit_req_zone $binary_remote_addr zone=api:1m rate=50r/s;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    keepalive_requests 100000;
    location / {{
      limit_req zone=api burst=20 nodelay;
      {limit_req_status}
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


def nginx_program() -> str | None:
    """Return the path of nginx, None if it is not installed."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


class Nginx:
    """What the benchmark knows of it."""

    def __init__(self, port: int, log: Path) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self._log = log

    def statuses(self) -> Counter[int]:
        """Return how many responses had each status."""
        return Counter(map(int, self._log.read_text(encoding="ascii").split()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


@contextlib.contextmanager
def nginx(program: str, upstream: int, status: int) -> Iterator[Nginx]:
    """Start nginx in front of this port; stop it by its process id, and remove its folder. 503 is its default status."""
    with tempfile.TemporaryDirectory(prefix="arzamed-nginx-") as name:
        folder, port = Path(name), _free_port()
        text = CONFIGURATION.format(
            folder=folder, port=port, upstream=upstream,
            user="user root;" if os.geteuid() == 0 else "",  # else the workers take a user that cannot enter the folder
            limit_req_status="" if status == 503 else f"limit_req_status {status};",
        )  # fmt: skip
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        with subprocess.Popen([program, "-p", name, "-c", str(folder / "nginx.conf"), "-e", "stderr"]) as process:
            try:
                _wait_for(process, port)
                yield Nginx(port, folder / "access.log")
            finally:
                process.terminate()
                process.wait(10)
