"""The folder /muster where there is no container: every process has one of its own, elsewhere.

What a step says of ``/muster/in`` and ``/muster/out`` is replaced before it runs, so that a workflow runs the same in
both runtimes: paths in its command, entrypoint, environment and working_dir, and the files among its inputs. What a
program itself has in its text is not: there, $MUSTER_IN and $MUSTER_OUT say where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from muster.model.definition.workflow import ContainerSpec
from muster.model.log.commands import AttemptOrder
from muster.model.plan import artifacts

_PATH: Final = re.compile(r"(?<![\w./-])/muster/(in|out)(?![\w.-])")


def rooted(order: AttemptOrder, folder: str) -> AttemptOrder:
    """The order with /muster in ``folder``."""
    container = rooted_container(order.container, folder)
    inputs = artifacts.moved(order.inputs, order.files, f"{folder}/in")
    return msgspec.structs.replace(order, container=container, inputs=inputs)


def rooted_container(spec: ContainerSpec, folder: str) -> ContainerSpec:
    """What to run, with /muster in ``folder``."""

    def placed(text: str) -> str:
        return _PATH.sub(lambda found: f"{folder}/{found[1]}", text)

    return msgspec.structs.replace(
        spec,
        command=_each(spec.command, placed),
        entrypoint=_each(spec.entrypoint, placed),
        environment={name: placed(text) for name, text in spec.environment.items()},
        working_dir=None if spec.working_dir is None else placed(spec.working_dir),
    )


def _each(words: list[str] | None, placed: Callable[[str], str]) -> list[str] | None:
    return None if words is None else [placed(word) for word in words]
