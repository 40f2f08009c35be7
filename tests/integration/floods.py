"""Floods against a real server: many concurrent calls of callers with and without a right."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from linewarden.v1 import access_pb2, access_pb2_grpc
from tests.deadlines import HANG_S
from tests.integration.conftest import OTHER_TENANT, check_request, refusal_of

#: The outcome of a call: a status, and our reason, if there is one.
Outcome = tuple[str, str]

OK: Outcome = ("OK", "")


def question(tenant: str, **more: Any) -> access_pb2.CheckRequest:
    """Return the question whether bob may hear his voicemail."""
    request = check_request("bob", "play", "voicemail", "1", owner="bob", **more)
    request.header.tenant = tenant
    return request


def bearer(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a key."""
    return () if token is None else (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def channels(address: str, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Open so many connections."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
    async with AsyncExitStack() as stack:
        made = [grpc.aio.insecure_channel(address, options) for _ in range(count)]
        yield [await stack.enter_async_context(one) for one in made]


async def outcome_of(call: Any) -> Outcome:
    """Wait for a call; return its outcome."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, refusal_of(error).reason
    return OK


class Flood:
    """The outcomes of callers that repeat their calls at once after every answer."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()

    async def ask(self, channel: grpc.aio.Channel, token: str | None, tenant: str) -> None:
        """Ask without pause."""
        stub = access_pb2_grpc.AccessServiceStub(channel)
        while True:
            call = stub.Check(question(tenant), metadata=bearer(token), timeout=HANG_S)
            self.outcomes[await outcome_of(call)] += 1

    async def heard(self, answers: int) -> None:
        """Wait until so many answers came."""
        while self.outcomes.total() < answers:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


@asynccontextmanager
async def flooding(
    made: Sequence[grpc.aio.Channel], callers: int, token: str | None, tenant: str
) -> AsyncIterator[Flood]:
    """Let so many callers ask, spread over the connections, until the end of the block."""
    flood = Flood()
    asking = [asyncio.create_task(flood.ask(made[n % len(made)], token, tenant)) for n in range(callers)]
    try:
        yield flood
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def quiet_calls(channel: grpc.aio.Channel, token: str, count: int, tenant: str = OTHER_TENANT) -> list[Outcome]:
    """Call one after the other; return the outcome of each call."""
    stub = access_pb2_grpc.AccessServiceStub(channel)
    return [
        await outcome_of(stub.Check(question(tenant), metadata=bearer(token), timeout=HANG_S)) for _ in range(count)
    ]
