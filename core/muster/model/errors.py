"""Every error a person can meet, in one tree.

The class docstring is the default message, data are attributes, ``code`` is stable (scripts may match on it)
and ``remedy`` says what to do next. An error that belongs to a run also says where: phase, step, machine,
attempt.

    MusterError
    ├── by Hyko's names
    │   ImagePullError, ContainerStartingError, ExecutionError, FunctionExecutionError, InputMissingError,
    │   MachineOfflineError, NotConnectedError, RetriableError, SourceNodeMissingError, ValueMissingError
    ├── what the other predecessors can say
    │   FunctionNotFoundError, FunctionLoadError, FunctionCrashedError, InvalidArgumentError, InvalidTypeError,
    │   AssertionFailedError, RaisedError, RetryAskedError, ConcurrencyLimitError, ExecutionOverdueError,
    │   DuplicateStepError, ForbiddenFunctionError, StepLimitError, FunctionLimitError, OutputError,
    │   OutOfMemoryError, StepTimeoutError, ExpressionError, WorkflowInvalidError
    └── Muster's own
        PlacementError, AttemptLostError, AgentFailedError, NameInvalidError, ExecutionNotFoundError,
        ExecutionConflictError, ExecutionNotEndedError, ScheduleNotFoundError, ScheduleRunningError,
        FixtureInvalidError, CommandInvalidError, ExecutionTimeoutError, BrokerError, BrokerUnsuitableError,
        LogChangedError, ArchiveUnavailableError, ArchiveDamagedError, ArtifactMissingError,
        ArtifactDamagedError, ReplacedError, IllegalTransitionError
"""

from __future__ import annotations

from muster.model.error import ErrorInfo, MusterError, by_code, by_name, from_info

__all__ = ["ErrorInfo", "MusterError", "by_code", "by_name", "from_info"]


# ---- by Hyko's names


class ImagePullError(MusterError):
    """The image {image} could not be pulled."""

    code = "image_pull"
    remedy = "Check the image name and tag, that the registry answers, and that this machine may read it."


class ContainerStartingError(MusterError):
    """The container could not be started."""

    code = "container_starting"
    remedy = "Check command, entrypoint, user and working_dir of the step against what the image contains."


class ExecutionError(MusterError):
    """The step's command failed."""

    code = "execution"
    remedy = "Read the step's logs: muster logs EXECUTION STEP."


class FunctionExecutionError(ExecutionError):
    """The function raised an exception."""

    code = "function_execution"
    remedy = "Read the traceback in the details and the step's logs: muster logs EXECUTION STEP."


class InputMissingError(MusterError):
    """The input {input} is required and was not given."""

    code = "input_missing"
    remedy = "Give it with --input NAME=VALUE, or declare a default."


class ValueMissingError(MusterError):
    """A referenced value does not exist."""

    code = "value_missing"
    remedy = "Declare the output in the step that should produce it, and check that the step writes it."


class SourceNodeMissingError(MusterError):
    """The step {source} is referenced and does not exist."""

    code = "source_node_missing"
    remedy = "Correct the step id in the reference, or add the step."


class MachineOfflineError(MusterError):
    """The machine {machine} was connected and stopped answering."""

    code = "machine_offline"
    remedy = "See muster machines; start the agent there again: muster agent."


class NotConnectedError(MusterError):
    """The machine {machine} has never connected, or said goodbye."""

    code = "not_connected"
    remedy = "See muster machines; start an agent under that name: muster agent --name NAME."


class RetriableError(MusterError):
    """The retries of an action are exhausted; the cause is the last error."""

    code = "retriable"
    remedy = "Mend the cause, or raise retry.max_attempts of the step."


# ---- what the other predecessors can say and Hyko cannot


class FunctionNotFoundError(MusterError):
    """The function was not found in the image."""

    code = "function_not_found"
    remedy = "Check module and callable of the step's function."


class FunctionLoadError(MusterError):
    """The function could not be loaded."""

    code = "function_load"
    remedy = "Read the traceback in the details."


class FunctionCrashedError(FunctionExecutionError):
    """The function's process ended in the middle of a call."""

    code = "function_crashed"
    remedy = "See its last lines in the logs: muster logs EXECUTION STEP."


class InvalidArgumentError(MusterError):
    """An argument has a value that is not accepted."""

    code = "invalid_argument"
    remedy = "Correct the value; the message names it."


class InvalidTypeError(MusterError):
    """A value has the wrong type."""

    code = "invalid_type"
    remedy = "Give a value of the declared type; the message names it."


class AssertionFailedError(MusterError):
    """An assertion of the function failed."""

    code = "assertion_failed"
    remedy = "Read the message of the assertion; it is the function's own."


class RetryAskedError(MusterError):
    """The step asked to be run again."""

    code = "retry_asked"
    remedy = "Read what it said in the logs: muster logs EXECUTION STEP."


class RaisedError(MusterError):
    """The workflow ended with an error of its own."""

    code = "raised"
    remedy = "The message is the workflow's: it says what to do."


class DuplicateStepError(MusterError):
    """Two steps have the id {step}."""

    code = "duplicate_step"
    remedy = "Give each step an id of its own."


class ForbiddenFunctionError(MusterError):
    """The execution lacks a tag that the function requires."""

    code = "forbidden_function"
    remedy = "Add the tag to the execution, or use another function."


class StepLimitError(MusterError):
    """The workflow has more steps than its limit admits."""

    code = "step_limit"
    remedy = "Raise limits.steps or split the workflow."


