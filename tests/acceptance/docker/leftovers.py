"""What a stack does in the container engine, and what it leaves there: nothing, and this is who looks."""

from __future__ import annotations

import threading
from typing import Any, Final, Self

import docker

from tests.acceptance.docker.stack import until

PREFIX: Final = "io.muster."
TYPES: Final = ["container", "volume"]
EVENTS: Final = ["create", "kill", "die", "destroy", "mount"]
GO: Final = "/tmp/go"


class Witness:
    """Writes down every container and volume that was made for one event log, and says which are still there.

    By the log's own label, because other tests and other people may use the same engine at the same time.
    """

    def __init__(self, engine: docker.DockerClient, created: str) -> None:
        self.engine = engine
        self.label = f"{PREFIX}log={created}"
        self.happened: list[tuple[float, str, dict[str, str]]] = []
        self.containers: dict[str, dict[str, str]] = {}
        self.volumes: set[str] = set()
        self._created = created
        # No others: they are read byte by byte, and all who use the engine make them.
        self._events = engine.events(decode=True, filters={"type": TYPES, "event": EVENTS})
        self._thread = threading.Thread(target=self._listen, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._thread.join(5)

    def _listen(self) -> None:
        for event in self._events:
            actor = event.get("Actor", {})
            attributes: dict[str, str] = actor.get("Attributes", {})
            if event.get("Type") == "volume" and attributes.get("container") in self.containers:
                self.volumes.add(actor["ID"])
            if event.get("Type") == "container" and attributes.get(f"{PREFIX}log") == self._created:
                self.containers[actor["ID"]] = attributes
                moment = event["timeNano"] / 1e9
                self.happened.append((moment, event["Action"], attributes | {"id": actor["ID"]}))

    def when(self, action: str, **wanted: str) -> list[float]:
        """When the engine did this, in seconds of the clock; ``wanted`` without ``io.muster.``."""
        return [
            moment
            for moment, done, attributes in list(self.happened)
            if done == action
            and all(
                value in {attributes.get(PREFIX + key), attributes.get(key)} for key, value in wanted.items()
            )
        ]

    def present(self, **labels: str) -> list[dict[str, Any]]:
        """The containers of this log that are there, running or not; ``labels`` without ``io.muster.``."""
        wanted = [self.label, *(f"{PREFIX}{name}={value}" for name, value in labels.items())]
        found: list[dict[str, Any]] = self.engine.api.containers(all=True, filters={"label": wanted})
        return found

    def running(self, **labels: str) -> str:
        """The id of the container with these labels, once it runs."""

        def runs() -> list[str]:
            return [str(one["Id"]) for one in self.present(**labels) if one["State"] == "running"]

        found: list[str] = until(f"a container of {labels}", runs)
        return found[0]

    def open_gate(self, container: str, place: str = GO) -> None:
        """Let a script go on that waits at this gate."""
        # Its exit code is nobody's: the script may end, and all else in the container with it, before touch has.
        self.engine.containers.get(container).exec_run(["touch", place], detach=True)

    def nothing_left(self) -> None:
        """No container and no volume of this log is there once removals had their time.

        They go on behind the attempts, on a machine that does other things too.
        """
        until("nothing is left behind", lambda: not self.left())

    def left(self) -> list[str]:
        """What is there now."""
        containers = [f"container {one['Names']}: {one['Status']}" for one in self.present()]
        volumes = {str(one["Name"]) for one in self.engine.api.volumes()["Volumes"] or []}
        return containers + [f"volume {name}" for name in sorted(self.volumes & volumes)]


def gate(place: str = GO) -> str:
    """A line of a script that waits until the test opens it."""
    return f"until [ -e {place} ]; do sleep 0.05; done"


GATE: Final = gate()
