"""What there is to be recorded: scenarios, played for real, and histories that are made of recorded ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from muster.model.log.envelope import Recorded
from tests.golden.stage import Stage

Scene = Callable[[Stage], Awaitable[object]]
Cut = Callable[[list[Recorded]], list[Recorded]]


class Scenario(msgspec.Struct, frozen=True):
    """``about`` is the sentence of its docstring. ``docker`` where it needs an engine."""

    name: str
    about: str
    scene: Scene
    docker: bool = False


class Derived(msgspec.Struct, frozen=True):
    """A history that is made of the one called ``source``."""

    name: str
    about: str
    source: str
    cut: Cut


SCENARIOS: Final[dict[str, Scenario]] = {}
DERIVED: Final[dict[str, Derived]] = {}


def scenario(scene: Scene) -> Scene:
    """Enter a scene under its function's name."""
    return _enter(scene, docker=False)


def in_docker(scene: Scene) -> Scene:
    """As ``scenario``, for one that runs containers."""
    return _enter(scene, docker=True)


def _enter(scene: Scene, *, docker: bool) -> Scene:
    name = _name(scene)
    SCENARIOS[name] = Scenario(name, _about(scene), scene, docker)
    return scene


def derived(source: str) -> Callable[[Cut], Cut]:
    """Enter a history that the function makes of another one."""

    def enter(cut: Cut) -> Cut:
        DERIVED[_name(cut)] = Derived(_name(cut), _about(cut), source, cut)
        return cut

    return enter


def _name(made: Any) -> str:
    return made.__name__.replace("_", "-")


def _about(made: Any) -> str:
    return made.__doc__.strip().split("\n")[0]


# ---- steps


def step(id_: str, command: str | list[str] = "true", **more: Any) -> dict[str, Any]:
    """A step of the process runtime, which needs no image."""
    return {"id": id_, "image": "none", "command": command, **more}


def prints(id_: str, command: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    """A step whose output ``said`` is what it prints."""
    return step(id_, command, outputs={"said": {"type": kind, "source": "stdout"}}, **more)


def writes(id_: str, document: str, outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A step that writes its outputs into the file it is told."""
    return step(id_, f"echo '{document}' > $MUSTER_OUTPUT", outputs=outputs, **more)


def shell(id_: str, image: str, script: str, **more: Any) -> dict[str, Any]:
    """A step that runs a script in a container."""
    return {"id": id_, "image": image, "command": ["sh", "-c", script], **more}


def retry(attempts: int, **phases: int) -> dict[str, Any]:
    """So many attempts, quickly one after the other."""
    found: dict[str, Any] = {"max_attempts": attempts, "backoff": {"initial": "50ms", "jitter": False}}
    return found | ({"phases": phases} if phases else {})
