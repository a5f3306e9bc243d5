"""Writes docs/reliability.md from the matrix: `python tests/faults/fault_report.py`. A test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from fault_list import FAULTS
from fault_model import LIMITS, RETRY, TIMEOUTS, Fault, Outcome

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
COLUMNS = ("token", "list", "stream", "get", "fan-out")

OPENING = """# Reliability: what fails, and how it looks

For whoever is on call: find what your server or network does, and read how each call ends. For what to do, see
[the errors](#the-errors).

<!-- Written by tests/faults/fault_report.py from the test matrix. Change the matrix, not this page. -->

## What is promised

- **One kind of exception.** Whatever a server or network does, a call returns what is right or raises an
  `ArzamedError`. No other exception gets out, and none is chained to it.
- **In time.** A call ends by its deadline (`Timeouts.total_seconds`); a stream behind its first record by
  `record_seconds` for each wait.
- **Nothing short that looks whole.** A list comes with all its records, or not at all. A stream hands out each record
  once and in order; if it breaks off and cannot go on, it says so and tells how many you hold.
- **No more requests than said.** Each try is one request on the wire. Tokens, lists and records are asked for again
  only where that may help. No redirect is followed.
- **Nothing said.** No secret, token or record is in an error's text, arguments or traceback.
- **Nothing left.** Behind a failed call no connection, file descriptor, task or slot is left.
- **No aftermath.** When the server is good again, the next call on the same session works.

Each of these was held for each row below, over real sockets, with {faults:,} faults and {cases:,} pairs of fault and
call. Each fault that a repeat can help against was also let strike once: then the call works, and a broken stream goes
on where it was.

What HTTP does not show nobody can tell: a body without a length that is closed too soon is the whole body to `get`.
(A list shows by itself that it is cut.)

## How to read the tables

They hold for the default policies: up to {attempts} attempts, with waits between them drawn from 0 to {base:g} s, then to
twice that, and so on. Repeated are lost connections and the statuses {statuses} (for the token request
{token_statuses}). `total_seconds` is {total:g}, `connect_seconds` {connect:g}, `read_seconds` {read:g},
`record_seconds` {record:g}. The limits alone are lower: {record_bytes:,} bytes a record, {list_bytes:,} bytes a list or body.

- Names of errors are without their `Error`: *Transport* is `TransportError`.
- The fault strikes at the token endpoint for `token`, at the API for the others. In a fan-out one clinic has the
  fault, and a healthy one beside it always succeeds. What strikes before a request is read (connecting, TLS) hits the
  faulty clinic at its token endpoint, for the API's host is everybody's.
- `get` hands on the body of any 2xx, as it is; `Response.json()` is where a bad one shows, as a `DecodeError`.
- *later:* is a stream that has handed out its first record when the fault strikes.
- *Requests* are those of a `token` call, then the token requests + API requests of the others. Where no request can
  be sent, they are tries to connect.
"""

ERRORS = """
## The errors

| error | means | first thing to do |
|---|---|---|
| `TransportError` | no usable HTTP response to any attempt; the text names the fault and the host | look at the network, the proxy and that host |
| `DeadlineExceededError` | a `TransportError`: the call's deadline was exceeded; the text names the last failure | as above; or raise `Timeouts` if the server is only slow |
| `TokenUnavailableError` | the token endpoint cannot be reached, or responds with 429 or 5xx | check `token_url`, or wait; the credentials may be correct |
| `CredentialsRejectedError` | the token endpoint rejects this clinic's key | check the key with the clinic's administrator; no token request is sent with it for a minute |
| `TokenError` | the token endpoint responds, but not with a token | check `token_url` and the scope; its `status`, `error` and `description` say more |
| `UnauthorizedError` | the API rejected a new token, too | check that key and environment (production or sandbox) belong together |
| `ForbiddenError`, `NotFoundError`, `RateLimitedError`, `ServiceUnavailableError`, `StatusError` | the API's status: 403, 404, 429, 503, any other over 299 | its `message`, `request_id` and `retry_after_seconds` say more |
| `DecodeError` | a 2xx whose body is not what the API documents; `record_index` and `field` say where | report it to the API's owner |
| `LimitExceededError` | the response exceeds one of `Limits` | raise the limit that it names, if that size is right |
| `StreamInterruptedError` | a stream was interrupted after `delivered` records and could not be resumed | keep those, or read the list again |
"""


def short(outcome: Outcome) -> str:
    """Return an outcome in a word."""
    return "works" if outcome.error is None else outcome.error.__name__.removesuffix("Error")


def cells(fault: Fault) -> list[str]:
    """Return what a fault's row says behind its name."""
    found = [short(fault.expect[call]) if call in fault.expect else "-" for call in COLUMNS]
    if "later" in fault.expect:
        found[COLUMNS.index("stream")] += f"; later: {short(fault.expect['later'])}"
    return [*found, requests(fault)]


def requests(fault: Fault) -> str:
    """Return the requests of a token call, and of each of the others."""
    token = str(fault.expect["token"].tries) if "token" in fault.expect else "-"
    counted: dict[str, list[str]] = {}
    for call, outcome in fault.expect.items():
        if call == "token":
            continue
        if fault.at == "token":
            sent = f"{outcome.tries}+{int(outcome.error is None)}"
        elif fault.side(call) == "token":
            continue  # a fan-out's faulty clinic, at its token endpoint: as the token call
        else:
            sent = f"{outcome.tokens}+{outcome.tries}"
        counted.setdefault(sent, []).append(call)
    usual = max(counted, key=lambda sent: len(counted[sent]))
    others = [f"{', '.join(calls)}: {sent}" for sent, calls in counted.items() if sent != usual]
    return "; ".join([f"{token}, {usual}", *others])


def rows(faults: Iterable[Fault]) -> Iterator[str]:
    """Yield a row for each kind of outcome, with all the faults that end so."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for fault in faults:
        alike.setdefault(tuple(cells(fault)), []).append(fault.name.replace("|", "\\|"))
    for outcome, names in alike.items():
        yield f"| {' | '.join(['<br>'.join(names), *outcome])} |\n"


def page() -> str:
    """Return the page."""
    text = OPENING.format(
        faults=len(FAULTS),
        cases=sum(len(fault.expect) for fault in FAULTS),
        attempts=RETRY.max_attempts,
        base=RETRY.initial_backoff_seconds,
        statuses=", ".join(map(str, sorted(RETRY.statuses))),
        token_statuses=", ".join(map(str, sorted(RETRY.token_statuses))),
        total=TIMEOUTS.total_seconds,
        connect=TIMEOUTS.connect_seconds,
        read=TIMEOUTS.read_seconds,
        record=TIMEOUTS.record_seconds,
        record_bytes=LIMITS.record_bytes,
        list_bytes=LIMITS.list_bytes,
    )
    for theme, faults in groupby(FAULTS, key=lambda fault: fault.theme):
        text += f"\n### {theme}\n\n| fault | {' | '.join(COLUMNS)} | requests |\n{'|---' * (len(COLUMNS) + 2)}|\n"
        text += "".join(rows(faults))
    return text + ERRORS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
