"""What is bounded in a workflow, by how much, and why. Quantities of the wire and the log are with their adapters."""

from __future__ import annotations

from typing import Final

# ---- files

FILE_BYTES_MAX: Final = 2**20  # 10,000 plain steps; a definition travels in one event
DEFINITION_BYTES_MAX: Final = (
    4 * 2**20
)  # ... as JSON, which is longer than YAML; beside inputs it fits max_payload
FILE_DEPTH_MAX: Final = 64  # far below Python's own recursion limit, which the folds and msgspec share
FILE_NODES_MAX: Final = (
    200_000  # 10,000 steps of 20 keys and values; keeps checking a file under a few seconds
)
PROBLEMS_MAX: Final = 200  # nobody reads more; a file that is wrong everywhere must not cost memory

# ---- values

VALUES_BYTES_MAX: Final = 2**20  # all values of one event, as JSON; larger ones belong into files
QUEUED_BYTES_MAX: Final = (
    DEFINITION_BYTES_MAX + 2 * VALUES_BYTES_MAX
)  # what is accepted must fit the broker's 8 MB
ORDER_BYTES_MAX: Final = 6 * 2**20  # an attempt travels in one message; the broker takes 8 MB
VALUE_DEPTH_MAX: Final = 64  # as FILE_DEPTH_MAX

# Linux refuses to start a program if one argument or one NAME=value is longer (MAX_ARG_STRLEN, with the final NUL).
ARGUMENT_BYTES_MAX: Final = 128 * 1024
# ... or if all together pass a quarter of the stack (2 MiB at the usual 8); half of it leaves room for the image's.
ARGUMENTS_BYTES_MAX: Final = 2**20

# ---- numbers of a step

MEMBERS_MAX: Final = (
    100_000  # members of a list that steps are repeated for; each is several events in the log
)

ATTEMPTS_MAX: Final = 1_000  # beyond it a retry is a loop; each attempt is several events in the log for ever
SECONDS_MAX: Final = (
    366 * 86_400
)  # a year; guards against milliseconds written as seconds, and overflow of dates

# ---- expressions; CEL runs in-process and cannot be interrupted, so it is bounded before it runs

EXPRESSION_BYTES_MAX: Final = 2_048
EXPRESSION_MACROS_MAX: Final = 8  # map, filter, all, exists, exists_one in one expression
EXPRESSION_NESTING_MAX: Final = 2  # at most one macro inside another
EXPRESSION_COST_MAX: Final = (
    220_000  # 0.1 microseconds each, estimated rather too high: the scheduler does nothing else for so long
)
STEPS_COST_MAX: Final = (
    20_000_000  # of an expression each in steps that may begin at once, about two seconds: they share it
)
EXPRESSION_COST_SHARE_MIN: Final = (
    5_000  # what each may cost however many they are: ten times an ordinary condition
)
REDUCE_COST_MAX: Final = (
    20_000_000  # of all members together, about two seconds: some 10,000 members with an ordinary expression
)
PATTERN_LENGTH_MAX: Final = 200  # characters of a regular expression
PATTERN_REPEAT_MAX: Final = 1_000  # the counts of {n} in a pattern multiplied, as the library unrolls them
INTEGER_MAX: Final = (
    2**63 - 1
)  # CEL integers have 64 bits; the library would turn larger ones into floats in silence
PRIORITY_MAX: Final = 100  # the lowest is minus that: enough between for everybody
TAG_LENGTH_MAX: Final = 100  # characters: a name, and no text
