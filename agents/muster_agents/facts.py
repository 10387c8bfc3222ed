"""What this machine has and is."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from muster.model.log.catalogue import Gpu, MachineFacts
from muster_agents.options import AgentOptions

NVIDIA_TIMEOUT_S: Final = 10.0  # a driver that was asleep answers within a few seconds
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def host_facts(options: AgentOptions) -> MachineFacts:
    """The facts that need no container engine. Reads files and may run nvidia-smi: for a thread."""
    cpus = options.cpus or float(_cpus())
    return MachineFacts(
        os=platform.system().lower(),
        arch=platform.machine(),
        hostname=platform.node(),
        boot_id=_boot_id(),
        cpus=cpus,
        memory=options.memory or _memory(),
        slots=options.slots or max(4, 2 * int(cpus)),
        gpus=_offered(options.gpus),
        labels=options.labels,
    )


def software() -> str:
    """Name and version of what runs here. Reads files: for a thread."""
    with contextlib.suppress(PackageNotFoundError):
        return f"muster-engine {version('muster-engine')}"
    return ""


def _cpus() -> int:
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text(encoding="ascii").strip()
    return ""


def _offered(wanted: int | list[str] | None) -> list[Gpu]:
    """The GPUs of the machine, but for what the operator says: how many of them, or which."""
    if wanted == 0:
        return []
    found = _gpus()
    if wanted is None:
        return found
    if isinstance(wanted, int):
        # The engine may be on another machine, where nvidia-smi cannot be asked.
        return found[:wanted] + [Gpu(name="GPU")] * (wanted - len(found))
    known = {gpu.id: gpu for gpu in found} | {str(number): gpu for number, gpu in enumerate(found)}
    return [known.get(one, Gpu(name="GPU", id=one)) for one in wanted]


def _gpus() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            query, capture_output=True, text=True, check=True, timeout=NVIDIA_TIMEOUT_S
        ).stdout
        return [gpu for line in answer.splitlines() if (gpu := parse_gpu(line)) is not None]
    return []


def parse_gpu(line: str) -> Gpu | None:
    """One line of nvidia-smi: uuid, name, mebibytes. A driver that cannot tell one of them says ``[N/A]``."""
    front, _, memory = line.rpartition(",")
    uuid, _, name = front.partition(",")
    if not name.strip():
        return None
    mebibytes = int(memory) if memory.strip().isdecimal() else 0
    return Gpu(name=name.strip(), memory=mebibytes << 20, id="" if "[" in uuid else uuid.strip())