class FunctionLimitError(MusterError):
    """A function is used more often than its limit admits."""

    code = "function_limit"
    remedy = "Raise limits.functions for it, or use it less."


class ConcurrencyLimitError(MusterError):
    """As many as may be are under way with the key {key!r}."""

    code = "concurrency_limit"
    remedy = (
        "Wait until one of them has ended, raise concurrency.limit, or let it queue (on_conflict: queue)."
    )


class ExecutionOverdueError(MusterError):
    """The execution took longer than its timeout."""

    code = "execution_overdue"
    remedy = (
        "Raise timeout of the workflow, or submit it with another, or find out why it is slow: muster show."
    )


class OutputError(MusterError):
    """The step's outputs are not what it declares."""

    code = "output"
    remedy = "Write a JSON object with the declared outputs to the file named by $MUSTER_OUTPUT."


class OutOfMemoryError(ExecutionError):
    """The container used more memory than it may and was killed."""

    code = "out_of_memory"
    remedy = "Raise resources.memory of the step."


class StepTimeoutError(ExecutionError):
    """The step took longer than its timeout."""

    code = "step_timeout"
    remedy = "Raise the phase's limit under timeouts of the step, or find out why it is slow."


class ExpressionError(MusterError):
    """An expression could not be evaluated."""

    code = "expression"
    remedy = "Correct the expression; the language is CEL (https://cel.dev)."


class WorkflowInvalidError(MusterError):
    """The workflow is not valid."""

    code = "workflow_invalid"
    remedy = "Mend what is named and check again with muster validate."


# ---- Muster's own


class PlacementError(MusterError):
    """No known machine could ever hold the step."""

    code = "placement"
    remedy = "Ask for less, or connect a machine that has what the step asks for; see muster machines."


class AttemptLostError(MusterError):
    """The attempt was lost with its machine or agent."""

    code = "attempt_lost"
    remedy = "See muster machines; the step is tried again as long as its budget for lost machines lasts."


class AgentFailedError(MusterError):
    """The agent could not go on."""

    code = "agent_failed"
    remedy = (
        "Look after the machine: its disk, its memory, how many files may be open. What the agent printed says where "
        "it failed."
    )


class NameInvalidError(MusterError):
    """The {what} {name!r} is not a legal name."""

    code = "name_invalid"
    remedy = "Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit."


class ExecutionNotFoundError(MusterError):
    """There is no execution {execution}."""

    code = "execution_not_found"
    remedy = "See muster list for the ids."


class ExecutionConflictError(MusterError):
    """The execution id {execution} is taken by a run with other content."""

    code = "execution_conflict"
    remedy = "Submit with a new id, or with exactly the same workflow and inputs."


class ExecutionNotEndedError(MusterError):
    """The execution {execution} has not ended."""

    code = "execution_not_ended"
    remedy = "Wait for its end, or cancel it first: muster cancel EXECUTION."


class ScheduleNotFoundError(MusterError):
    """There is no schedule {schedule}."""

    code = "schedule_not_found"
    remedy = "muster schedules lists those there are."


class ScheduleRunningError(MusterError):
    """The schedule {schedule} does not overlap, and {execution} goes on."""

    code = "schedule_running"
    remedy = "Wait for its end, or cancel it first: muster cancel EXECUTION."


class CommandInvalidError(MusterError):
    """The command could not be understood."""

    code = "command_invalid"
    remedy = "Send it with a client of the same version."


class FixtureInvalidError(MusterError):
    """The fixture cannot be read."""

    code = "fixture_invalid"
    remedy = "Record it again: muster events EXECUTION --json > FILE."


class ExecutionTimeoutError(MusterError):
    """The execution did not end in the time given."""

    code = "execution_timeout"
    remedy = "Wait longer, or look at it with muster show."


class BrokerError(MusterError):
    """The broker does not answer."""

    code = "broker"
    remedy = "Check that it runs and that the URL is right: muster doctor."


class BrokerUnsuitableError(BrokerError):
    """The broker cannot be used."""

    code = "broker_unsuitable"
    remedy = "Muster needs NATS 2.12 or newer with JetStream; start one with the nats.conf that ships."


class LogChangedError(BrokerError):
    """The event log is not the one that was read before."""

    code = "log_changed"
    remedy = "The broker lost or replaced the stream. Find out why, then rebuild: muster projections rebuild."


class ArchiveUnavailableError(BrokerError):
    """The archive at {place} cannot be reached."""

    code = "archive_unavailable"
    remedy = "Give access to it, or say where it is now with MUSTER_ARCHIVE=DIR; muster doctor looks closer."


class ArchiveDamagedError(MusterError):
    """The archive does not hold what the log says that it holds."""

    code = "archive_damaged"
    remedy = (
        "muster log verify names everything that is missing; put it back from a backup (docs/archive.md)."
    )


class ArtifactMissingError(MusterError):
    """The file {digest} of the execution {execution} is not in the broker's store."""

    code = "artifact_missing"
    remedy = "It goes when its execution is cleared. Run the execution again that made it."


class ArtifactDamagedError(MusterError):
    """The file {digest} of the execution {execution} is not what was stored."""

    code = "artifact_damaged"
    remedy = (
        "The broker's disk may be failing: look after it, and run the execution again that made the file."
    )


class ReplacedError(MusterError):
    """Another process writes under this name now."""

    code = "replaced"
    remedy = "Run one agent per machine name; give this one another with --name."


class IllegalTransitionError(MusterError):
    """The transition {transition} is not legal from the status {status}."""

    code = "illegal_transition"
    remedy = "This is a defect of Muster: please report it with the execution's events."
