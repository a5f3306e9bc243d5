"""What is imported when: rare things lazily, but nothing while a call is running."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys

import pytest
from support import RawServer, Request, answer, json_answer, token_answer

from arzamed_async import Lease

#: Makes a session, then reads, and prints the modules that were imported meanwhile.
PROGRAM = """
import asyncio, json, sys, warnings
from arzamed_async import ArzamedSession, BreakerPolicy, ClinicCredentials, Endpoint, NotFoundError

{before}

async def main(base_url, origin):
    credentials = [
        ClinicCredentials(f"id-{{n}}", "invented-secret", f"{{origin}}/token", name=f"Clinic {{n}}") for n in range(2)
    ]
    async with ArzamedSession(base_url=base_url{options}) as session:
        clinic = session.clinic(credentials[0])
        loaded = set(sys.modules)
        {call}
        print(json.dumps(sorted(set(sys.modules) - loaded)))

warnings.simplefilter("ignore")
asyncio.run(main(*sys.argv[1:]))
"""
LIST = "assert len(await clinic.doctors.list()) == 3"
OBSERVED = "observers=[lambda event: None]"
TRACER = """
class Tracer:
    def __call__(self, event): pass
    def start_span(self, work, parent): return None
"""
ROOM = """
import attrs, decimal, enum, uuid

@attrs.frozen
class Room:
    name: str
    price: decimal.Decimal | None = None
"""
STORE = "from arzamed_async.testing import MemoryTokenStore"
FAN_OUT = "outcomes = [each async for each in session.fan_out(credentials, lambda clinic: clinic.doctors.list())]"
MERGE = (
    "merge = session.merge(credentials, lambda clinic: clinic.doctors.stream())"  # imports what a merge needs
    "; loaded = set(sys.modules); merged = [each async for each in merge]"
)
#: The call, the session's options, and what the program does before.
FIRST_CALLS = {
    "list": (LIST, "", ""),
    "stream": ("assert len([each async for each in clinic.doctors.stream()]) == 3", "", ""),
    "batches": ("assert [len(each) async for each in clinic.doctors.batches()] == [3]", "", ""),
    "get": ("assert len((await clinic.get('equipe/doctors')).json()) == 3", "", ""),
    "token": ("assert (await clinic.token()).expires_at.tzinfo", "", ""),
    "slots": ("assert len(await clinic.slots.list()) == 3", "", ""),
    "a class with a Decimal": (
        "assert len(await clinic.resource(Endpoint('equipe/rooms', Room)).list()) == 3",
        "",
        ROOM,
    ),
    "observers": (LIST, OBSERVED, ""),
    "an observed stream": ("assert len([each async for each in clinic.doctors.stream()]) == 3", OBSERVED, ""),
    "tracers": (LIST, "observers=[Tracer()]", TRACER),
    "a token store": (LIST, "token_store=MemoryTokenStore()", STORE),
    "coalesced": (LIST, "coalesce=True", ""),
    "breaker": (LIST, "breaker=BreakerPolicy()", ""),
    "fan-out": (f"{FAN_OUT}; assert len(outcomes) == 2", "", ""),
    "merge": (f"{MERGE}; assert len(merged) == 8", "", ""),
}


async def imported(server: RawServer, call: str, options: str, before: str) -> list[str]:
    """Return the modules that a call imports, in a new process."""
    program = PROGRAM.format(call=call, options=options and f", {options}", before=before)
    arguments = (sys.executable, "-c", program, server.base_url, f"http://127.0.0.1:{server.port}")
    run = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    printed, _ = await run.communicate()
    assert run.returncode == 0
    names: list[str] = json.loads(printed)
    return names


@pytest.mark.parametrize("name", FIRST_CALLS)
@pytest.mark.asyncio
async def test_a_first_call_imports_nothing(name: str) -> None:
    """All that a call needs was imported with the package, or when the session was created: it reads no file then."""
    async with RawServer() as server:
        assert await imported(server, *FIRST_CALLS[name]) == []


@pytest.mark.asyncio
async def test_a_first_retry_imports_nothing() -> None:
    """The first retries, of the token and of the read, import nothing, observed or not."""
    failed: set[bool] = set()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token not in failed:
            failed.add(request.is_token)
            writer.write(answer(503))
        else:
            await server.good(request, writer)

    for options in ("", OBSERVED):
        failed.clear()
        async with RawServer(handler) as server:
            assert await imported(server, LIST, options, "") == []
            assert len(server.requests) == 4


@pytest.mark.asyncio
async def test_a_first_failure_imports_nothing() -> None:
    """A response that ends in an error imports nothing: the text of a failure, its facts and its event are there."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else json_answer(404, {"message": "invented"}))

    for options in ("", OBSERVED):
        async with RawServer(handler) as server:
            call = "try: await clinic.doctors.list()\n        except NotFoundError as error: str(error), repr(error)"
            assert await imported(server, call, options, "") == []


RARE = [
    *(
        "arzamed_async._events",
        "arzamed_async._merged",
        "arzamed_async._responses",
        "arzamed_async._stats",
        "arzamed_async._stored",
    ),
    *(
        "arzamed_async._fan_out.fan_out",
        "arzamed_async._fan_out.merge",
        "arzamed_async._tokens.shared",
        "backoff",
        "decimal",
    ),
]


@pytest.mark.parametrize("rare", RARE)
def test_what_is_rare_is_not_imported_with_the_package(rare: str) -> None:
    """Importing the package does not import what few programs need."""
    program = f"import sys, arzamed_async; assert {rare!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


LATE = """
import sys, pickle, typing
import arzamed_async

names = ["CircuitChanged", "Event", "RequestFinished", "RetryScheduled", "TokenRequestFinished", "TokenStoreFailed",
         "UnknownField", "Work", "FanOut", "Merge", "Success", "Failure", "Outcome", "Finished", "Record", "Headers", "Response", "Token", "ClinicStats", "PoolStats", "Stats", "Lease", "StoredRejection", "StoredToken"]
assert not set(names) & set(vars(arzamed_async))
assert set(arzamed_async.__all__) <= set(dir(arzamed_async))
{act}
"""
ACTS = {
    "by attribute": "assert all(getattr(arzamed_async, name) for name in names)",
    "by from-import": "exec('from arzamed_async import ' + ', '.join(names))",
    "with all names": "exec('from arzamed_async import *'); assert set(arzamed_async.__all__) <= set(dir())",
    "from its public module": "from arzamed_async.events import Event, Observer, Work, WorkKind;"
    " arzamed_async.token_store.Lease, arzamed_async.models.Stats, arzamed_async.models.Record",
    "from a pickle": (
        "loaded = pickle.loads(bytes.fromhex({pickled!r}));"
        " assert loaded == arzamed_async.Lease('invented', 'invented', 1); assert type(loaded) is arzamed_async.Lease"
    ),
    "from hints": (
        "hints = typing.get_type_hints(arzamed_async.ArzamedSession.__init__);"
        " assert hints['token_store'] == arzamed_async.TokenStore | None"
    ),
    "by a wrong name": "assert not hasattr(arzamed_async, 'Invented') and not hasattr(arzamed_async.events, 'Invented')",
}


@pytest.mark.parametrize("act", ACTS)
def test_a_rare_name_is_there_when_it_is_read(act: str) -> None:
    """A name that is imported lazily is found in every way in which other names are, and listed by `dir`."""
    pickled = pickle.dumps(Lease("invented", "invented", 1)).hex()
    subprocess.run([sys.executable, "-c", LATE.format(act=ACTS[act].format(pickled=pickled))], check=True)
