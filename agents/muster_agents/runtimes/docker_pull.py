"""Making an image available: what is here, what has to be pulled, how far that has come."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

import docker.errors
import msgspec
import requests.exceptions

from muster.model.errors import ImagePullError
from muster_agents.runtimes.docker_engine import Engine, cause_of

HOPELESS: Final = (
    "manifest unknown",
    "not found",
    "does not exist",
    "access denied",
    "unauthorized",
    "forbidden",
    "no basic auth credentials",
    "no matching manifest",
    "invalid reference format",
    "must be lowercase",
)
"""Said by registries and engines about pulls that fail the same way every time."""


class Image(msgspec.Struct, frozen=True):
    """An image that is here. ``digest`` is the registry's, or the image's id where no registry knows it."""

    id: str
    digest: str
    size: int


class Progress:
    """Bytes of a pull so far; written by its thread, read by the loop. ``cancelled`` ends the pull."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.cancelled = threading.Event()
        self.fetched = False
        self._changed = changed
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, line: dict[str, Any]) -> None:
        """One line of the engine's report."""
        status, layer, detail = line.get("status"), line.get("id"), line.get("progressDetail") or {}
        if status == "Downloading" and layer and detail.get("current"):
            self._layers[layer] = (detail["current"], max(detail["current"], detail.get("total") or 0))
        elif status in {"Download complete", "Pull complete"} and layer:
            self.fetched = True
            _, total = self._layers.get(layer, (0, 0))
            self._layers[layer] = (total, total)
        else:
            return
        self._changed()

    @property
    def bytes(self) -> tuple[int, int]:
        """How many are here, of how many that are known to come."""
        layers = list(self._layers.values())
        return sum(current for current, _ in layers), sum(total for _, total in layers)


def local(engine: Engine, image: str) -> Image | None:
    """The image, if it is here."""
    try:
        found: dict[str, Any] = engine.api.inspect_image(image)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        return None
    except docker.errors.APIError as error:
        raise _failed(image, str(error)) from error
    except requests.exceptions.RequestException as error:
        raise _unanswered(image, error) from error
    return Image(id=found["Id"], digest=_digest(image, found), size=int(found.get("Size") or 0))


def pull(engine: Engine, image: str, progress: Progress) -> Image:
    """Pull the image. Raises ImagePullError, which says whether trying again can help."""
    try:
        with contextlib.closing(engine.api.pull(image, stream=True, decode=True)) as report:
            for line in report:
                if progress.cancelled.is_set():
                    break
                if "error" in line:
                    raise _failed(image, str(line["error"]))
                progress.take(line)
    except docker.errors.APIError as error:
        raise _failed(image, str(error.explanation or error), status=error.status_code) from error
    except requests.exceptions.RequestException as error:
        raise _unanswered(image, error) from error
    except docker.errors.DockerException as error:
        raise _failed(image, str(error)) from error
    found = local(engine, image)
    if found is None:
        raise _failed(image, "the engine pulled it and does not have it")
    return found


def _failed(image: str, reason: str, status: int | None = None) -> ImagePullError:
    hopeless = status in {400, 401, 403, 404} or any(words in reason.lower() for words in HOPELESS)
    return ImagePullError(
        f"The image {image} could not be pulled: {reason.strip()}.", image=image, retriable=not hopeless
    )


def _unanswered(image: str, error: Exception) -> ImagePullError:
    return ImagePullError(
        f"The image {image} could not be looked for: the container engine does not answer: {cause_of(error)}.",
        remedy="Look after the engine on this machine: docker info.",
        image=image,
    )


def _digest(image: str, found: dict[str, Any]) -> str:
    """Of the repository the image was asked from, if it is among those that are known."""
    name = image.split("@", maxsplit=1)[0]
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    known = [str(entry).partition("@") for entry in found.get("RepoDigests") or []]
    fitting = [
        digest for place, _, digest in known if place == repository or place.endswith(f"/{repository}")
    ]
    return (fitting or [digest for _, _, digest in known] or [str(found["Id"])])[0]
