"""The options of the commands, as Typer reads them: names, help, ranges."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from .formats import Format

__all__ = [
    "BaseUrl", "CheckFile", "CheckFormat", "Clinics", "CompleteOnly", "Concurrency", "Cut", "Deadline", "Decimals", "EndpointPath", "Enums", "Fail",
    "FormatName", "ModelName", "ModuleOutput", "MostRecords", "Names", "NoStore", "Output", "Params", "PathParams", "Personal", "Proxy", "Rate", "RateLimit", "Report", "ReportFormat",
    "Revoke", "Sandbox", "Slow", "Timeout", "Verbose",
]  # fmt: skip


def _clinic_names(context: typer.Context, incomplete: str) -> list[str]:
    from .completion import clinic_names

    return clinic_names(context.params.get("clinics"), incomplete)


Clinics = Annotated[
    Optional[Path],  # noqa: UP045 - read at run time by Typer
    typer.Option(
        "--clinics",
        envvar="ARZAMED_CLINICS",
        metavar="FILE",
        help="The clinics file. Default: ./clinics.toml, else one clinic from ARZAMED_CLIENT_ID,"
        " ARZAMED_CLIENT_SECRET and ARZAMED_TOKEN_URL, else clinics.toml in your configuration folder.",
    ),
]
Names = Annotated[
    Optional[list[str]],  # noqa: UP045 - the same
    typer.Option(
        "--clinic",
        metavar="NAME",
        autocompletion=_clinic_names,
        help="Only this clinic. Can be repeated.",
    ),
]
FormatName = Annotated[
    Optional[Format],  # noqa: UP045 - the same
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="table, json, ndjson, csv, excel-csv or parquet. Default: table on a terminal, else by the file's extension, else ndjson.",
    ),
]
Params = Annotated[
    Optional[list[str]],  # noqa: UP045 - the same
    typer.Option("--param", metavar="KEY=VALUE", help="A query parameter. Can be repeated."),
]
EndpointPath = Annotated[
    Optional[str],  # noqa: UP045 - the same
    typer.Option("--path", metavar="PATH", help="The endpoint's path below the base URL, instead of the default."),
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, metavar="N", help="Clinics read at the same time.")]
Deadline = Annotated[
    Optional[float],  # noqa: UP045 - the same
    typer.Option("--deadline", metavar="SECONDS", help="The time limit of the whole run. Default: none."),
]
Timeout = Annotated[
    Optional[float],  # noqa: UP045 - the same
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="The time limit for the first record of a clinic, and for each further wait. Default: 30.",
    ),
]
Proxy = Annotated[
    Optional[str],  # noqa: UP045 - the same
    typer.Option(
        "--proxy",
        metavar="URL",
        help="The proxy for all requests. Default: from HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
    ),
]
Rate = Annotated[
    Optional[float],  # noqa: UP045 - the same
    typer.Option(
        "--rate",
        metavar="N",
        help="Send at most N requests a second to the API. Default: learned, if the API refuses requests.",
    ),
]
Output = Annotated[
    Optional[Path],  # noqa: UP045 - the same
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to this file instead of stdout. It is replaced at the end, and only if at least one clinic worked.",
    ),
]
CompleteOnly = Annotated[
    bool, typer.Option("--complete-only", help="If a clinic fails half-way, leave out all its records.")
]
Report = Annotated[
    Optional[Path],  # noqa: UP045 - the same
    typer.Option("--report", metavar="FILE", help="Write the outcome of each clinic to this file, as JSON."),
]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Read the vendor's sandbox, not production.")]
BaseUrl = Annotated[
    Optional[str],  # noqa: UP045 - the same
    typer.Option("--base-url", metavar="URL", help="Another base URL (for example that of `serve-fake`)."),
]
NoStore = Annotated[
    bool, typer.Option("--no-token-store", help="Request new tokens, and do not store them for the next command.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Report the clinics file, the API's address and each request on stderr.")
]

# Those of `model`.
ModelName = Annotated[
    Optional[str],  # noqa: UP045 - read at run time by Typer
    typer.Argument(metavar="NAME", help="slots, patients, doctors, or a name for the records of --path."),
]
PathParams = Annotated[
    Optional[list[str]],  # noqa: UP045 - read at run time by Typer
    typer.Option("--path-param", metavar="KEY=VALUE", help="The value of {KEY} in --path. Can be repeated."),
]
ModuleOutput = Annotated[
    Optional[Path],  # noqa: UP045 - read at run time by Typer
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the module to this file instead of stdout. If it exists, new fields and types are added; your names and comments stay.",
    ),
]
CheckFile = Annotated[
    Optional[Path],  # noqa: UP045 - the same
    typer.Option(
        "--check",
        metavar="FILE",
        help="Compare the records with the class in this file and write no module."
        " FILE is imported, that is, its code is run: check only files that you trust.",
    ),
]


class ReportFormat(StrEnum):
    """The values of `--format` of `--check`."""

    text = "text"
    json = "json"


CheckFormat = Annotated[
    ReportFormat, typer.Option("--format", metavar="FORMAT", help="With --check: text or json. Default: text.")
]
MostRecords = Annotated[
    Optional[int],  # noqa: UP045 - the same
    typer.Option("--records", min=1, metavar="N", help="Read at most N records of each clinic. Default: all."),
]
Enums = Annotated[
    bool,
    typer.Option(
        "--enums",
        help="Declare a field with a few short texts as a Literal of these texts. Not for personal endpoints.",
    ),
]
Decimals = Annotated[bool, typer.Option("--decimals", help="Read numbers with a fraction as Decimal, not as float.")]
Personal = Annotated[
    bool,
    typer.Option("--personal", help="Mark the records as personal (patients always are): Endpoint(personal=True)."),
]

# What `serve-fake` does wrong.
Fail = Annotated[
    Optional[list[str]],  # noqa: UP045 - read at run time by Typer
    typer.Option(
        "--fail", metavar="STATUS[:N]", help="Respond to the first N requests with this status. Default: to all."
    ),
]
Slow = Annotated[
    Optional[list[str]],  # noqa: UP045 - the same
    typer.Option("--slow", metavar="CLINIC:SECONDS", help="Delay each response of this clinic."),
]
Cut = Annotated[
    Optional[list[str]],  # noqa: UP045 - the same
    typer.Option(
        "--cut",
        metavar="CLINIC[:BYTES]",
        help="Close the connection in each list of this clinic, after BYTES bytes (default: just before the end).",
    ),
]
Revoke = Annotated[
    Optional[list[str]],  # noqa: UP045 - the same
    typer.Option("--revoke", metavar="CLINIC", help="Reject this clinic's key."),
]
RateLimit = Annotated[
    Optional[str],  # noqa: UP045 - the same
    typer.Option(
        "--rate-limit",
        metavar="N[:BURST]",
        help="Respond with 429 to more than N requests a second; BURST pass at once (default: 1).",
    ),
]
