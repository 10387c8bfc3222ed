"""Calls a Python function for Muster: nothing but the standard library, Python 3.8 or newer.

The agent packs this package into one file, puts that into the container and runs it. It speaks the protocol of
docs/function-protocol.md on its stdin and stdout: it is told to load ``module:callable``, then to call it, again and
again (``serving``). Whatever the function prints goes to stderr. Functions may ``import muster_function`` for the names
below.
"""

from .answers import CheckLater, Failure, Progress, Retry, Skip, Success
from .call import Call

__all__ = ["Call", "CheckLater", "Failure", "Progress", "Retry", "Skip", "Success"]
