"""The lower bound: a server with the same library and messages that does nothing else.

`echo_server.py ADDRESS RESPONSE_FILE`. It reads a CheckRequest and writes one CheckResponse, always the same. It
authenticates no caller, decides nothing and logs nothing. Its time is what any server on grpc.aio pays for a call.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from linewarden.v1 import access_pb2


async def _serve(address: str, response: access_pb2.CheckResponse) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 1_000)])

    async def echo(_request: access_pb2.CheckRequest, _context: Any) -> access_pb2.CheckResponse:
        return response

    method = grpc.unary_unary_rpc_method_handler(
        echo, access_pb2.CheckRequest.FromString, access_pb2.CheckResponse.SerializeToString
    )
    service = access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Check": method}),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], access_pb2.CheckResponse.FromString(Path(sys.argv[2]).read_bytes())))
