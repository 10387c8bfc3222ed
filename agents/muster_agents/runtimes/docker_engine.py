"""The container engine as blocking calls, each for a thread; its failures in Muster's words.

Works with Docker and with Podman's Docker-compatible socket, wherever DOCKER_HOST says it is.
"""

from __future__ import annotations

import contextlib
import io
import math
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import docker
import docker.errors
import docker.types
import docker.utils
import requests.exceptions

from muster.model.errors import ContainerStartingError, OutputError
from muster.model.log.commands import AttemptOrder
from muster_agents.runtimes.docker_files import STRANGE, archive, take
from muster_agents.runtimes.docker_gpus import remedy_of, requests_for
from muster_agents.runtimes.environment import OUTPUTS, entrypoint, has_files, variables
from muster_agents.runtimes.taking import Taken

FOLDER: Final = "/muster"
TIMEOUT_S: Final = 300
"""For one answer of the engine. The phases have their own limits; this one only ends waits nobody waits for."""
HOPELESS: Final = (
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "not a directory",
    "unable to find user",
    "no matching entries in passwd",
    "could not select device driver",
    "unknown device",
    "no command specified",
    "is a directory",
)
"""Said by engines about starts that fail the same way every time."""


class EngineAwayError(Exception):
    """The engine does not answer."""


