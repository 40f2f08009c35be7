"""A user's own start: a folder with settings, keys, certificates, a tenant with a first policy, and an API key."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from os import urandom
from pathlib import Path

from linewarden.audit.keyring import new_key_encryption_key
from linewarden.server.operating import create_key, create_tenant, load_first_policy
from linewarden.server.settings import Settings, load_settings
from linewarden.server.settings_text import settings_file
from linewarden.server.storage import open_storage
from linewarden.server.tls import make_development_certificates, write_new

SETTINGS_FILE = "linewarden.toml"
POLICY_FILE = "first.policy"
KEY_FILE = "secrets/api-key"

_README = """\
This folder is a Linewarden service of your own.

linewarden.toml        the settings, each explained; `linewarden serve --config linewarden.toml` serves from them
first.policy           the policy that the tenant began with; changes go through `linewarden policy load`
linewarden.db*         the database: the log, persons' wrapped keys, policies, API keys. Back up all of it together.
anchors/               the last signed checkpoint of each log; a copy kept elsewhere tells of a rolled-back database.
                       The file `sealed` says that rows without a seal are never accepted again.
tls/                   certificates for development; clients trust `ca.crt`. Put your own in their place.
evidence/              sealed captures, once there are some; only their readers can open them
secrets/kek            the key-encryption key. Lose it, and nobody can read a name in the log again. Never keep it
                       beside the database, or its backups.
secrets/signing-key    signs checkpoints. Whoever has it can sign another history.
secrets/api-key        an API key for the tenant, for all methods. Make others with `linewarden key create`.

Nobody captures packets until you say where: write a places file, one table for each tenant, and name it as
`places_file` in linewarden.toml. Users must have been told, and somebody must approve, all the same.

    [the-tenant]
    interfaces = ["eth0"]          # what is on them is the tenant's; `networks` narrows that
    hosts = ["sip.example.org"]    # what probes may ask
"""


def initialize(
    folder: Path, now_us: Callable[[], int], *, tenant: str, policy: str, allow_lockout: bool = False
) -> Settings:
    """Make such a folder, with one tenant and the text of its first policy.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    if (folder / SETTINGS_FILE).exists():
        raise FileExistsError(f"{folder} is a Linewarden folder already")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    write_new(folder / "secrets/kek", new_key_encryption_key(), 0o600)
    write_new(folder / "secrets/signing-key", b64encode(urandom(32)) + b"\n", 0o600)
    make_development_certificates(folder / "tls", datetime.now(UTC))
    write_new(folder / POLICY_FILE, policy.encode(), 0o644)
    write_new(folder / "README.txt", _README.encode(), 0o644)
    stated = {"data_dir": ".", "service_name": "localhost/linewarden", "listen": ("127.0.0.1:8443",)}
    settings_text = settings_file(stated)
    write_new(folder / f"{SETTINGS_FILE}.part", settings_text.encode(), 0o644)
    settings = load_settings(folder / f"{SETTINGS_FILE}.part")
    storage = open_storage(settings)
    try:
        log = create_tenant(storage.log, tenant, now_us())
        asyncio.run(load_first_policy(storage, log, policy, now_us(), allow_lockout=allow_lockout))
        _, token = create_key(storage.log, "first-caller", (tenant,), ("*",), now_us())
    finally:
        storage.close()
    write_new(folder / KEY_FILE, token.encode() + b"\n", 0o600)
    # The settings come last under their name: a folder that has them is whole.
    (folder / f"{SETTINGS_FILE}.part").rename(folder / SETTINGS_FILE)
    return load_settings(folder / SETTINGS_FILE)


def pbx_template() -> str:
    """The policy template for a PBX."""
    return files("linewarden.authz").joinpath("templates/pbx.policy").read_text(encoding="utf-8")
