"""Enrolment of a capture worker: makes the folder that is copied to its host. `agent.enrolment` describes it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from linewarden.audit.secret_files import read_secret
from linewarden.diagnostics.agent.certificates import check_name
from linewarden.diagnostics.agent.enrolment import CONFIG_FILE
from linewarden.diagnostics.agent.orders import order_signer
from linewarden.server.settings import Settings
from linewarden.server.storage import read_seed
from linewarden.server.tls import expiry, write_new
from linewarden.server.workers.certificates import issue, make_authority

_TEXT = """\
# A capture worker of Linewarden; start it with `linewarden worker run FOLDER`.

# The processes of the server, HOST:PORT: each `capture_listen`, and with several `workers` the ports that follow it.
servers = {servers}
# The interfaces that may be captured at this host. The places file of the server must name them too.
interfaces = {interfaces}
"""


def enrol(
    settings: Settings,
    name: str,
    folder: Path,
    servers: Sequence[str],
    interfaces: Sequence[str],
    trust: Path,
    record: Callable[[datetime], None] = lambda _expires: None,
) -> None:
    """Make the folder of a worker. The first worker makes the authority of them all; `trust` is for `server-ca.crt`.

    `record` is called with the end of the certificate before it is made.

    Raises:
        ValueError: the name of the worker is invalid, or a file holds other content.
        FileExistsError: the folder exists already.
        OSError: a file cannot be read or written.
    """
    check_name(name)
    now = datetime.now(UTC)
    record(expiry(now))
    make_authority(settings.capture_worker_ca, settings.capture_worker_ca_key, now)
    key, certificate = issue(
        name, settings.capture_worker_ca.read_bytes(), read_secret(settings.capture_worker_ca_key), now
    )
    verifier = order_signer(settings.service_name, read_seed(settings.signing_key_file)).verifier
    text = _TEXT.format(servers=_toml(servers), interfaces=_toml(interfaces))
    folder.mkdir(mode=0o700, parents=True)
    write_new(folder / "server-ca.crt", trust.read_bytes(), 0o644)
    write_new(folder / "order-key", f"{verifier}\n".encode(), 0o644)
    write_new(folder / "worker.crt", certificate, 0o644)
    write_new(folder / "worker.key", key, 0o600)
    write_new(folder / CONFIG_FILE, text.encode(), 0o644)


def _toml(texts: Sequence[str]) -> str:
    # A JSON list of texts is a TOML list, except for a control character that no such text has.
    return orjson.dumps(list(texts)).decode()
