"""A module that servers import before they fork, with a session that has been used: idle connections are left open.

Its names are what gunicorn and multiprocessing load; `main` is such a server itself, and prints JSON. The environment
variable ARZAMED_FORK_URL is the address of the clinics.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import warnings
from typing import Any

from aiohttp import web

from arzamed_async import ArzamedError, ArzamedSession, ClinicCredentials, RetryPolicy

URL = os.environ["ARZAMED_FORK_URL"]
#: The clinics whose tokens the parent has, and to each of which it has had a connection.
KEPT = tuple(f"kept{number}" for number in range(4))
LOADED_BY = os.getpid()
CHILDREN_AT_ONCE = 3

# The session is left open on purpose: aiohttp's note of that, where a process ends, is no failure.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Unclosed client session"))

session = ArzamedSession(base_url=URL, retry=RetryPolicy.none())
loop = asyncio.new_event_loop()  # it stays, stopped, with what is open


async def found_at(name: str) -> str:
    """Read a clinic; return "own", or what is wrong."""
    clinic = session.clinic(ClinicCredentials(name, "invented", f"{URL}/token/{name}", name=name))
    try:
        doctors = await clinic.doctors.list()
    except ArzamedError as error:
        return f"{type(error).__name__}: {error}"
    return "own" if [doctor.name for doctor in doctors] == [name] else "foreign"


async def read_all(times: int = 1) -> list[str]:
    """Read all clinics of the parent's at once, some times; return what was found."""
    return [each for _ in range(times) for each in await asyncio.gather(*map(found_at, KEPT))]


assert set(loop.run_until_complete(read_all(2))) == {"own"}


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read all clinics in a worker."""
    if scope["type"] != "http":
        return
    body = json.dumps(await reported()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def reported(times: int = 1) -> dict[str, Any]:
    """Return what this process finds, and which one it is."""
    found = await read_all(times)
    found.append(await found_at(f"new{os.getpid()}"))
    return {"process": os.getpid(), "forked": os.getpid() != LOADED_BY, "found": found}


async def respond(request: web.Request) -> web.Response:
    """Read all clinics in a worker."""
    response = web.json_response(await reported())
    response.force_close()
    return response


def application() -> web.Application:
    """Return the same for aiohttp's server."""
    app = web.Application()
    app.router.add_get("/", respond)
    return app


def report_to(pipe: Any) -> None:
    """Be a process of multiprocessing."""
    pipe.send(asyncio.run(reported(5)))


def by_multiprocessing(how: str, runs: int) -> list[dict[str, Any]]:
    """Start processes, some at once, while this one reads on, too. Return what each has found."""
    context: Any = multiprocessing.get_context(how)
    if how == "forkserver":
        context.set_forkserver_preload(["preloaded"])
    all_found = []
    for first in range(0, runs, CHILDREN_AT_ONCE):
        pipes, processes = [], []
        for _ in range(min(CHILDREN_AT_ONCE, runs - first)):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=report_to, args=(theirs,))
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        all_found.append({"process": os.getpid(), "forked": False, "found": loop.run_until_complete(read_all(5))})
        all_found += [pipe.recv() for pipe in pipes]
        for process in processes:
            process.join()
    return all_found


async def serve(listener: socket.socket) -> None:
    """Serve until a signal ends it."""
    runner, ended = web.AppRunner(application()), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await ended.wait()
    await runner.cleanup()


async def visit(port: int) -> dict[str, Any]:
    """Let one of the workers read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return json.loads(body)  # type: ignore[no-any-return]


async def visit_all(port: int) -> list[dict[str, Any]]:
    """Visit a server, and read at the same time, until all its children have responded."""
    all_found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len({each["process"] for each in all_found if each["forked"]}) < CHILDREN_AT_ONCE:
            own, *theirs = await asyncio.gather(read_all(2), *(visit(port) for _ in range(2 * CHILDREN_AT_ONCE)))
            all_found += [{"process": os.getpid(), "forked": False, "found": own}, *theirs]
    return all_found


def prefork(how: str, runs: int) -> list[dict[str, Any]]:
    """Be a server with one listening socket and some children that accept, made again until there were enough."""
    all_found: list[dict[str, Any]] = []
    for _ in range(0, runs, CHILDREN_AT_ONCE):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            children = []
            for _ in range(CHILDREN_AT_ONCE):
                if not (child := os.fork()):
                    asyncio.run(serve(listener))
                    sys.exit()
                children.append(child)
            all_found += loop.run_until_complete(visit_all(listener.getsockname()[1]))
            for child in children:
                os.kill(child, signal.SIGTERM)
            for child in children:
                os.waitpid(child, 0)
    return all_found


WAYS = {"forkserver": by_multiprocessing, "spawn": by_multiprocessing, "fork": by_multiprocessing, "prefork": prefork}


def main(how: str, runs: int) -> None:
    """Fork, and report."""
    with warnings.catch_warnings():  # of threads, from Python 3.12 on
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        all_found = WAYS[how](how, runs)
    loop.run_until_complete(session.aclose())
    loop.close()
    sys.stdout.write(json.dumps(all_found))
