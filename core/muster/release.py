"""Which release of Muster this is, read once: asking the installed wheel touches the disk."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

RELEASE: Final = version("muster-engine")
