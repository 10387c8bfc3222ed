"""Muster in one command: broker, scheduler, agent and projections in this process, and one workflow run on them.

python examples/demo.py                    count the words of the text that ships
python examples/demo.py book.txt           count the words of a text of yours
python examples/demo.py workflow.yaml      run a workflow of yours, with the defaults of its inputs
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from muster import Client, Workflow, workflow_of
from muster.cli import failures
from muster.cli.engine import engine_version, has_image
from muster.cli.following import conclude, display
from muster.cli.show import timeline_lines
from muster.cli.stack import running
from muster.cli.terminal import Terminal, execute
from muster.cli.values import text_of
from muster.cli.view import current_view
from muster.client.result import result_of
from muster.model.expressions.template import render
from muster.model.plan.inputs import accept
from muster.settings import load

HERE = Path(__file__).resolve().parent
WORKFLOW = HERE / "wordcount.yaml"
DATA = HERE.parent / ".muster" / "demo"


def chosen(argument: str | None) -> tuple[Workflow, dict[str, Any]]:
    """The workflow and its inputs."""
    if argument and Path(argument).suffix in {".yaml", ".yml", ".json"}:
        return workflow_of(Path(argument)), {}
    text = Path(argument) if argument else min((HERE / "text").iterdir())
    content = text_of(text)
    print(f"Counting the words of {text}.")
    return workflow_of(WORKFLOW), {"text": content}


async def runtime(workflow: Workflow, inputs: dict[str, Any]) -> str:
    """Docker where an engine answers and has every image; else processes of this machine."""
    version = await engine_version()
    if version is None:
        print("No Docker engine answers: the steps run as processes of this machine, without isolation.")
        return "process"
    scope = {"inputs": accept(workflow, inputs)}
    for image in sorted({str(render(step.image, scope)) for step in workflow.steps}):
        if not await has_image(image):
            print(
                f"The engine ({version}) cannot get {image}: the steps run as processes, without isolation."
            )
            return "process"
    print(f"The steps run in containers ({version}).")
    return "docker"


async def demo(argument: str | None) -> int:
    """Run it and show what happened; the exit code."""
    workflow, inputs = chosen(argument)
    settings = load(data_dir=None if os.environ.get("MUSTER_DATA_DIR") else DATA)
    agent = {"name": "demo", "runtime": await runtime(workflow, inputs)}
    terminal = Terminal()
    async with running(settings, own_broker=True, agent=agent, say=terminal.say) as stack:
        async with Client(settings=stack.settings) as client:
            shown = display(terminal)
            launched = await client.launch(workflow, inputs, listener=shown.update)
            async with launched as watch, shown.shows(watch.view):
                await watch.until_finished()
            code = await conclude(terminal, client, watch.view, result_of(watch.view))
            print("\nWhat happened, as the log tells it:")
            for line in timeline_lines(await client.state(watch.view.id)):
                print(f"  {terminal.safe(line)}")
        view = await current_view(settings.view_path, watch.view.sequence)
        if view is not None:
            view.close()
    print(f"\nThe view of it, for any SQL tool: {settings.view_path}")
    return code


def main() -> int:
    """Run the demo; errors in one sentence."""
    logging.getLogger("muster_agents").setLevel(logging.ERROR)  # what it would warn of was just said
    try:
        return execute(demo(sys.argv[1] if len(sys.argv) > 1 else None))
    except (Exception, KeyboardInterrupt) as error:
        return failures.report(error, json=False)


if __name__ == "__main__":
    sys.exit(main())
