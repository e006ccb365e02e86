"""The doit-cargo command: a launcher that reads receipts first, and the commands around it.

Until `main.main` takes over, Ctrl-C ends the program by its signal: there is nothing to put away, nor to tell.
"""

import _signal  # type: ignore[import-not-found] # what `signal` wraps, without its enumerations
import sys

if sys.argv[0].endswith("doit-cargo") and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
