"""Scaffold of a new service: a folder with settings, keys, certificates, a tenant with a policy, and an API key."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from linewarden.audit.keyring import new_key_encryption_key
from linewarden.authz.own_persons import check_tenant
from linewarden.authz.statements import parse_document
from linewarden.server.operator_actions import check_tenant_name, create_key, create_tenant, load_first_policy
from linewarden.server.settings import Settings, load_settings
from linewarden.server.settings_text import settings_file
from linewarden.server.storage import open_storage
from linewarden.server.tls import has_certificates, make_development_certificates, write_new

SETTINGS_FILE = "linewarden.toml"
POLICY_FILE = "first.policy"
KEY_FILE = "secrets/api-key"

#: Files and folders that must not exist.
_MADE = ("secrets", POLICY_FILE, "README.txt", "linewarden.db", "anchors")

_README = """\
This folder is a Linewarden service.

linewarden.toml        the settings, each explained; `linewarden serve --config linewarden.toml` serves from them
first.policy           the policy that the tenant began with; changes go through `linewarden policy load`
linewarden.db*         the database: the log, persons' wrapped keys, policies, API keys. Back up all of it together.
anchors/               the last signed checkpoint of each log, and in `marks` the newest state that was seen. They tell
                       of a rolled-back database: never restore them with it. `linewarden recover` is the way back.
                       The file `sealed` says that rows without a seal are never accepted again.
tls/                   certificates for development; clients trust `ca.crt`. Put your own in their place.
evidence/              sealed captures, once there are some; only their readers can open them
secrets/kek            the key-encryption key. If it is lost, no name in the log can be read again. Never keep it
                       beside the database, or its backups.
secrets/signing-key    signs checkpoints. A person who has it can sign another history.
secrets/api-key        an API key for the tenant, for all methods. Make others with `linewarden key create`.

Packet captures need a places file that says where: write one table for each tenant, and name the file as
`places_file` in linewarden.toml. A notice, an attestation and an approval are needed as well.

    [the-tenant]
    interfaces = ["eth0"]          # what is on them is the tenant's; `networks` narrows that
    hosts = ["sip.example.org"]    # what probes may ask
"""


def initialize(
    folder: Path, now_us: Callable[[], int], *, tenant: str, policy: str, allow_lockout: bool = False
) -> Settings:
    """Make the folder, with one tenant and the text of its first policy. A failure leaves nothing behind.

    The files are made in a temporary folder inside and then moved, the settings last.

    Raises:
        FileExistsError: the folder is a service already, or has one of its files.
        PermissionError: others can write to the folder.
        PolicyInvalid, ValueError: policy or tenant are wrong.
        OSError: it cannot be written.
    """
    check_tenant_name(tenant)
    check_tenant(tenant, parse_document(policy))
    has_certificates = _check_folder(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".init-", dir=folder) as name:
            _make(
                Path(name),
                now_us,
                tenant,
                policy,
                with_certificates=not has_certificates,
                allow_lockout=allow_lockout,
            )
            _move_up(Path(name), folder)
    except BaseException:
        for path in missing:
            with suppress(OSError):  # another process put a file there
                path.rmdir()
        raise
    return load_settings(folder / SETTINGS_FILE)


def _check_folder(folder: Path) -> bool:
    """Make sure that a service can be made in a folder. Return whether it has certificates."""
    if (folder / SETTINGS_FILE).exists():
        raise FileExistsError(f"{folder} is a Linewarden folder already")
    if folder.exists() and folder.stat().st_mode & 0o022:
        raise PermissionError(f"{folder} can be changed by others, and so could the keys in it: chmod go-w {folder}")
    for name in _MADE:
        _check_absent(folder / name)
    return has_certificates(folder / "tls")


def _make(
    folder: Path,
    now_us: Callable[[], int],
    tenant: str,
    policy: str,
    *,
    with_certificates: bool,
    allow_lockout: bool,
) -> None:
    folder.chmod(0o700)
    (folder / "secrets").mkdir(mode=0o700)
    write_new(folder / "secrets/kek", new_key_encryption_key(), 0o600)
    write_new(folder / "secrets/signing-key", b64encode(os.urandom(32)) + b"\n", 0o600)
    if with_certificates:
        make_development_certificates(folder / "tls", datetime.now(UTC))
    write_new(folder / POLICY_FILE, policy.encode(), 0o644)
    write_new(folder / "README.txt", _README.encode(), 0o644)
    stated = {"data_dir": ".", "service_name": "localhost/linewarden", "listen": ("127.0.0.1:8443",)}
    write_new(folder / SETTINGS_FILE, settings_file(stated).encode(), 0o644)
    storage = open_storage(load_settings(folder / SETTINGS_FILE))
    try:
        log_id = create_tenant(storage.log, tenant, now_us())
        asyncio.run(load_first_policy(storage, log_id, policy, now_us(), allow_lockout=allow_lockout))
        _, token = create_key(storage.log, "first-caller", (tenant,), ("*",), now_us())
    finally:
        storage.close()
    write_new(folder / KEY_FILE, token.encode() + b"\n", 0o600)


def _move_up(source: Path, folder: Path) -> None:
    """Move everything into the folder, or nothing. A folder that has the settings is complete."""
    moved: list[Path] = []
    try:
        for path in sorted(source.iterdir(), key=lambda one: one.name == SETTINGS_FILE):
            target = folder / path.name
            _check_absent(target)
            path.rename(target)
            moved.append(target)
    except BaseException:
        for target in reversed(moved):
            target.rename(source / target.name)
        raise


def _check_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there already: move it away, or choose another folder")


def pbx_template() -> str:
    """Return the policy template for a PBX."""
    return files("linewarden.authz").joinpath("templates/pbx.policy").read_text(encoding="utf-8")
