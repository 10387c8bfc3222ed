"""What the agent puts into the container of a function: the package beside this, in one file.

A zip is a program to Python, and one file can be put where nothing is installed. It is stored as it is: not every
Python can decompress.
"""

from __future__ import annotations

import functools
import io
import zipfile
from importlib import resources
from typing import Final

HARNESS: Final = "muster_function.pyz"
SILENT: Final = "MUSTER_FUNCTION_SILENT"
"""With this in its environment the harness prints no error that it answers: for who tells it to a person anyway."""
PACKAGE: Final = "muster_function"
_MAIN: Final = f'if __name__ == "__main__":\n    from {PACKAGE}.serving import main\n\n    main()\n'


@functools.cache
def harness() -> bytes:
    """The file. Reads the package: for a thread."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(_entry("__main__.py"), _MAIN)
        for part in sorted(resources.files(__name__).joinpath(PACKAGE).iterdir(), key=lambda one: one.name):
            if part.name.endswith(".py"):
                packed.writestr(_entry(f"{PACKAGE}/{part.name}"), part.read_bytes())
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """Without a time, so that it is the same file whenever it is made."""
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
