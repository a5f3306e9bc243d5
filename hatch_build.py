"""Refuses to pack a file that git does not know: pyproject.toml lists kinds of files, and local_settings.py is of such a kind."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["KnownFiles"]


class KnownFiles(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's is generic in what has no meaning here
    """Holds what a wheel or an sdist would contain against `git ls-files`. Links in it, and to folders, are such files as well."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """End the build with the names of such files. An sdist has no git, and an editable installation packs nothing."""
        root = Path(self.root)
        if version == "editable" or not (root / ".git").exists():
            return
        command = ["git", "-C", str(root), "ls-files", "-z"]
        try:
            listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()  # noqa: S603 - fixed words
        except (OSError, subprocess.CalledProcessError) as error:
            problem = f"git could not list the files, so secrets beside them might be packed: {error}"
            if self.target_name == "sdist":
                self.app.abort(problem)
            self.app.display_warning(problem)  # `pip install .` in an image without git
            return
        known = set(listed.split("\0"))
        packed = {
            Path(each.path).relative_to(root).as_posix() for each in self.build_config.builder.recurse_included_files()
        }
        if unknown := sorted(packed - known):
            names = ", ".join(map(repr, unknown[:20])) + (", ..." if len(unknown) > 20 else "")
            self.app.abort(f"git does not know these files, which would be packed: {names}. Add or remove them")
