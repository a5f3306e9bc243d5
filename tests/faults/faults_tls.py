"""Faults of TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import fault_tls
from fault_model import Fault, broken, reused, themed
from fault_server import Act, Wire
from faults_connection import close, reset, silence, within_body


def presenting(context: Callable[[], ssl.SSLContext]) -> Act:
    """Return the act of a server that presents such a certificate."""

    async def act(wire: Wire) -> None:
        await wire.speak_tls(context())

    return act


async def plaintext(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    wire.close()


async def garbage(wire: Wire) -> None:
    await wire.reader.read(1)
    await wire.send(bytes(range(200)))
    wire.close()


async def hung_up(wire: Wire) -> None:
    await wire.reader.read(1)
    await asyncio.sleep(0.01)
    wire.close()


def certificate(name: str, context: Callable[[], ssl.SSLContext]) -> Fault:
    """Return the fault of a certificate that does not verify: a repeat cannot help, and there is none."""
    return Fault(
        name=f"certificate {name}", act=presenting(context), stage="accept", tls=True, expect=broken(1, early=True)
    )


def handshake(name: str, act: Act) -> Fault:
    """Return the fault of a handshake that fails otherwise."""
    return Fault(name=name, act=act, stage="accept", tls=True, expect=broken(early=True))


TLS = themed(
    "TLS",
    certificate("of an unknown authority", fault_tls.untrusted),
    certificate("that has expired", fault_tls.expired),
    certificate("that is not valid yet", fault_tls.not_yet_valid),
    certificate("for another host", fault_tls.other_host),
    handshake("plaintext on a TLS port", plaintext),
    handshake("garbage instead of a handshake", garbage),
    handshake("closed in the handshake", hung_up),
    handshake("reset before the handshake", reset),
    handshake("silence instead of a handshake", silence),
    Fault(name="TLS on a plaintext port", act=presenting(fault_tls.good), stage="accept", expect=broken(early=True)),
    Fault(name="half a body over TLS, closed", act=within_body("close"), tls=True, expect=broken(body=True)),
    Fault(name="half a body over TLS, reset", act=within_body("reset"), tls=True, expect=broken(body=True)),
    Fault(name="closed over TLS under the second request", act=close, tls=True, warm=True, expect=reused(broken())),
)
