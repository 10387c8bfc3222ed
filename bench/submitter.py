"""The client's side of the measurements, in a process of its own so that its CPU and memory can be told apart.

Reads one JSON object a line, does it with the real async Client on one open connection, and answers with a line.
Times run from before ``submit`` until this process knows the result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import uvloop
from caller import Caller

from muster.client import Client

LIMIT_S = 120.0


def independent(count: int) -> dict[str, Any]:
    """A fan-out: steps that wait for nothing."""
    return {"name": "fanout", "steps": [{"id": f"s{number}", "image": "noop"} for number in range(count)]}


def chain(count: int) -> dict[str, Any]:
    """Each step waits for the one before."""
    steps: list[dict[str, Any]] = [{"id": f"s{number}", "image": "noop"} for number in range(count)]
    for before, step in pairwise(steps):
        step["needs"] = [before["id"]]
    return {"name": "chain", "steps": steps}


def loop(members: int, parallel: int) -> dict[str, Any]:
    """A list of so many members, some at a time, each with one step."""
    work = {"id": "work", "image": "noop", "inputs": {"x": "${{ item }}"}}
    each = {"in": list(range(members)), "max_parallel": parallel, "steps": [work]}
    return {"name": "loop", "steps": [{"id": "each", "for_each": each}]}


def single(image: str, command: Sequence[str] | None) -> dict[str, Any]:
    """One step."""
    step: dict[str, Any] = {"id": "one", "image": image}
    return {"name": "single", "steps": [step | ({"command": list(command)} if command else {})]}


def function(image: str, name: str, n: int) -> dict[str, Any]:
    """One call of a function that gives squares."""
    outputs: dict[str, Any] = {"square": {}, "container": {}, "loads": {}, "call": {}}
    step = {"id": "one", "image": image, "function": name, "inputs": {"n": n}, "outputs": outputs}
    square = {"square": "${{ steps.one.outputs.square }}"}
    return {"name": "function", "steps": [step], "outputs": square}


async def timed(client: Client, workflow: dict[str, Any]) -> dict[str, Any]:
    """Run it, and say how long that took."""
    began = time.perf_counter()
    result = await client.run(workflow, timeout=LIMIT_S)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "execution": result.execution,
        "status": result.status,
        "outputs": result.outputs,
    }


async def at_once(client: Client, workflow: dict[str, Any], count: int, width: int) -> dict[str, Any]:
    """Run it ``count`` times, ``width`` at a time."""
    waiting = iter(range(count))

    async def worker() -> list[dict[str, Any]]:
        return [await timed(client, workflow) for _ in waiting]

    runs = await asyncio.gather(*(worker() for _ in range(width)))
    return {"runs": [one for each in runs for one in each]}


async def answer(client: Client, caller: Caller, what: dict[str, Any]) -> dict[str, Any]:
    """Do one thing."""
    match what:
        case {"do": "connect"}:
            return {}
        case {"do": "fanout", "steps": steps}:
            return await timed(client, independent(steps))
        case {"do": "chain", "steps": steps}:
            return await timed(client, chain(steps))
        case {"do": "loop", "members": members, "parallel": parallel}:
            return await timed(client, loop(members, parallel))
        case {"do": "single", "image": image, "command": command, "count": count, "width": width}:
            return await at_once(client, single(image, command), count, width)
        case {"do": "function", "image": image, "function": name, "n": n}:
            return await timed(client, function(image, name, n))
        case {"do": "call", "machine": machine, **call}:
            return await caller.call(client.broker, machine, **call)
    raise ValueError(f"what is {what}?")


async def main() -> None:
    """Serve until the input ends."""
    async with Client() as client, Caller() as caller:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await answer(client, caller, json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
