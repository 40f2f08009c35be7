"""The listener for workers of other hosts: TLS with their certificates, and one service."""

from datetime import UTC, datetime
from typing import Any

import grpc

from linewarden.audit.secret_files import read_secret
from linewarden.server.addresses import listen
from linewarden.server.registration import Registration
from linewarden.server.settings import Settings
from linewarden.server.tls import authority_of, check_certificate
from linewarden.server.workers.remote_workers import RemoteWorkers
from linewarden.v1 import worker_pb2_grpc

_OPTIONS = [
    # Both sides find a dead connection within seconds.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Without this gRPC stops its pings after two without data.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 2 << 20),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.so_reuseport", 0),
]


async def open_worker_listener(settings: Settings, remote_workers: RemoteWorkers) -> tuple[grpc.aio.Server, str]:
    """Listen for workers. Return the server and its address.

    Raises:
        ValueError: a certificate is invalid.
        OSError: a file cannot be read, or the address is not available.
    """
    key, chain = read_secret(settings.tls_key), settings.tls_certificate.read_bytes()
    check_certificate(key, chain, datetime.now(UTC))
    if not settings.capture_worker_ca.exists():
        raise ValueError("capture_listen needs an enrolled capture worker: run `linewarden worker enrol`")
    authority = authority_of(settings.capture_worker_ca)
    credentials = grpc.ssl_server_credentials([(key, chain)], authority, require_client_auth=True)
    server = grpc.aio.server(options=_OPTIONS)
    registration: Any = Registration(server)
    worker_pb2_grpc.add_CaptureWorkerServiceServicer_to_server(remote_workers, registration)
    port = listen(settings.capture_listen, lambda: server.add_secure_port(settings.capture_listen, credentials))
    await server.start()
    return server, f"{settings.capture_listen.rpartition(':')[0]}:{port}"
