"""Who hears what a container prints and tells: its maker, and the calls that are under way in it."""

from __future__ import annotations

from typing import Any

from muster_agents.functions.caller import Caller


class Audience:
    """Of one container. A call that has a place there, and is not asked for yet, hears nothing: it is None."""

    def __init__(self) -> None:
        self.maker: Caller | None = None
        self.calls: dict[str, Caller | None] = {}

    def print(self, stream: str, chunk: bytes) -> None:
        """The container printed this; whose it is cannot be told, so all get it."""
        if self.maker is not None:
            self.maker.print(stream, chunk)
        for caller in self.calls.values():
            if caller is not None:
                caller.print(stream, chunk)

    def told(self, method: str, params: Any) -> None:
        """The function told this: of a call, by its id, or of none, which all get if it is for the logs."""
        if not isinstance(params, dict):
            return
        id_ = params.get("id")
        if isinstance(id_, str):
            if (caller := self.calls.get(id_)) is not None:
                caller.told(method, params)
        elif method == "log":
            for caller in (self.maker, *self.calls.values()):
                if caller is not None:
                    caller.told(method, params)
