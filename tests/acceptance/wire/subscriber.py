"""A program of somebody else: it knows NATS, a subject and a file, and nothing of Muster.

``python subscriber.py URL SUBJECT FILE``: appends ``<sequence> <event>`` for each event of the subject to the file,
and goes on after the last sequence it finds there. It may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


def resume(file: Path) -> int:
    """The first sequence that is not in the file; what a kill left of a last line is cut off."""
    kept = file.read_bytes() if file.exists() else b""
    whole = kept[: kept.rfind(b"\n") + 1]
    if whole != kept:
        file.write_bytes(whole)
    return int(whole.splitlines()[-1].split(b" ", 1)[0]) + 1 if whole else 1


async def main(url: str, subject: str, file: Path) -> None:
    """Write down what comes, until the process ends."""
    start = resume(file)
    client = await nats.connect(url)
    subscription = await client.jetstream().subscribe(
        subject,
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start),
    )
    with file.open("ab", buffering=0) as out:
        async for message in subscription.messages:
            out.write(b"%d %s\n" % (message.metadata.sequence.stream, message.data))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
