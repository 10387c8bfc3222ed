"""The workflow definition as people write it: the shape only.

What a definition means is worked out in ``muster.model.plan.tree``; whether it is any good, in
``muster.model.definition.validation``. Fields of a container are named as in the Compose file. Durations are
``500ms 10s 5m 1h`` or seconds, sizes ``64Mi 1Gi`` or bytes; any string may hold ``${{ }}`` expressions where the plan
evaluates it.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from muster.model.definition.schedule import Schedule
from muster.model.definition.terms import Term, steps

ValueType = Literal[
    "any", "string", "integer", "number", "boolean", "array", "object", "file", "image", "audio", "video", "pdf", "csv",
]  # fmt: skip
VALUE_TYPES: Final = get_args(ValueType)
Duration = str | int | float
Size = str | int
Condition = str | bool | list[str | bool]
Isolation = Literal["shared", "execution", "call"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Unknown keys are refused by validation, not here: a log written by a newer release must still be read."""


class Port(_Part, frozen=True, kw_only=True):
    """What a value is: its ``type``; ``items``, what each member of an array is; ``properties``, those of an object.

    Without a default it is required, unless ``required`` is false (then it is null where it is not given).
    """

    type: ValueType = "any"
    description: str = ""
    default: Any | UnsetType = UNSET
    required: bool = True
    items: ValueType | Port | None = None
    properties: dict[str, Port] = {}


class Input(Port, frozen=True, kw_only=True):
    """One input of a workflow or of a step. Without a default it is required, unless ``required`` is false."""


class Output(Port, frozen=True, kw_only=True):
    """One output of a step.

    ``source``: ``file`` takes the key of this name from the JSON object at $MUSTER_OUTPUT; ``stdout`` takes what the
    container printed, without the last line end, read as JSON unless the type is string. ``path``: the output is the
    file that stands there below /muster/out when the container has ended well.
    """

    source: Literal["file", "stdout"] = "file"
    path: str | None = None


class Backoff(_Part, frozen=True, kw_only=True):
    """How long to wait before the next attempt: initial, then times factor, up to max; jitter takes up to half off."""

    initial: Duration = "1s"
    factor: float = 2.0
    max: Duration = "30s"
    jitter: bool = True


class Retry(_Part, frozen=True, kw_only=True):
    """``max_attempts`` counts every try of a phase: 1 means no retry. ``phases`` sets another number for a phase."""

    max_attempts: int = 1
    backoff: Backoff = Backoff()
    phases: dict[Literal["pull", "start", "load", "run"], int] = {}


class Timeouts(_Part, frozen=True, kw_only=True):
    """How long each phase of an attempt may take."""

    pull: Duration = "10m"
    start: Duration = "1m"
    load: Duration = "5m"
    run: Duration = "24h"


class MachineSelector(_Part, frozen=True, kw_only=True):
    """Where a step may run: on the machine of this name, or on one that has all these labels."""

    name: str | None = None
    labels: dict[str, str] = {}


class Resources(_Part, frozen=True, kw_only=True):
    """What an attempt of the step takes from its machine, and may not exceed."""

    cpus: float = 0.0
    memory: Size = 0
    gpus: int = 0
    slots: int = 1


class WaitForInput(_Part, frozen=True, kw_only=True):
    """What is asked of a person or a program: ``schema`` is the JSON Schema of the answer."""

    prompt: str = ""
    schema: dict[str, Any] = {}
    timeout: Duration | None = None


class ForEach(_Part, frozen=True, kw_only=True):
    """Steps that are run once for each member of a list, or of a mapping (then ``item`` has ``key`` and ``value``).

    ``on_failure``: after an item has failed no other is begun (drain), or all are (continue); the step fails in both.
    """

    in_: Any = msgspec.field(name="in")
    steps: list[Step]
    max_parallel: int = 100
    on_failure: Literal["drain", "continue"] = "drain"


class Map(_Part, frozen=True, kw_only=True):
    """As ``for_each`` over ``over``; then ``reduce`` is evaluated for each result in order, from ``initial`` on."""

    over: Any
    steps: list[Step]
    reduce: str | None = None
    initial: Any = None
    max_parallel: int = 100
    on_failure: Literal["drain", "continue"] = "drain"


class Case(_Part, frozen=True, kw_only=True):
    """One branch of a ``switch``: the first whose ``case`` holds is taken; one without ``case`` always holds."""

    case: Condition | UnsetType = UNSET
    name: str | None = None
    then: list[Step]


class Cache(_Part, frozen=True, kw_only=True):
    """What the step gave is given again, without running it, where it is asked the same.

    ``key``: what makes it the same; by default all that its container runs, or its workflow and inputs. ``max_age``:
    how old it may be. ``scope``: only for this step of workflows of this name (step), or for all of this key (global).
    """

    key: Any | UnsetType = UNSET
    max_age: Duration | None = None
    scope: Literal["step", "global"] = "step"


