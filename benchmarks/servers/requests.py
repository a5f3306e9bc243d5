"""The server of the request path's benchmark, in its own process and on its own core: fixed bytes for every client.

The response to a POST is a token. Any other is a list of doctors, and the first part of the path chooses its form; without
one it is a list of 20 with a short head. Only the end of the head and the length of a body are parsed, so that the
client is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from servers.clinics import DOCTORS, GOOD, TOKEN_BYTES, response
from servers.process import serve_until_the_starter_ends, server_process

__all__ = ["DOCTORS", "HEAD_BYTES", "MANY", "RESPONSES", "TOKEN", "request_server"]

TOKEN = "invented." + "x" * (TOKEN_BYTES - 9)
#: A longer list, still in one read.
MANY = 200
#: As large as the head of a response that has passed a proxy or two.
HEAD_BYTES = 450
_GRANT = response(200, b'{"access_token":"%b","token_type":"Bearer","expires_in":3600}' % TOKEN.encode())
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\nServer: invented\r\nContent-Type: application/json\r\n"
    b"Cache-Control: no-store\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
    b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nReferrer-Policy: no-referrer\r\n"
)


def _responses() -> dict[bytes, bytes]:
    body = GOOD.partition(b"\r\n\r\n")[2]
    start = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n"
    packed = gzip.compress(body, mtime=0)
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    padding = b"X-Request-Id: %b\r\n" % (b"0" * (HEAD_BYTES - len(_HEAD + length) - len(b"X-Request-Id: \r\n")))
    many = [
        {"name": f"Dr. Inventata Numero {n}", "profileImage": f"https://images.invented.example/{n:06}.png"}
        for n in range(MANY)
    ]
    return {
        b"chunked": start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        b"head": _HEAD + padding + length + body,
        b"gzip": start + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed),
        b"many": response(200, json.dumps(many, separators=(",", ":")).encode()),
    }


#: By the first part of the path.
RESPONSES = _responses()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET ") and not self.buffer and data.find(b"\r\n\r\n") == len(data) - 4:
            self.transport.write(RESPONSES.get(data[5 : data.find(b"/", 5)], GOOD))
            return
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.buffer, 0, end + 2)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < total:
                return
            get = RESPONSES.get(self.buffer[5 : self.buffer.find(b"/", 5)], GOOD)
            self.transport.write(_GRANT if self.buffer.startswith(b"POST ") else get)
            self.buffer = self.buffer[total:]


async def _main(certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024, ssl=context)
    await serve_until_the_starter_ends(server.sockets[0].getsockname()[1])


@contextlib.contextmanager
def request_server(core: int | None = None, certificate: Path | None = None) -> Iterator[str]:
    """Start the server, on that core if one is given; give its origin; stop it by its process id.

    With a certificate (its key, itself and its issuers in one file) it speaks TLS.
    """
    arguments = [str(certificate)] if certificate else []
    with server_process("servers.requests", *arguments, core=core) as port:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{port}"


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1] if len(sys.argv) > 1 else None))
