"""One process that makes load where h2load is not installed.

`load_process.py ADDRESS METHOD FRAME_FILE CONNECTIONS CALLS_AT_A_TIME CALLS [AUTHORITY]`. The token comes on stdin, the
result goes to stdout as JSON. A call that fails ends it.
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


async def _press(
    address: str, method: str, message: bytes, connections: int, at_a_time: int, calls: int, authority: str
) -> None:
    token = sys.stdin.read().strip()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [_channel(address, options, authority) for _ in range(connections)]
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
    result = {"start": start, "end": monotonic(), "body_bytes": received, "times_ms": [one * 1e3 for one in times]}
    print(json.dumps(result))
    for channel in channels:
        await channel.close()


def _channel(address: str, options: list[tuple[str, int]], authority: str) -> grpc.aio.Channel:
    if not authority:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(Path(authority).read_bytes()), options=options)


if __name__ == "__main__":
    _address, _method, _frame, _connections, _at_a_time, _calls, *_authority = sys.argv[1:]
    _message = Path(_frame).read_bytes()[_FRAME_HEAD:]
    _numbers = (int(_connections), int(_at_a_time), int(_calls))
    asyncio.run(_press(_address, _method, _message, *_numbers, "".join(_authority)))
