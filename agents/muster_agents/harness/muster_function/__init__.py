"""Calls a Python function for Muster: nothing but the standard library, Python 3.8 or newer.

The agent packs this package into one file, puts that into the container, and runs it with ``module:callable``. It loads
the function, calls it with what stands in ``$MUSTER_INPUT``, and writes one JSON object to ``$MUSTER_OUTPUT``:

    {"$returned": value}         what the function gave
    {"$result": "retry", ...}    what it asked for instead (see Retry, CheckLater, Skip, Failure)
    {"$raised": {...}}           why there is neither; ``where`` says how far it came

On the way it tells of itself on stdout, one JSON-RPC notification a line: ``loaded`` and ``progress``. Whatever the
function prints goes to stderr. Functions may ``import muster_function`` for the names below.
"""

from .answers import CheckLater, Failure, Progress, Retry, Skip, Success
from .talking import Call

__all__ = ["Call", "CheckLater", "Failure", "Progress", "Retry", "Skip", "Success"]
