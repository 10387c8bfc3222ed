"""The CEL library without its own command line, which would be nearly half of what each command of Muster loads."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_NOTHING: Final = ModuleType("cel.cli")

sys.modules.setdefault(_NOTHING.__name__, _NOTHING)

import cel  # noqa: E402 - it loads its command line, unless that is there
from cel import stdlib  # noqa: E402

if sys.modules[_NOTHING.__name__] is _NOTHING:  # whoever wants it can load it from here on
    del sys.modules[_NOTHING.__name__]
    del cel.cli

__all__ = ["cel", "stdlib"]
