"""Workflows built in Python: functions that give the same structs as a file, with expressions as Python objects.

    from muster import inputs, step, workflow

    greet = step("greet", "busybox:1", command="echo hello $NAME", environment={"NAME": inputs.name},
                 outputs={"text": Output(type="string", source="stdout")})
    hello = workflow("hello", greet, inputs={"name": "string"}, outputs={"text": greet.output.text})

Nothing is checked here but what only Python can get wrong: the client checks what it is given, and
``muster.workflow_of`` whenever one likes.
"""

from muster.build.blocks import call, case, chain, default, for_each, group, if_, map_each, parallel, switch
from muster.build.container import step, workflow
from muster.build.values import fail, get, log, return_, set_, sleep, sleep_until, wait_for_input

__all__ = [
    "call",
    "case",
    "chain",
    "default",
    "fail",
    "for_each",
    "get",
    "group",
    "if_",
    "log",
    "map_each",
    "parallel",
    "return_",
    "set_",
    "sleep",
    "sleep_until",
    "step",
    "switch",
    "wait_for_input",
    "workflow",
]
