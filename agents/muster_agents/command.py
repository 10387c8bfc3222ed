"""``muster agent``: run attempts on this machine."""

from __future__ import annotations

from functools import partial
from typing import Any

from muster.cli.agents import agent_of, agent_options
from muster.cli.serving import serve_one
from muster.cli.terminal import Terminal, command, execute
from muster.services import Service
from muster_agents.options import RUNTIMES


@command("agent", short_help="Run attempts on this machine.")
@agent_options(RUNTIMES, "docker", "What attempts run in; process isolates nothing, noop runs nothing.")
def agent(terminal: Terminal, **given: Any) -> None:
    """Run attempts on this machine until Ctrl-C, which ends them in order; a second one does not wait for that.

    One agent at a time runs under a name: a second one takes its place, and the first is told so and stops. An agent
    that was killed finds its containers again at the next start.

    Examples:
      muster agent
      muster agent --name gpu-1 --label gpu=true --label zone=a --slots 4
      muster agent --url nats://10.0.0.1:4222 --cpus 8 --memory 16Gi
      muster agent --function-idle 1h --functions-max 4
      muster agent --gpus 0                           a machine whose GPUs are not for steps
      muster agent --runtime process                  no container engine: for development only
    """
    from muster_agents.service import serve

    service: Service = partial(serve, **agent_of(given))
    execute(serve_one(terminal, "agent", service))
