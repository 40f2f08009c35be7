"""One process that makes load where h2load is not installed.

`load_process.py ADDRESS METHOD FRAME_FILE CONNECTIONS CALLS_AT_A_TIME CALLS`. The token comes on stdin, the result goes
to stdout as JSON. A call that fails ends it.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import grpc

_FRAME_HEAD = 5


async def _press(address: str, method: str, message: bytes, connections: int, at_a_time: int, calls: int) -> None:
    token = sys.stdin.read().strip()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(connections)]
    for channel in channels:
        await asyncio.wait_for(channel.channel_ready(), 10)
    turns: Iterator[int] = iter(range(calls))
    times: list[float] = []
    received = 0

    async def work(channel: grpc.aio.Channel) -> None:
        nonlocal received
        call: Any = channel.unary_unary(f"/{method}")
        for _ in turns:
            began = monotonic()
            answer = await call(message, metadata=metadata)
            received += len(answer) + _FRAME_HEAD
            times.append(monotonic() - began)

    start = monotonic()
    await asyncio.gather(*(work(channel) for channel in channels for _ in range(at_a_time)))
    result = {"start": start, "end": monotonic(), "body_bytes": received, "slowest_ms": max(times) * 1e3}
    print(json.dumps(result | {"mean_ms": sum(times) / len(times) * 1e3}))
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    _address, _method, _frame, *_numbers = sys.argv[1:]
    asyncio.run(_press(_address, _method, Path(_frame).read_bytes()[_FRAME_HEAD:], *map(int, _numbers)))
