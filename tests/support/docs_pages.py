"""The code blocks of README.md and the docs, found and run. CONTRIBUTING.md tells what a page may rely on."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Awaitable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

from attrs import frozen

from arzamed_async import ArzamedSession
from arzamed_async.testing import FakeArzamed
from support.docs_program import default_base_url, write_clinics

__all__ = ["CLINICS", "ROOT", "Block", "blocks_of", "clinics_for", "pages", "run_program", "run_snippets"]

ROOT = Path(__file__).parents[2]
#: The clinics file of pages that show none.
CLINICS = "\n".join(
    f'[clinics.{name}]\nclient_id = "{name}-portal"\nclient_secret_env = "{name.upper()}_SECRET"\n'
    f'token_url = "https://auth.example.com/{name}/oauth2/token"\n'
    for name in ("milano", "roma", "bari")
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\s`]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!--\s*(?P<key>no run|given):(?P<value>(?:(?!-->).)*)-->\s*$", re.DOTALL)


@frozen
class Block:
    """A fenced block: its page, its line, what stands in it, what the comments before it say, what it is to print."""

    page: str
    line: int
    language: str
    code: str
    given: str = ""
    no_run: str | None = None
    prints: str | None = None

    @property
    def is_program(self) -> bool:
        """Whether it has an event loop of its own."""
        return "asyncio.run(" in self.code

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return the pages, as paths from the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks_of(page: str, text: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page."""
    if text is None:
        text = (ROOT / page).read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        said: dict[str, str] = {}
        before = text[end : fence.start()]
        if fence["language"] == "text" and blocks and blocks[-1].language == "python" and not before.strip():
            code = blocks[-1]
            blocks[-1] = Block(
                code.page, code.line, code.language, code.code, code.given, code.no_run, prints=fence["code"]
            )
        while comment := _COMMENT.search(before):
            said[comment["key"]] = comment["value"].strip()
            before = before[: comment.start()]
        code_text = re.sub(f"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE)
        line = text.count("\n", 0, fence.start()) + 1
        blocks.append(Block(page, line, fence["language"], code_text, said.get("given", ""), no_run=said.get("no run")))
        end = fence.end()
    return blocks


def clinics_for(block: Block, blocks: list[Block]) -> str:
    """Return the clinics file that a page shows last before a block, or else first behind it, or the usual one."""
    shown = [each for each in blocks if each.language == "toml" and "[clinics." in each.code]
    before = [each for each in shown if each.line < block.line]
    nearest = (before[-1:] or shown[:1] or [None])[0]
    return CLINICS if nearest is None else nearest.code


def check_printed(block: Block, printed: str) -> None:
    """Compare what a block has printed with the text that the page shows; `…` stands for anything."""
    if block.prints is not None:
        expected = ".*".join(map(re.escape, block.prints.split("…")))
        assert re.fullmatch(expected, printed, re.DOTALL), f"{block} has printed:\n{printed}"


def run_program(block: Block, clinics: str, folder: Path) -> None:
    """Run a whole program in a process of its own, where any warning is an error."""
    (folder / "program.py").write_text(block.code, encoding="utf-8")
    (folder / "shown.toml").write_text(clinics, encoding="utf-8")
    runner = Path(__file__).with_name("docs_program.py")
    run = subprocess.run(
        [sys.executable, "-W", "error", str(runner), "program.py", "shown.toml", block.given],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), f"{block}:\n{run.stderr}"
    check_printed(block, run.stdout)


async def run_snippets(blocks: list[Block], clinics: str, folder: Path) -> None:
    """Run the snippets of a page one after the other, in one namespace, over one fake; `given:` comments may use it as `fake`."""
    async with FakeArzamed() as fake:
        with default_base_url(fake.base_url):
            write_clinics(fake, clinics, folder, os.environ)
            names: dict[str, Any] = {"__name__": "page"}
            try:
                for block in blocks:
                    exec(block.given, {"fake": fake, **names})
                    check_printed(block, await _run_snippet(block, names))
                    fake.clear_faults()
                    fake.latency_seconds = 0.0
            finally:
                sys.modules.pop("slots", None)  # the module that `arzamed model` writes, from a `given:` comment
                for opened in [each for each in names.values() if isinstance(each, ArzamedSession)]:
                    await opened.aclose()


async def _run_snippet(block: Block, names: dict[str, Any]) -> str:
    # Line numbers of the page, for tracebacks.
    source = "\n" * block.line + block.code
    code = compile(source, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        result = eval(code, names)
        if inspect.isawaitable(result):
            async with asyncio.timeout(60):
                await cast("Awaitable[object]", result)
    return printed.getvalue()
