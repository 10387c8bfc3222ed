"""Starting a process that dies with its agent, quickly.

``setpriv`` (util-linux) asks the kernel to kill the process when its parent ends, then becomes the command: measured
1.6 ms with it, since the interpreter can use vfork; 3 to 8 ms where Python has to fork to ask by itself, which it also
does to set a limit before the command begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from muster.model.errors import ContainerStartingError

PR_SET_PDEATHSIG: Final = 1
SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)
"""What a system says that has too little of something (files, memory, processes, room): no fault of a step's."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_prctl = _libc.prctl if _libc is not None else None  # looked up here: after a fork there is no looking up


def spawn(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    memory: int,
    *,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start ``command`` as a session of its own. For a thread that outlives the process: the kernel watches that one.

    ``memory`` bounds the address space, if it is not 0; ``stdin`` is as ``Popen`` wants it.
    Raises ContainerStartingError, or OSError where the machine is short of something that it may have again.
    """
    check(command[0], environment.get("PATH", os.defpath), folder)
    setpriv = [] if memory else _setpriv()
    try:
        return subprocess.Popen(
            [*setpriv, *command],
            bufsize=0,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=None if setpriv else _child(os.getpid(), memory),  # noqa: PLW1509 - see _child
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        if isinstance(error, OSError) and error.errno in SHORT:
            raise
        raise _failure(command[0], getattr(error, "strerror", None) or str(error)) from error


def kill_strays(folder: Path) -> None:
    """Kill what an agent before left: processes whose files were to be in ``folder``.

    There are some where an agent was killed within the millisecond before setpriv did its work, and where a process
    left its session.
    """
    marks = [f"{name}={folder}/".encode() for name in ("MUSTER_INPUT", "MUSTER_IN")]
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found = environment.read_bytes()
            if any(mark in found for mark in marks):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def clear(folder: Path) -> None:
    """Remove it and what is in it, as far as the step lets that be done.

    Raises OSError where the machine is short of something that it may have again.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        if error.errno in SHORT:
            raise
        shutil.rmtree(folder, ignore_errors=True)


def check(program: str, path: str, folder: Path) -> None:
    """Raise ContainerStartingError where ``program`` cannot be run, before anything is started."""
    if not folder.is_dir():
        raise _failure(program, f"the working directory {folder} does not exist")
    if "/" not in program:
        if shutil.which(program, path=path) is None:
            raise _failure(program, f"not found in {path}")
        return
    place = folder / program
    if not place.exists():
        raise _failure(program, "no such file")
    if place.is_dir() or not os.access(place, os.X_OK):
        raise _failure(program, "not executable")


def _failure(program: str, reason: str) -> ContainerStartingError:
    return ContainerStartingError(
        f"The command {program!r} could not be started: {reason}.",
        remedy="Check command, entrypoint and working_dir of the step against what this machine has.",
        retriable=False,
    )


@functools.cache
def _setpriv() -> list[str]:
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    return [] if found is None else [found, "--pdeathsig", "KILL", "--"]


def _child(parent: int, memory: int) -> Callable[[], None]:
    """What the new process does before it becomes the command.

    It only makes system calls: in a fork, locks of other threads may be held for ever.
    """

    def prepare() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if os.getppid() != parent:
            os._exit(1)

    return prepare
