"""What an agent can be told; each limit says why it is what it is."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from muster.model.errors import InvalidArgumentError
from muster.model.log.names import check_machine

RuntimeKind = Literal["auto", "docker", "process", "noop"]
RUNTIMES: Final[tuple[RuntimeKind, ...]] = ("auto", "docker", "process", "noop")


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one agent. An unknown one is a TypeError."""

    name: str
    """The machine's name in the log. One agent at a time writes under it."""
    labels: dict[str, str] = {}
    """What steps can ask for with ``machine: {labels: …}``."""
    runtime: RuntimeKind = "docker"
    """``auto`` takes docker, and process where no engine answers."""
    slots: int | None = None
    """Attempts at once. By default twice the cpus and at least 4: most steps wait for something most of the time, and
    what a step really needs of the processor it says with resources.cpus, which is counted by itself."""
    cpus: float | None = None
    """Cores that steps may ask for; by default those of the machine."""
    memory: int | None = None
    """Bytes that steps may ask for; by default those of the machine."""
    gpus: int | list[str] | None = None
    """GPUs that steps may ask for: how many, or which (by nvidia-smi's uuid or index); by default all that nvidia-smi
    lists. 0 keeps them from steps. Where the engine is on another machine nobody can be asked, and this says it."""
    interval_s: float = 3.0
    """Between two beats: a machine that died is noticed within some ten seconds, at a third of a message a second."""
    stop_after_disconnect_s: float = 300.0
    """Cut off from the broker for longer, the agent stops its attempts: by then the scheduler has given them to another
    machine, and two of a kind should not run on. Five minutes outlast a broker's restart and most network trouble."""
    outbox_bytes: int = 64 << 20
    """Facts that wait for the broker, about 150,000 of them. Then attempts wait; nothing is dropped."""
    outbox_segment_bytes: int = 4 << 20
    """A journal file larger than this, mostly of things done with, is written anew: a second's work for no disk."""
    outbox_round: int = 256
    """Facts in one append. One round trip carries them all; more would make the first of them wait for the last."""
    sync_interval_s: float = 1.0
    """Between two fdatasync of the journal. What the agent wrote survives its own death at once (it is in the page
    cache); a power cut may take the last second, and with it go the containers those facts were about."""
    guard_s: float = 15.0
    """Between two looks at whether another agent took the name. Writes are refused at once; an agent that has nothing
    to write would go on taking commands that are the other's."""
    append_retry_s: float = 0.5
    """Between two tries where the broker is away or full: quick enough to be unseen, slow enough not to press."""
    drain_flush_s: float = 5.0
    """How long an agent that ends waits for its facts to be taken; the rest stays on disk for the next start."""
    lock_wait_s: float = 10.0
    """How long a start waits for an agent of the same name on this disk to end: one that drains takes its grace."""
    remembered: int = 10_000
    """Attempts that are done, and stops that came before their start, remembered to recognise what comes twice. A
    command that comes again does so within the broker's acknowledgement time; this many outlast it at any load."""
    output_bytes: int = 1 << 20
    """The outputs of one attempt: one event holds no more, and reading more into memory helps nobody."""
    artifact_cache_bytes: int = 10 << 30
    """Files on disk that attempts may want again, beside those in use: what a step gave is most often wanted next."""
    artifact_transfer_s: float = 3600.0
    """How long the files of one attempt may take to be stored, the broker's absence included: a film over a slow line.
    The container has ended by then, so the timeout of its run phase says nothing of it."""
    log_line_bytes: int = 16 << 10
    """A longer line is cut into several: one line must fit any message and any screen."""
    log_batch_lines: int = 256
    """This many lines go at once without waiting for more."""
    log_delay_s: float = 0.05
    """Lines wait this long for company: nobody sees 50 ms, and a chatty container costs 20 messages a second."""
    log_backlog_bytes: int = 1 << 20
    """Lines of one attempt that wait for a slow connection. Then the oldest go, and a line says how many."""
    log_lines_per_s: int = 10_000
    """Of one attempt. Nobody reads more, and cutting them would take the loop from everything else: of a program gone
    wild the last lines are kept, for its end."""
    log_flush_s: float = 1.0
    """How long the end of an attempt waits for its last lines."""
    tail_lines: int = 20
    """The last lines that go with the error of a command that failed."""
    function_idle_s: float = 300.0
    """How long a loaded container stays that nobody calls. Five minutes bridge the pauses of a person at work; a model
    that nobody wants should not hold its memory for longer."""
    functions_max: int | None = None
    """Containers with a loaded function, idle or busy. By default twice the slots: as many may be busy at once as there
    are slots, and as many more wait for the other half of a workflow. The one not used for longest goes first."""
    function_ping_s: float = 2.0
    """How long an idle container may take to say that it is well: any that is does so within a millisecond, but for a
    machine that is short of everything. A slower one is replaced."""
    function_ping_after_s: float = 1.0
    """A container that answered this recently is called without being asked first: in a busy loop over a list no call
    pays for the question."""
    function_memory_share: float = 0.1
    """Idle containers go, one by one, while less than this share of the host's memory is available: a tenth is what a
    host needs to work without swapping."""
    function_message_bytes: int = 1 << 20
    """One message of the protocol, either way: what an event may hold of values. Larger things are files."""
    image_check_s: float = 5.0
    """How long it is believed which image a name means: someone who builds an image and calls its function at once
    waits no longer for the new one, and a busy loop does not ask the engine each time."""
    pids: int = 1024
    """Processes in one container: no honest step needs more, and a fork bomb stops here."""

    def __post_init__(self) -> None:
        check_machine(self.name)
        for field in ("slots", "cpus", "memory"):
            value = getattr(self, field)
            if value is not None and value <= 0:
                raise InvalidArgumentError(f"{field} must be above 0, and is {value:g}.")
        self._check_gpus()
        if self.functions_max is not None and self.functions_max < 0:
            raise InvalidArgumentError(f"functions_max must not be below 0, and is {self.functions_max}.")
        if self.function_idle_s < 0:
            raise InvalidArgumentError(
                f"function_idle_s must not be below 0, and is {self.function_idle_s:g}."
            )
        if self.interval_s <= 0:
            raise InvalidArgumentError(f"interval_s must be above 0, and is {self.interval_s:g}.")

    def _check_gpus(self) -> None:
        if isinstance(self.gpus, int) and self.gpus < 0:
            raise InvalidArgumentError(f"gpus must be 0 or more, and is {self.gpus}.")
        if isinstance(self.gpus, list) and len(set(self.gpus)) < len(self.gpus):
            raise InvalidArgumentError("gpus names a GPU twice.", remedy="Name each once.")
