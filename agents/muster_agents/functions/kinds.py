"""Which calls may share a container: those that would make the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from muster.model.definition.workflow import ContainerSpec
from muster.model.log.commands import AttemptOrder
from muster.model.plan.artifacts import IN, Artifact

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def kind(order: AttemptOrder) -> str:
    """Everything the container is made of but its image's digest: equal where a call may be served by it.

    When an image is pulled does not matter to what is then in it. Files the function is loaded with are told by their
    contents: under one name others may come.
    """
    spec = msgspec.structs.replace(order.container, pull_policy="missing")
    files = {name: artifact.digest for name, artifact in sorted(loading(order).items())}
    # As a tuple: what is left out of a struct depends on how it came to its defaults.
    return _encode([spec, msgspec.structs.astuple(order.resources), owner(order), files]).decode()


def owner(order: AttemptOrder) -> str:
    """The execution that has the container for itself; empty where it is shared."""
    return "" if order.container.isolation == "shared" else order.execution


def loading(order: AttemptOrder) -> Mapping[str, Artifact]:
    """The files that the function is loaded with."""
    spoken = set(_texts(order.container.params))
    return {name: artifact for name, artifact in order.files.items() if f"{IN}/{name}" in spoken}


def given(order: AttemptOrder) -> Mapping[str, Artifact]:
    """The files that are for the call."""
    spoken = set(_texts(order.inputs))
    return {name: artifact for name, artifact in order.files.items() if f"{IN}/{name}" in spoken}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def call_id(order: AttemptOrder) -> str:
    """The attempt's name, as its function is told it."""
    return f"{order.execution}/{order.step}/{order.attempt}"


def short(spec: ContainerSpec) -> str:
    """Stands for what the function was loaded with: equal where that is. Empty where it was loaded with nothing."""
    return hashlib.sha256(_encode(spec.params)).hexdigest()[:8] if spec.params else ""