class Engine:
    """One client, for many threads."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._client: docker.APIClient | None = None
        self._readable_logs = True

    @property
    def api(self) -> docker.APIClient:
        """The client."""
        assert self._client is not None, "open it first"
        return self._client

    def open(self) -> None:
        """Connect. Raises ContainerStartingError with what to do where no engine answers."""
        try:
            self._client = docker.APIClient(
                version="auto",
                timeout=TIMEOUT_S,
                max_pool_size=self._connections,
                **docker.utils.kwargs_from_env(),
            )
            info = self.api.info()
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise ContainerStartingError(
                f"No container engine answers: {_cause(error)}.",
                remedy="Start Docker or Podman's socket, let this user in, or set DOCKER_HOST; "
                "muster agent --runtime process needs none and isolates nothing.",
            ) from error
        self._readable_logs = info.get("LoggingDriver") != "none"

    def close(self) -> None:
        """Close idle connections."""
        if self._client is not None:
            self._client.close()

    def facts(self) -> dict[str, Any]:
        """For MachineFacts."""
        version, info = self.api.version(), self.api.info()
        parts = " ".join(str(part.get("Name")) for part in version.get("Components") or [])
        return {
            "engine": "podman" if "podman" in parts.lower() else "docker",
            "engine_version": str(version.get("Version", "")),
            "cpus": float(info.get("NCPU") or 0),
            "memory": int(info.get("MemTotal") or 0),
        }

    # ---- containers

    def find(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """All containers with these labels, running or not."""
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        found: list[dict[str, Any]] = self.api.containers(all=True, filters=filters)
        return found

    def create(
        self,
        order: AttemptOrder,
        image: str,
        *,
        name: str,
        labels: Mapping[str, str],
        pids: int,
        gpus: Sequence[str] = (),
    ) -> str:
        """Create the container, with its files where it has any. Raises ContainerStartingError."""
        spec = order.container
        with_files = has_files(order)
        with starting():
            created = self.api.create_container(
                image,
                spec.command,
                name=name,
                entrypoint=entrypoint(order, FOLDER),
                environment=variables(order, FOLDER),
                working_dir=spec.working_dir,
                user=spec.user,
                labels=dict(labels),
                volumes=[FOLDER] if with_files else None,
                detach=True,
                host_config=self._host_config(order, pids, gpus),
            )
            return str(created["Id"])

    def _host_config(self, order: AttemptOrder, pids: int, gpus: Sequence[str]) -> dict[str, Any]:
        wanted, spec = order.resources, order.container
        limits: dict[str, Any] = {}
        if wanted.memory:
            limits |= {"mem_limit": wanted.memory, "memswap_limit": wanted.memory}
        if wanted.cpus:
            limits["nano_cpus"] = int(wanted.cpus * 1e9)
        if wanted.gpus:
            limits["device_requests"] = requests_for(gpus, wanted.gpus)
        if not self._readable_logs:
            limits["log_config"] = docker.types.LogConfig(type="json-file")
        config: dict[str, Any] = self.api.create_host_config(
            security_opt=["no-new-privileges"],
            cap_drop=["ALL"],
            network_mode=spec.network_mode,
            pids_limit=pids,
            read_only=spec.read_only,
            **limits,
        )
        return config

    def fill(self, container: str, order: AttemptOrder, files: Mapping[str, Path]) -> None:
        """Put the inputs, files, and a place for the outputs into the container's volume, if it has one."""
        if has_files(order):
            with starting():
                # docker-py says bytes, and requests sends any iterable piece by piece.
                self.api.put_archive(container, FOLDER, archive(order, files))

    def start(self, container: str) -> None:
        """Start it. Raises ContainerStartingError."""
        with starting():
            self.api.start(container)

    def stop(self, container: str, grace_s: float) -> None:
        """Ask it to end, kill it after ``grace_s``; the engine counts whole seconds."""
        with contextlib.suppress(docker.errors.NotFound), starting():
            self.api.stop(container, timeout=math.ceil(grace_s))

    def remove(self, container: str) -> None:
        """Remove it and its volume, whatever it does."""
        try:
            self.api.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:  # its removal is in progress already
                raise

    def wait(self, container: str, timeout_s: int) -> int | None:
        """Its exit code, or None where it has not ended in that time."""
        try:
            return int(self.api.wait(container, timeout=timeout_s)["StatusCode"])
        except requests.exceptions.ReadTimeout:
            return None
        except requests.exceptions.ConnectionError as error:
            # What urllib3 says of a read timeout in the body of an answer.
            if "timed out" in str(error).lower():
                return None
            raise EngineAwayError(_cause(error)) from error

    def was_oom_killed(self, container: str) -> bool:
        """Whether the kernel killed it for its memory."""
        return bool(self.api.inspect_container(container)["State"].get("OOMKilled"))

    def output(self, container: str, limit: int) -> bytes | None:
        """What stands in $MUSTER_OUTPUT; None where there is no such file. Raises OutputError."""
        try:
            chunks, stat = self.api.get_archive(container, f"{FOLDER}/out/{OUTPUTS}")
        except docker.errors.NotFound:
            return None
        with contextlib.closing(chunks):
            if stat["mode"] & STRANGE:
                raise OutputError("$MUSTER_OUTPUT is not a plain file.")
            if stat["size"] > limit:
                raise OutputError(f"The outputs in $MUSTER_OUTPUT are larger than {limit} bytes.")
            text = b"".join(chunks)
        with tarfile.open(fileobj=io.BytesIO(text)) as tar:
            member = tar.next()
            file = tar.extractfile(member) if member is not None else None
            return None if file is None else file.read()

    def take(
        self, container: str, path: str, target: Path, bytes_max: int, stopped: Callable[[], bool]
    ) -> Taken | None:
        """A file the container made; None where there is none. Raises OutputError."""
        try:
            return take(self.api, container, path, target, bytes_max, stopped)
        except requests.exceptions.RequestException as error:
            raise OutputError(
                f"The container engine broke off while {FOLDER}/out/{path} was read: {_cause(error)}.",
                remedy="Look after the engine on this machine: docker info.",
            ) from error


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Says what the engine says, as a ContainerStartingError."""
    try:
        yield
    except docker.errors.APIError as error:
        text = str(error.explanation or error).strip()
        raise ContainerStartingError(
            f"The container engine refused: {text}.",
            remedy=remedy_of(text),
            retriable=not any(words in text.lower() for words in HOPELESS),
        ) from error
    except requests.exceptions.RequestException as error:
        raise ContainerStartingError(
            f"The container engine does not answer: {_cause(error)}.",
            remedy="Look after the engine on this machine: docker info.",
        ) from error


def _cause(error: BaseException) -> str:
    """The innermost reason, which is the one that helps."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
