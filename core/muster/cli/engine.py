"""Whether a container engine answers on this machine."""

from __future__ import annotations

import asyncio
from typing import Any, Final

ANSWER_LIMIT_S: Final = 5
PULL_LIMIT_S: Final = 60  # between two signs of life of a pull


async def engine_version() -> str | None:
    """``docker 28.2.2``, or None where nothing answers."""
    return await asyncio.to_thread(_version)


async def has_image(image: str) -> bool:
    """Whether the engine has ``image`` or can pull it."""
    return await asyncio.to_thread(_has_image, image)


def _version() -> str | None:
    try:
        client = _client()
    except Exception:  # the library raises what its transport raises
        return None
    try:
        told: dict[str, Any] = client.version()
    except Exception:
        return None
    finally:
        client.close()
    parts = {str(part.get("Name", "")) for part in told.get("Components", ()) if isinstance(part, dict)}
    name = "podman" if any("podman" in part.lower() for part in parts) else "docker"
    return f"{name} {told.get('Version', '')}".strip()


def _has_image(image: str) -> bool:
    try:
        client = _client()
    except Exception:
        return False
    try:
        try:
            client.images.get(image)
        except Exception:  # not here: whether it can be had is what is asked
            client.api.timeout = PULL_LIMIT_S
            client.images.pull(image)
        return True
    except Exception:
        return False
    finally:
        client.close()


def _client() -> Any:
    import docker

    return docker.from_env(timeout=ANSWER_LIMIT_S)
