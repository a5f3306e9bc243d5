"""How hard each page is to read, by the length of its sentences and words.

`python tests/support/readability.py [COMMIT]` prints a table of all pages, with the figures of an older commit beside them.

The measure is LIX (Björnsson, 1968): words a sentence, plus the share of words of more than six letters in percent. It needs no
dictionary of syllables, which Flesch's formula does (textstat downloads one, and tests have no network), and no list of familiar
words, which no page on OAuth could do without. 30 is a story, 40 a newspaper, 50 a specialist text, 60 a statute. Beside it stands the
share of sentences of more than 30 words: those are the ones that are read twice.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from attrs import frozen

__all__ = ["LONG_WORDS", "Reading", "long_sentences", "reading_of", "sentences_of"]

ROOT = Path(__file__).parents[2]
#: A sentence of more words than this is read twice.
LONG_WORDS = 30
#: A cell or item of fewer words is a label, not a sentence.
LABEL_WORDS = 4
_WORD = re.compile(r"[^\W\d_](?:[\w'-]*[^\W_])?")
_END = re.compile(r"(?<=[.!?:;])[)\"'*”]*\s+(?=[\W_]*[A-Z0-9`])")


@frozen
class Reading:
    """The figures of one text."""

    sentences: int
    words: int
    long_words: int
    long_sentences: int

    @property
    def lix(self) -> float:
        """Words a sentence, plus the share of words of more than six letters in percent."""
        return self.words / self.sentences + 100 * self.long_words / self.words

    @property
    def long_percent(self) -> float:
        """The share of sentences of more than LONG_WORDS words, in percent."""
        return 100 * self.long_sentences / self.sentences


def sentences_of(markdown: str) -> list[str]:
    """Return the sentences that a person reads: without code blocks, comments and the targets of links.

    A paragraph, an item of a list and a cell of a table are texts of their own. Code within a sentence counts as one word, with a capital letter since it may begin a sentence.
    """
    text = re.sub(r"^ *(`{3,}).*?^ *\1|<!--.*?-->|<[^>\n]*>", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(`+).+?\1", "Code", re.sub(r"\]\([^)]*\)", "]", text), flags=re.DOTALL)
    text = re.sub(r"^[ ]*([-*+]|\d+\.|#+)[ ]|\|", "\n\n", text, flags=re.MULTILINE)
    pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    sentences = [sentence for piece in pieces for sentence in _END.split(piece)]
    return [each for each in sentences if len(_WORD.findall(each)) >= LABEL_WORDS]


def long_sentences(markdown: str) -> list[str]:
    """Return the sentences of more than LONG_WORDS words."""
    return [each for each in sentences_of(markdown) if len(_WORD.findall(each)) > LONG_WORDS]


def reading_of(markdown: str) -> Reading | None:
    """Return the figures of a page, None of one without a sentence."""
    sentences = [_WORD.findall(sentence) for sentence in sentences_of(markdown)]
    if not sentences:
        return None
    words = [word for sentence in sentences for word in sentence]
    return Reading(
        len(sentences),
        len(words),
        sum(len(word) > 6 for word in words),
        sum(len(sentence) > LONG_WORDS for sentence in sentences),
    )


def texts_now() -> dict[str, str]:
    """Return the pages of the working folder by their path."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def texts_of(commit: str) -> dict[str, str]:
    """Return the pages of a commit by their path."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    names = [name for name in git("ls-tree", "-r", "--name-only", commit).splitlines() if name.endswith(".md")]
    return {name: git("show", f"{commit}:{name}") for name in names if "/" not in name or name.startswith("docs/")}


def table(before: dict[str, str]) -> str:
    """Return the table: a page was moved if one with its name stands elsewhere."""
    moved = {Path(name).name: text for name, text in before.items()}
    lines = ["page | sentences | LIX | before | over 30 words | before", "---|---:|---:|---:|---:|---:"]
    for name, text in texts_now().items():
        now, old = reading_of(text), reading_of(before.get(name) or moved.get(Path(name).name, ""))
        if now is not None:
            was = ("", "") if old is None else (f"{old.lix:.0f}", f"{old.long_percent:.0f} %")
            lines.append(f"{name} | {now.sentences} | {now.lix:.0f} | {was[0]} | {now.long_percent:.0f} % | {was[1]}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(texts_of(sys.argv[1]) if len(sys.argv) > 1 else {}) + "\n")
