"""The server of the benchmarks, in a process of its own: fixed bytes, as fast as a socket takes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator

from servers.process import serve_until_the_starter_ends, server_process

TOKEN = json.dumps({"access_token": "invented", "token_type": "Bearer", "expires_in": 3600}).encode()


def _pieces(block: bytes, records: int, block_records: int) -> Iterator[bytes]:
    """Yield a list of `records` records, made of one block repeated."""
    yield b"["
    whole, rest = divmod(records, block_records)
    for n in range(whole):
        yield b"," + block if n else block
    if rest:
        part = b",".join(
            json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode()
            for each in json.loads(b"[" + block + b"]")[:rest]
        )
        yield b"," + part if whole else part
    yield b"]"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    from tools.records import BLOCK, block, hostile

    blocks = _blocks
    for kind in ("doctors", "people"):
        if kind not in blocks:
            blocks[kind] = block(kind)
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if length:
                await reader.readexactly(int(length[1]))
            match = re.match(rb"GET /(\w+)/(\d+) ", head)
            if match is None:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(TOKEN), TOKEN))
                continue
            kind, records = match[1].decode(), int(match[2])
            if kind.startswith("drip_"):  # a hostile body of this size, each byte in its own chunk
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                body = hostile(kind[5:], records)
                for start in range(0, len(body), 8192):
                    writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body[start : start + 8192]))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
                continue
            total = sum(map(len, _pieces(blocks[kind], records, BLOCK)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            for piece in _pieces(blocks[kind], records, BLOCK):
                writer.write(piece)
                await writer.drain()
    writer.close()


_blocks: dict[str, bytes] = {}


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=1 << 20)
    await serve_until_the_starter_ends(server.sockets[0].getsockname()[1])


def running_server(core: int | None = None) -> contextlib.AbstractContextManager[int]:
    """Start the server, on that core if one is given; give its port; stop it by its process id."""
    return server_process("servers.lists", core=core)


if __name__ == "__main__":
    asyncio.run(_main())
