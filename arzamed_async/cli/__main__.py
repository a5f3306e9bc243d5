"""Runs `arzamed` as `python -m arzamed_async.cli`."""

from .main import main

main()
