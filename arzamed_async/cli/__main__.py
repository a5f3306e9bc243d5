"""`python -m arzamed_async.cli` is `arzamed`."""

from .main import main

main()
