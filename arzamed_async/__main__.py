"""Runs `arzamed` as `python -m arzamed_async`."""

from .cli.main import main

main()
