"""nats-py's client, mended where it would leave a connection for good, or leave something of one behind."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import nats.errors
from nats.aio.client import Client, Srv

_STORED_BY_MUSTER: Final = b"NATS/1.0\r\nNats-Msg-Id: "


class NatsClient(Client):
    """nats-py's client, which reconnects after an error line instead of closing for good.

    Once it is given up it makes no connection any more, and when ``close`` ends, however it does, nothing is left: no
    socket and no task. Headers of what Muster itself stored are not parsed: nobody reads them, and they are a third of
    the cost of reading an event.
    """

    def __init__(self) -> None:
        super().__init__()
        self._given_up = False

    def give_up(self) -> None:
        """Make no connection any more: whatever is half way to one ends as if it were cancelled.

        Its cancellation alone is not enough. ``asyncio.wait_for`` swallows it (before Python 3.12) where it meets what
        was waited for, and a client that was closed would go on with its connection, and reconnect, for ever.
        """
        self._given_up = True

    async def close(self) -> None:
        """Disconnect for good. Cancelled, it does not send what is under way, but closes all the same."""
        self.give_up()
        try:
            # What is under way cannot be sent where the connection has just broken.
            with contextlib.suppress(OSError):
                await super().close()
        finally:
            self._release()

    def forget_unsent(self) -> None:
        """Throw away what could not be written, and let go whoever waits for its writing."""
        self._pending.clear()
        self._pending_data_size = 0
        while self._flush_queue is not None and not self._flush_queue.empty():
            waiting = self._flush_queue.get_nowait()
            if not waiting.done():
                waiting.set_result(None)

    def _release(self) -> None:
        self._status = Client.CLOSED
        tasks = (self._reading_task, self._ping_interval_task, self._flusher_task, self._reconnection_task)
        for task in tasks:
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        for subscription in self._subs.values():
            subscription._stop_processing()
        self._subs.clear()
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def _check(self) -> None:
        if self._given_up:
            self._release()
            raise asyncio.CancelledError

    async def _connect_to_server(self, s: Srv) -> None:
        self._check()
        # The transport of an attempt that failed after the connection stood is left open by nats-py.
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)
        self._check()

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        self._check()

    async def _process_err(self, err_msg: str) -> None:
        error = nats.errors.Error(f"nats: {err_msg.strip(chr(39))}")
        if "permissions violation" in err_msg:
            await self._error_cb(error)
        else:
            await self._process_op_err(error)

    async def _process_pong(self) -> None:
        # The answer to a ping whose sender was cancelled meanwhile would end nats-py's reading, without a word.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        if not headers or headers.startswith(_STORED_BY_MUSTER):
            return None
        return await super()._process_headers(headers)
