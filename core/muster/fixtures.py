"""Reading fixtures from files: the edge of ``muster.model.proof.fixture``."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Final

from muster.model.errors import FixtureInvalidError
from muster.model.log.envelope import Recorded
from muster.model.proof import fixture

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"


def load(path: str | Path) -> list[Recorded]:
    """The events of the fixture in this file, plain or gzip'd (told by its content); ``-`` is standard input.

    Raises FixtureInvalidError where the file cannot be read or is no fixture, naming the file and the line.
    """
    name = "standard input" if str(path) == STDIN else str(path)
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == STDIN else Path(path).open("rb") as file:
            return fixture.parse(_lines(_text(file)), name)
    except FileNotFoundError:
        raise FixtureInvalidError(
            f"{name}: there is no such file.", remedy=f"Record it: muster events EXECUTION --json > {name}"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FixtureInvalidError(
            f"{name}: the compressed file is damaged ({error}).", remedy="Copy or record it again."
        ) from None
    except OSError as error:
        raise FixtureInvalidError(
            f"{name}: {error.strerror or error}.", remedy="Name a file that can be read."
        ) from None


def _text(file: IO[bytes]) -> IO[bytes]:
    head = file.peek(2)[:2] if hasattr(file, "peek") else b""
    return gzip.GzipFile(fileobj=file) if head == _GZIP else file  # type: ignore[return-value]


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Line by line, and of one that is too long only so much that it is seen to be."""
    while chunk := file.readline(fixture.LINE_BYTES_MAX + 2):
        yield chunk
