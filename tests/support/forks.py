"""Runs `fork_kinds.py` against a server that knows each clinic by its token."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import re
import ssl
import sys
from pathlib import Path
from typing import Any

import trustme

from support import RawServer, Request, json_answer, token_answer

PROGRAM = Path(__file__).with_name("fork_kinds.py")
#: How often each kind forks. More for a longer look: ARZAMED_FORK_RUNS=50.
RUNS = int(os.environ.get("ARZAMED_FORK_RUNS", "6"))
SEED = int(os.environ.get("ARZAMED_FORK_SEED", "1"))


class Named(RawServer):
    """Each clinic's token and doctors have its name."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        context = None
        self.ca: str | None = None
        if tls:
            authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self.ca = str(folder / "ca.pem")
            authority.cert_pem.write_to_path(self.ca)
        super().__init__(self.named, tls=context)

    async def named(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Respond with the name of the clinic."""
        await asyncio.sleep(0.002)
        if request.is_token:
            writer.write(token_answer(request.target.rpartition("/")[2]))
            return
        name = request.headers["authorization"].removeprefix("Bearer ")
        writer.write(json_answer(200, [{"name": name, "profileImage": None}]))

    def most_tokens(self, kind: str) -> int:
        """Return the most token requests that any clinic with such a name has had."""
        names = [request.target.rpartition("/")[2] for request in self.requests if request.is_token]
        counts = collections.Counter(name for name in names if re.fullmatch(kind + r"\d*", name))
        return max(counts.values(), default=0)


async def run_forks(folder: Path, how: str, *, tls: bool = False, **plan: Any) -> None:
    """Fork in one way, `RUNS` times. No record is another clinic's, no call fails, and no token is requested again."""
    async with Named(folder, tls=tls) as server:
        given = {"how": how, "url": server.origin, "ca": server.ca, "runs": RUNS, "seed": SEED, **plan}
        # Warnings are errors. Only what is the caller's own to close may be left open by a child.
        given_to_it = plan.get("lane") == "given" or plan.get("store", "").startswith(("redis", "client"))
        warnings = ("-W", "error", *(("-W", "ignore::ResourceWarning") if given_to_it else ()))
        program = await asyncio.create_subprocess_exec(
            sys.executable, *warnings, str(PROGRAM), json.dumps(given),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, errors = await asyncio.wait_for(program.communicate(), 60 + 5 * RUNS)
        finally:
            if program.returncode is None:
                program.kill()
        # A child that unwinds its copy of the parent's loop ends what redis-py was doing there, which asyncio.run may log.
        cut_off = b"unhandled exception during asyncio.run() shutdown\ntask: <Task finished"
        if not (given_to_it and errors.startswith(cut_off) and b"coro=<Redis.execute_command()" in errors):
            assert errors.decode() == "", given
        assert json.loads(out) == {"foreign": 0, "failed": []}, given
        assert server.most_tokens("a") == server.most_tokens("kept") == 1, given
        new = 0 if plan.get("lane") == "given" else 1  # with a given session a child's calls are refused
        assert server.most_tokens("new") == new, given
        # The request that is under way in the parent is no use to a child: only a store shares its token.
        assert server.most_tokens("flight") <= (1 if plan.get("store") else 2), given
