"""What became of each clinic: for the last line of a command, and for `--report`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import orjson
from attrs import define

from arzamed_async import Event, Failure, RequestFinished, TokenRequestFinished
from arzamed_async._counted import counted

from .destination import FileOutput
from .interrupts import interrupts
from .messages import format_failure
from .request import Request
from .verbose import place_of

__all__ = ["Results", "write_report"]


@define
class _Clinic:
    """The records that the clinic has sent, and those of them that are in the output."""

    received: int = 0
    written: int = 0
    attempts: int = 0
    token_requests: int = 0
    began: float | None = None
    seconds: float = 0.0
    outcome: str = "not finished"
    failure: Failure | None = None
    request_id: str = ""


class Results:
    """An observer that counts requests, and what is known of each clinic."""

    def __init__(self, names: Iterable[str]) -> None:
        self.clinics = {name: _Clinic() for name in names}
        self.failures: list[Failure] = []
        self._began, self._started_at = time.monotonic(), datetime.now(timezone.utc)

    def __call__(self, event: Event) -> None:
        """Count a request."""
        if isinstance(event, (RequestFinished, TokenRequestFinished)):
            clinic = self.clinics.get(event.clinic)
            if clinic is not None:
                clinic.request_id = event.request_id or clinic.request_id
                if isinstance(event, RequestFinished):
                    clinic.attempts += 1
                else:
                    clinic.token_requests += 1

    def begin(self, name: str) -> _Clinic:
        """Note that a clinic's list is being read."""
        clinic = self.clinics[name]
        clinic.began = time.monotonic()
        return clinic

    def finish(self, name: str) -> None:
        """Note that all records of a clinic have arrived."""
        clinic = self.clinics[name]
        clinic.outcome, clinic.seconds = "complete", time.monotonic() - (clinic.began or self._began)

    def fail(self, failure: Failure) -> None:
        """Note that a clinic has failed."""
        clinic = self.clinics[failure.clinic]
        clinic.outcome, clinic.seconds, clinic.failure = "failed", failure.seconds, failure
        self.failures.append(failure)

    @property
    def complete(self) -> int:
        """The number of clinics all of whose records have arrived."""
        return sum(clinic.outcome == "complete" for clinic in self.clinics.values())

    @property
    def written(self) -> int:
        """The number of records in the output."""
        return sum(clinic.written for clinic in self.clinics.values())

    def summary(self) -> str:
        """Return the totals in one line."""
        total, complete, failed = len(self.clinics), self.complete, len(self.failures)
        parts = sum(clinic.written for clinic in self.clinics.values() if clinic.outcome != "complete")
        incomplete = f" ({parts:,} of them from incomplete lists)" if parts else ""
        ends = [f"{complete:,} of {counted(total, 'clinic')} complete", f"{failed:,} failed" if failed else ""]
        records = f"{counted(self.written, 'record')}{incomplete}"
        seconds = time.monotonic() - self._began
        return f"{', '.join(each for each in ends if each)}; {records} in {seconds:,.1f} s"

    def report(self, request: Request, code: int, **facts: Any) -> bytes:
        """Return the report as JSON."""
        content = {
            "started": self._started_at.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._began, 3),
            "exit_code": code,
            "environment": place_of(request.base_url).partition(",")[0],
            "base_url": request.base_url,
            **facts,
            "totals": {
                "clinics": len(self.clinics),
                "complete": self.complete,
                "failed": len(self.failures),
                "records": self.written,
            },
            "clinics": [_entry(name, clinic) for name, clinic in self.clinics.items()],
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(name: str, clinic: _Clinic) -> dict[str, Any]:
    error = None if clinic.failure is None else clinic.failure.error
    return {
        "clinic": name,
        "outcome": clinic.outcome,
        "records": clinic.written,
        "received": clinic.received,
        "attempts": clinic.attempts,
        "token_requests": clinic.token_requests,
        "seconds": round(clinic.seconds, 3),
        "error": None if error is None else type(error).__name__,
        "message": None if error is None else format_failure(name, error),
        "status": getattr(error, "status", None),
        "request_id": getattr(error, "request_id", "") or clinic.request_id,
        "call_id": "" if error is None else error.call_id,
    }


def write_report(file: FileOutput, content: bytes) -> None:
    """Write the report. Raises OutputError."""
    try:
        with interrupts.raising():
            file.open()
            file.write(content)
            file.commit()
    finally:
        file.discard()
