"""The script `arzamed`: it starts arzamed_async.cli, and stands outside of the package for the sake of Ctrl-C.

Whatever is imported from the package imports the package, which takes a few tenths of a second. Ctrl-C in that time
would be a traceback; as the signal's default action it ends the process in silence, as SIGTERM does.
"""

from __future__ import annotations

import signal
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line, and end the process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the parent process ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from arzamed_async.cli.main import main as run

    run()
