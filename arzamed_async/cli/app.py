"""The commands of `arzamed`. Each imports its module when it runs. Help is text: `python -OO` has no docstrings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from arzamed_async import __version__

from . import options

if TYPE_CHECKING:
    from .messages import StderrReporter

__all__ = ["app"]

_CODES = (
    "Exit codes: 0 all clinics worked, 3 some failed, 4 none worked, 2 usage error (nothing was read),"
    " 1 the output cannot be written, 130 Ctrl-C, 143 SIGTERM, 141 broken pipe."
)
_MODEL_CODES = f"{_CODES} With --check: 5 the records do not match the class, even if some clinics failed."

# Locals of a traceback may be secrets.
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    epilog=_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arzamed-async {__version__}")
        raise typer.Exit


@app.callback(help="Read live data of Arzamed clinics: records to stdout, everything else to stderr.")
def _arzamed(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _leave(command: Callable[[StderrReporter], int]) -> None:
    from .running import finish

    raise typer.Exit(finish(command))


def _lister(kind: str) -> Callable[..., None]:
    def command(
        clinics: options.Clinics = None,
        clinic: options.Names = None,
        format: options.FormatName = None,  # noqa: A002 - the option's name
        output: options.Output = None,
        complete_only: options.CompleteOnly = False,
        report: options.Report = None,
        param: options.Params = None,
        path: options.EndpointPath = None,
        concurrency: options.Concurrency = 64,
        deadline: options.Deadline = None,
        timeout: options.Timeout = None,
        rate: options.Rate = None,
        proxy: options.Proxy = None,
        sandbox: options.Sandbox = False,
        base_url: options.BaseUrl = None,
        no_token_store: options.NoStore = False,
        verbose: options.Verbose = False,
    ) -> None:
        def read(reporter: StderrReporter) -> int:
            from .listing import list_records
            from .request import request_of
            from .selection import Listing
            from .sources import clinics_of

            request = request_of(
                lambda: clinics_of(clinics, clinic, reporter, verbose=verbose), concurrency=concurrency, deadline=deadline, timeout=timeout,
                verbose=verbose, token_store=not no_token_store, rate=rate, proxy=proxy, base_url=base_url, sandbox=sandbox,
            )  # fmt: skip
            listing = Listing(
                kind=kind, path=path, params=param or [], format=format, output=output, report=report,
                complete_only=complete_only, clinics_file=clinics,
            )  # fmt: skip
            return list_records(listing, request, reporter)

        _leave(read)

    return command


for _kind, _help in {
    "doctors": "List the active doctors of your clinics.",
    "slots": "List appointment slots. The vendor has not published this endpoint: see --path.",
    "patients": "List patient records. The vendor has not published this endpoint: see --path.",
}.items():
    app.command(_kind, help=_help, epilog=_CODES)(_lister(_kind))


@app.command(
    "model",
    help="Read live records of an endpoint, and write a typed class for them. It contains no value of a record."
    " New fields are added to a file that exists. --check compares the records with a class instead.",
    epilog=_MODEL_CODES,
)
def _model(
    name: options.ModelName = None,
    clinics: options.Clinics = None,
    clinic: options.Names = None,
    path: options.EndpointPath = None,
    path_param: options.PathParams = None,
    param: options.Params = None,
    output: options.ModuleOutput = None,
    check: options.CheckFile = None,
    format: options.CheckFormat = options.ReportFormat.text,  # noqa: A002 - the option's name
    records: options.MostRecords = None,
    enums: options.Enums = False,
    decimals: options.Decimals = False,
    personal: options.Personal = False,
    concurrency: options.Concurrency = 64,
    deadline: options.Deadline = None,
    timeout: options.Timeout = None,
    rate: options.Rate = None,
    proxy: options.Proxy = None,
    sandbox: options.Sandbox = False,
    base_url: options.BaseUrl = None,
    no_token_store: options.NoStore = False,
    verbose: options.Verbose = False,
) -> None:
    def learn(reporter: StderrReporter) -> int:
        from .model import Modelling, checked_name, model_records
        from .request import request_of
        from .sources import clinics_of

        known = checked_name(name, check)
        request = request_of(
            lambda: clinics_of(clinics, clinic, reporter, verbose=verbose), concurrency=concurrency, deadline=deadline, timeout=timeout,
            verbose=verbose, token_store=not no_token_store, rate=rate, proxy=proxy, base_url=base_url, sandbox=sandbox,
        )  # fmt: skip
        modelling = Modelling(
            name=known, path=path, path_params=path_param or [], params=param or [], output=output, check=check, records=records,
            enums=enums, decimals=decimals, personal=personal, json=format is options.ReportFormat.json, clinics_file=clinics,
        )  # fmt: skip
        return model_records(modelling, request, reporter)

    _leave(learn)


@app.command(
    "check",
    help="Check each clinic's key: request a token and read the doctors. Print one line for each clinic, with the cause and fix of a failure.",
    epilog=_CODES,
)
def _check(
    clinics: options.Clinics = None,
    clinic: options.Names = None,
    concurrency: options.Concurrency = 64,
    deadline: options.Deadline = None,
    timeout: options.Timeout = None,
    rate: options.Rate = None,
    proxy: options.Proxy = None,
    sandbox: options.Sandbox = False,
    base_url: options.BaseUrl = None,
    verbose: options.Verbose = False,
) -> None:
    def run(reporter: StderrReporter) -> int:
        from .check import check_clinics
        from .request import request_of
        from .sources import clinics_of

        # Without the store: a stored token would prove nothing about the secret.
        request = request_of(
            lambda: clinics_of(clinics, clinic, reporter, verbose=verbose), concurrency=concurrency, deadline=deadline, timeout=timeout,
            verbose=verbose, token_store=False, rate=rate, proxy=proxy, base_url=base_url, sandbox=sandbox,
        )  # fmt: skip
        return check_clinics(request, reporter)

    _leave(run)


@app.command(
    "token",
    help="Show when each clinic's token expires, and its claims. The signature is not verified.",
    epilog=_CODES,
)
def _token(
    clinics: options.Clinics = None,
    clinic: options.Names = None,
    reveal: Annotated[
        bool,
        typer.Option(
            "--reveal", help="Write the token itself and nothing else, for $(...). Keep it secret: it gives access."
        ),
    ] = False,
    concurrency: options.Concurrency = 64,
    deadline: options.Deadline = None,
    timeout: options.Timeout = None,
    proxy: options.Proxy = None,
    sandbox: options.Sandbox = False,
    base_url: options.BaseUrl = None,
    no_token_store: options.NoStore = False,
    verbose: options.Verbose = False,
) -> None:
    def run(reporter: StderrReporter) -> int:
        from .request import request_of
        from .sources import clinics_of
        from .tokens import show_tokens

        request = request_of(
            lambda: clinics_of(clinics, clinic, reporter, verbose=verbose), concurrency=concurrency, deadline=deadline, timeout=timeout,
            verbose=verbose, token_store=not no_token_store, proxy=proxy, base_url=base_url, sandbox=sandbox,
        )  # fmt: skip
        return show_tokens(request, reporter, reveal=reveal)

    _leave(run)


@app.command("init", help="Write a commented clinics file (mode 0600) to fill in.")
def _init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = Path("clinics.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    def run(reporter: StderrReporter) -> int:
        from .init import write_template

        return write_template(file, force=force)

    _leave(run)


@app.command("serve-fake", help="Serve a fake API with invented clinics on this machine, until Ctrl-C.")
def _serve_fake(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1. 0: a free one.")] = 0,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="Number of clinics.")] = 3,
    latency: Annotated[float, typer.Option(metavar="SECONDS", help="Delay before each response.")] = 0.0,
    write_clinics: Annotated[
        Optional[Path],  # noqa: UP045 - the same
        typer.Option(metavar="FILE", help="Write its clinics file here (mode 0600). Default: to stdout."),
    ] = None,
    fail: options.Fail = None,
    slow: options.Slow = None,
    cut: options.Cut = None,
    revoke: options.Revoke = None,
    rate_limit: options.RateLimit = None,
) -> None:
    def run(reporter: StderrReporter) -> int:
        from .fake import Serving, serve
        from .fake_faults import faults_of

        faults = faults_of(fail=fail or [], slow=slow or [], cut=cut or [], revoke=revoke or [], rate_limit=rate_limit)
        serving = Serving(port=port, count=count, latency_seconds=latency, write_clinics=write_clinics, faults=faults)
        return serve(serving, reporter)

    _leave(run)


@app.command("demo", help="Read a dozen invented clinics, with the real client over HTTP on this machine.")
def _demo() -> None:
    def run(reporter: StderrReporter) -> int:
        import sys

        from rich.console import Console

        from .demo import run_demo
        from .messages import is_terminal

        try:
            run_demo(Console(force_interactive=None if is_terminal(sys.stdout) else False))
        except KeyboardInterrupt:
            reporter.message("interrupted: not all clinics were read")
            raise
        return 0

    _leave(run)
