"""`python -m examples.clinic_directory`: the page on this machine."""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arzamed_async import PRODUCTION, SANDBOX, ConfigurationError, load_clinics

#: A source of a Content-Security-Policy that cannot end its directive or the header.
_SOURCE = re.compile(r"https?:(//[A-Za-z0-9.*:\[\]-]+/?)?")


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.clinic_directory",
        description="A page with the doctors of all clinics: a dozen invented ones, or your own with --clinics.",
    )
    parser.add_argument("--clinics", metavar="FILE", help="a clinics file in TOML; without it, invented clinics")
    parser.add_argument("--sandbox", action="store_true", help="read the vendor's sandbox, not production")
    parser.add_argument(
        "--photos",
        metavar="ORIGIN",
        action="append",
        help="allow photos from this origin alone (may be repeated; default with --clinics: any https)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--name",
        metavar="HOST",
        action="append",
        default=[],
        help="a name or address that browsers open the page with, other than localhost and --host (may be repeated)",
    )
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (%(default)s)")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error("--port must be from 0 to 65535")
    for each in options.photos or []:
        if not _SOURCE.fullmatch(each):
            parser.error(f"--photos takes an origin, like https://photos.example.com, not {each!r}")
    try:
        import uvicorn

        from .app import Place, create_app
        from .demo import demo_clinics
    except ModuleNotFoundError as error:
        parser.exit(2, f"the example needs {error.name}, which is not installed: python3 -m pip install '.[example]'\n")

    source = demo_clinics
    if options.clinics:
        try:
            clinics = load_clinics(options.clinics)
        except ConfigurationError as error:
            parser.exit(2, f"{error}\n")

        @asynccontextmanager
        async def own_clinics() -> AsyncIterator[Place]:
            yield Place(clinics, SANDBOX if options.sandbox else PRODUCTION, options.photos or ["https:"])

        source = own_clinics

    app = create_app(source, [options.host, *options.name])

    class Server(uvicorn.Server):
        """A server that ends the streams of its browsers instead of waiting for them."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.state.session.aclose()
            await super().shutdown(sockets)

    config = uvicorn.Config(app, host=options.host, port=options.port, ws="none", timeout_graceful_shutdown=2)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands Ctrl-C on when it has ended
        Server(config).run()


if __name__ == "__main__":
    main()
