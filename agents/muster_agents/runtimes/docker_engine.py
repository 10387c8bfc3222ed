"""The container engine as blocking calls, each for a thread; its failures in Muster's words.

Works with Docker and with Podman's Docker-compatible socket, wherever DOCKER_HOST says it is.
"""

from __future__ import annotations

import contextlib
import io
import math
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import docker
import docker.errors
import docker.types
import docker.utils
import requests.exceptions

from muster.model.definition.workflow import ContainerSpec
from muster.model.errors import ContainerStartingError, OutputError
from muster.model.log.commands import AttemptOrder, AttemptResources
from muster_agents.runtimes.docker_files import STRANGE, archive, take
from muster_agents.runtimes.docker_gpus import labelled, remedy_of, requests_for
from muster_agents.runtimes.environment import (
    OUTPUTS,
    has_files,
    serving_entrypoint,
    serving_variables,
    variables,
)
from muster_agents.runtimes.interface import Launch
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
LOGS: Final = {"max-size": "16m", "max-file": "2"}
"""Of a function, whose log only has to reach from one agent to the next; it may print for months."""


class EngineAwayError(Exception):
    """The engine does not answer."""


class _Client(docker.APIClient):
    """Stays closed. The library's would open new connections for a thread that asks later, and nobody closes those."""

    _over = False

    def close(self) -> None:
        self._over = True
        super().close()

    def get_adapter(self, url: str) -> Any:
        if self._over:
            raise requests.exceptions.ConnectionError("the connection was closed")
        return super().get_adapter(url)

    def send(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().send(*arguments, **options)
        finally:
            if self._over:  # since it was asked: what was opened meanwhile
                super().close()


class Engine:
    """One client, for many threads."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._client: docker.APIClient | None = None
        self._changing = threading.Lock()
        self._closed = False
        self._readable_logs = True
        self._has_init = False

    @property
    def api(self) -> docker.APIClient:
        """The client."""
        assert self._client is not None, "open it first"
        return self._client

    def open(self) -> None:
        """Connect. Raises ContainerStartingError with what to do where no engine answers."""
        try:
            client = _Client(
                version="auto",
                timeout=TIMEOUT_S,
                max_pool_size=self._connections,
                **docker.utils.kwargs_from_env(),
            )
            with self._changing:
                self._client = client
                if self._closed:  # nobody waits for it any more
                    client.close()
            info = self.api.info()
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise ContainerStartingError(
                f"No container engine answers: {cause_of(error)}.",
                remedy="Start Docker or Podman's socket, let this user in, or set DOCKER_HOST; "
                "muster agent --runtime process needs none and isolates nothing.",
            ) from error
        self._readable_logs = info.get("LoggingDriver") != "none"
        self._has_init = bool(info.get("InitBinary"))

    def close(self) -> None:
        """Close idle connections, those in use after their call. Who asks later is told that no engine answers."""
        with self._changing:
            self._closed = True
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
        more = {} if self._readable_logs else {"log_config": docker.types.LogConfig(type="json-file")}
        config = host_config(self.api, spec, order.resources, pids, gpus, **more)
        with starting():
            created = self.api.create_container(
                image,
                spec.command,
                name=name,
                entrypoint=spec.entrypoint,
                environment=variables(order, FOLDER),
                working_dir=spec.working_dir,
                user=spec.user,
                labels=dict(labels),
                volumes=[FOLDER] if with_files else None,
                detach=True,
                host_config=config,
            )
            return str(created["Id"])

    def create_serving(
        self, launch: Launch, image: str, *, name: str, labels: Mapping[str, str], pids: int
    ) -> str:
        """Create the container of a function, with its folders and its harness. Raises ContainerStartingError."""
        spec = launch.container
        logs = docker.types.LogConfig(type="json-file", config=LOGS)
        # A first process that reaps what is left to it, and passes signals on: few functions would.
        more: dict[str, Any] = {"log_config": logs} | ({"init": True} if self._has_init else {})
        config = host_config(self.api, spec, launch.resources, pids, launch.gpus, **more)
        with starting():
            created = self.api.create_container(
                image,
                spec.command,
                name=name,
                entrypoint=serving_entrypoint(spec, FOLDER),
                environment=serving_variables(spec, FOLDER),
                working_dir=spec.working_dir,
                user=spec.user,
                labels={**labels, **labelled(launch.gpus)},
                volumes=[FOLDER],
                detach=True,
                stdin_open=True,
                host_config=config,
            )
            return str(created["Id"])

    def unpack(self, container: str, parts: Iterator[bytes]) -> None:
        """Put an archive into the container's volume. Raises ContainerStartingError."""
        with starting():
            # docker-py says bytes, and requests sends any iterable piece by piece.
            self.api.put_archive(container, FOLDER, parts)

    def fill(self, container: str, order: AttemptOrder, files: Mapping[str, Path]) -> None:
        """Put the inputs, files, and a place for the outputs into the container's volume, if it has one."""
        if has_files(order):
            self.unpack(container, archive(order, files))

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
            raise EngineAwayError(cause_of(error)) from error

    def is_running(self, container: str) -> bool:
        """Whether it is. Raises EngineAwayError, NotFound."""
        try:
            return bool(self.api.inspect_container(container)["State"].get("Running"))
        except docker.errors.NotFound:  # which is one of the next, too
            raise
        except requests.exceptions.RequestException as error:
            raise EngineAwayError(cause_of(error)) from error

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
                f"The container engine broke off while {FOLDER}/out/{path} was read: {cause_of(error)}.",
                remedy="Look after the engine on this machine: docker info.",
            ) from error


def host_config(
    api: docker.APIClient,
    spec: ContainerSpec,
    wanted: AttemptResources,
    pids: int,
    gpus: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """What holds a container within its bounds."""
    if wanted.memory:
        more |= {"mem_limit": wanted.memory, "memswap_limit": wanted.memory}
    if wanted.cpus:
        more["nano_cpus"] = int(wanted.cpus * 1e9)
    if wanted.gpus:
        more["device_requests"] = requests_for(gpus, wanted.gpus)
    config: dict[str, Any] = api.create_host_config(
        security_opt=["no-new-privileges"],
        cap_drop=["ALL"],
        network_mode=spec.network_mode,
        pids_limit=pids,
        read_only=spec.read_only,
        **more,
    )
    return config


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
            f"The container engine does not answer: {cause_of(error)}.",
            remedy="Look after the engine on this machine: docker info.",
        ) from error


def cause_of(error: BaseException) -> str:
    """The innermost reason, which is the one that helps."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