class Step(_Part, frozen=True, kw_only=True):
    """One step. It does one thing: run a container (``image``), or one of the control steps.

    ``function``: ``module:callable`` in the image, called with ``inputs`` as its arguments; what it returns are the
    outputs. A name without a colon: the image itself answers such calls. ``params``: what the function is loaded with,
    once for many calls. ``isolation``: its container is for all (shared), for the steps of one execution, or for one
    call. ``command`` as a string goes to a shell (``/bin/sh -c``). ``gives_result``: it may write ``$result`` to
    $MUSTER_OUTPUT though it declares no outputs. ``accepts``: what its ``inputs`` must be, by name. ``if``: all must
    hold, or the step is skipped. ``always``: it runs
    whatever became of what it needs, and also while the execution is ending. ``on_failure``: steps that are run where
    this one has failed. ``tags``: what the execution must hold. ``priority`` is added to that of the execution.
    ``cache``: what it gave before is given again. ``concurrency``: how many steps with the same key may be under way
    at once, in all executions.
    """

    id: str = ""
    image: str | None = None
    function: str | None = None
    params: dict[str, Any] = {}
    isolation: Isolation = "shared"
    then: list[Step] | None = None
    else_: list[Step] | None = msgspec.field(name="else", default=None)
    switch: list[Case] | None = None
    for_each: ForEach | None = None
    map: Map | None = None
    chain: list[Step] | None = None
    group: list[Step] | None = None
    parallel: list[Step] | None = None
    wait_for_input: WaitForInput | None = None
    sleep: Duration | None = None
    sleep_until: str | None = None
    workflow: str | None = None
    set: dict[str, Any] | None = None
    get: str | None = None
    return_: Any | UnsetType = msgspec.field(name="return", default=UNSET)
    error: str | None = None
    log: str | None = None
    if_: Condition | None = msgspec.field(name="if", default=None)
    always: bool = False
    on_failure: list[Step] = []
    description: str = ""
    command: list[str] | str | None = None
    entrypoint: list[str] | str | None = None
    environment: dict[str, str | int | float | bool | None] = {}
    working_dir: str | None = None
    user: str | None = None
    network_mode: Literal["none", "bridge", "host"] = "none"
    read_only: bool = False
    pull_policy: Literal["missing", "always", "never"] = "missing"
    stop_grace_period: Duration = "10s"
    inputs: dict[str, Any] = {}
    accepts: dict[str, Input] = {}
    outputs: dict[str, Output] = {}
    gives_result: bool = False
    needs: list[str] = []
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    machine: str | MachineSelector | None = None
    resources: Resources = Resources()
    tags: list[str] = []
    priority: int = 0
    cache: Cache | None = None
    concurrency: Concurrency | None = None

    @property
    def output(self) -> Term:
        """The outputs of this step in expressions of others: ``words.output.count``."""
        return steps[self.id].outputs


class Concurrency(_Part, frozen=True, kw_only=True):
    """How many with the same ``key`` may be under way at once, in all executions of the cluster.

    ``on_conflict``: one more waits for its turn (queue), or the oldest are cancelled for it (cancel_running), or it is
    refused (reject).
    """

    key: str | None = None
    limit: int = 1
    on_conflict: Literal["queue", "cancel_running", "reject"] = "queue"


class Limits(_Part, frozen=True, kw_only=True):
    """How many ``steps`` an execution may begin, and how many of each of its ``functions``, by patterns of names.

    A function counts under the first pattern that fits (``*`` and ``?`` as in file names); null is no limit.
    """

    steps: int | None = None
    functions: dict[str, int | None] = {}


class Workflow(_Part, frozen=True, kw_only=True):
    """A definition: inputs, steps, outputs.

    ``on_failure``: after a step has failed nothing new is started and what runs is let end (drain), or it is stopped
    (cancel), or whatever does not need the step goes on (continue); the execution fails in each case. ``on_finish``:
    steps that are run at the end, however it ends. ``workflows``: those that ``workflow`` steps run, by name.
    ``concurrency``: how many executions with the same key, by default the workflow's name, are under way at once.
    ``schedule``: when it is to be run by itself, once it was handed to the scheduler for that.
    ``limits``: how many steps an execution may begin. ``timeout``: how long it may take from its start. ``tags`` are
    what it holds, ``labels`` and ``metadata`` what it is submitted with where nothing else is said.
    """

    name: str
    description: str = ""
    inputs: dict[str, Input] = {}
    steps: list[Step]
    outputs: dict[str, Any] = {}
    on_failure: Literal["drain", "cancel", "continue"] = "drain"
    on_finish: list[Step] = []
    workflows: dict[str, Workflow] = {}
    concurrency: Concurrency | None = None
    schedule: Schedule | None = None
    limits: Limits | None = None
    priority: int = 0
    timeout: Duration | None = None
    tags: list[str] = []
    labels: dict[str, str] = {}
    metadata: dict[str, Any] = {}


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to run, with every expression evaluated. ``command`` and ``entrypoint`` None mean the image's own; with a
    ``function`` of the form ``module:callable`` both are.
    """

    image: str
    function: str | None = None
    params: dict[str, Any] = {}
    isolation: Isolation = "shared"
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    environment: dict[str, str] = {}
    working_dir: str | None = None
    user: str | None = None
    network_mode: Literal["none", "bridge", "host"] = "none"
    read_only: bool = False
    pull_policy: Literal["missing", "always", "never"] = "missing"
