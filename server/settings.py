"""The settings: one frozen object, from a TOML file and the environment.

`LINEWARDEN_…` in the environment overrides the file. An unknown setting is an error, in the file and in the
environment, because a misspelt one would otherwise leave its default in force unnoticed.
"""

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "LINEWARDEN_"

#: Names with the prefix that are options of the command, and no settings.
CLIENT_ENVIRONMENT = frozenset(
    ENV_PREFIX + name for name in ("CONFIG", "SERVER", "KEY", "KEY_FILE", "CA", "CLIENT_PLAINTEXT", "TENANT", "SUBJECT")
)
#: Kubernetes sets these names in every pod for a Service that is called `linewarden`.
_SERVICE_LINKS = re.compile(rf"{ENV_PREFIX}(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)")

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_PATHS = (
    "kek_file",
    "signing_key_file",
    "anchor_dir",
    "tls_certificate",
    "tls_key",
    "tls_client_ca",
    "listen_socket",
    "places_file",
    "evidence_dir",
    "capture_worker_ca",
    "capture_worker_ca_key",
)

#: The default database in `data_dir`.
DATABASE_FILE = "linewarden.db"

Positive = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """All settings, each with its unit and reason. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    data_dir: Path = Field(
        default=Path("var/linewarden"),
        description="Folder of what is stored; paths below are relative to it. In a file, relative to that file.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="`sqlite:///…` or, for several servers, `postgresql://…`; empty is SQLite in `data_dir`.",
    )
    kek_file: Path = Field(
        default=Path("secrets/kek"),
        description="Key-encryption key. Without it no name in the log can be read; never keep it by the database.",
    )
    signing_key_file: Path = Field(
        default=Path("secrets/signing-key"),
        description="Ed25519 key that signs checkpoints. A person who has it can sign another history.",
    )
    anchor_dir: Path = Field(
        default=Path("anchors"),
        description="Last checkpoint of each log. On another disk than the database it tells that one was rolled back.",
    )
    service_name: str = Field(
        default="linewarden",
        pattern=r"^[A-Za-z0-9._/-]+$",
        max_length=128,
        description="First part of every log's origin, unique with a domain name of yours. Never change it.",
    )
    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1:8443",),
        description="Addresses to serve on, with commas between them; loopback, until you decide who may reach it.",
    )
    listen_socket: Path | None = Field(
        default=None,
        description="Unix domain socket to serve on as well, without TLS, for callers of the same host; empty: none.",
    )
    listen_socket_mode: str = Field(
        default="0660",
        pattern=r"^0?[0-7]{3}$",
        description="Mode of its file, octal: the system lets connect whom it permits to write.",
    )
    listen_socket_users: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Users whose processes may connect to it, by name or number, with commas between them; empty: "
        "those whom the mode permits.",
    )
    transport: Literal["h2", "grpcio"] = Field(
        default="h2",
        description="Server library of `listen`: h2, native HTTP/2, is several times as fast; grpcio, of gRPC itself.",
    )
    plaintext: bool = Field(
        default=False,
        description="No TLS. Only where every address of `listen` is a loopback one: API keys could be overheard.",
    )
    tls_certificate: Path = Field(
        default=Path("tls/server.crt"), description="Certificate and those between it and the root, PEM."
    )
    tls_key: Path = Field(
        default=Path("tls/server.key"), description="Private key of the certificate, PEM, not encrypted."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="Authority, PEM, whose certificate every caller must show beside its key; empty: not required.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that share the addresses; with SQLite they take turns at writing.",
    )
    append_timeout_ms: int = Field(
        default=2_000,
        ge=100,
        le=60_000,
        description="Milliseconds a record may take to be durable; then UNAVAILABLE, so that no caller hangs.",
    )
    queue_limit: Positive = Field(
        default=10_000,
        description="Entries that may wait to be recorded, about a second's worth; beyond it, UNAVAILABLE at once.",
    )
    batch_limit: int = Field(
        default=512, ge=1, le=10_000, description="Entries committed together at most; more of them delays the first."
    )
    max_message_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=65_536,
        le=128 * 1024 * 1024,
        description="Bytes of a request at most. A policy file is one: 4 MiB are some 40,000 statements.",
    )
    max_concurrent_requests: int = Field(
        default=2_000,
        ge=0,
        description="Requests that may wait for their turn, over all tenants; beyond it, UNAVAILABLE for the newest of "
        "the tenant that has most; 0 is no limit.",
    )
    max_checks_in_progress: Positive = Field(
        default=128,
        description="Checks worked on at once: more make larger commits, fewer make each of them quicker.",
    )
    max_checks_of_tenant: Positive = Field(
        default=4,
        description="Those of one tenant while others are active; few, so that a flood does not delay other tenants.",
    )
    max_streams: Positive = Field(
        default=200, description="Streams open at once with keys for the same tenants; a silent one takes memory, too."
    )
    max_stream_idle_seconds: Positive = Field(
        default=300, description="Seconds a stream may be silent, so that a forgotten one does not stay."
    )
    max_connections: Positive = Field(
        default=4_000,
        description="Connections of a process, and never more than its file limit leaves; each takes some 50 KB.",
    )
    connection_idle_seconds: Positive = Field(
        default=300, description="Seconds a connection may be without a call; the next call opens another."
    )
    max_stream_messages: Positive = Field(
        default=100_000, description="Requests in one stream, so that a caller is authenticated anew at times."
    )
    max_stream_seconds: Positive = Field(default=3_600, description="Seconds a stream may live, for the same reason.")
    decision_ttl_s: int = Field(
        default=60,
        ge=1,
        le=3_600,
        description="Seconds an answer may be acted on; it stands for one access, not for many.",
    )
    number_region: str = Field(
        default="",
        pattern="^([A-Z]{2})?$",
        description="The country of telephone numbers without a country code, as in ISO 3166, such as DE. Empty: such "
        "numbers are refused as addresses.",
    )
    drain_s: int = Field(
        default=10, ge=0, le=600, description="Seconds that requests in progress may take when the server stops."
    )
    checkpoint_interval_s: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds after which a growing log is signed for again; until then it could be rewritten.",
    )
    heartbeat_s: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="Seconds after which an idle log gets an entry: proof that nothing happened.",
    )
    places_file: Path | None = Field(
        default=None,
        description="Where each tenant may capture, TOML; see `server/diagnostics/places_file.py`. Empty: nowhere.",
    )
    evidence_dir: Path = Field(
        default=Path("evidence"), description="Sealed captures; only their readers can open them."
    )
    capture_max_seconds: int = Field(
        default=3_600,
        ge=1,
        le=604_800,
        description="Seconds of the longest capture; a fault that takes longer needs another one.",
    )
    capture_max_bytes: int = Field(
        default=1 << 30, ge=4_096, description="Bytes of the largest capture, unsealed, or file brought in."
    )
    capture_max_packets: Positive = Field(default=10_000_000, description="Packets of the largest capture.")
    capture_max_loss: int = Field(
        default=100_000, ge=0, description="Packets a capture may lose at most before it is not worth going on."
    )
    capture_min_disk_free: int = Field(
        default=256 * 1024 * 1024, ge=0, description="Bytes of disk that every capture must leave free."
    )
    capture_listen: str = Field(
        default="",
        description="HOST:PORT where capture workers of other hosts dial in, for each of several `workers` the next; "
        "empty: none do.",
    )
    capture_worker_ca: Path = Field(
        default=Path("tls/capture-workers.crt"), description="Authority, PEM, whose certificates name capture workers."
    )
    capture_worker_ca_key: Path = Field(
        default=Path("secrets/capture-workers.key"),
        description="Its private key. Needed to enrol workers and never to serve: keep it elsewhere.",
    )
    capture_max_running: Positive = Field(
        default=4, description="Captures of one tenant that run at once; each is a process with 64 MiB of buffer."
    )
    capture_max_waiting: Positive = Field(
        default=50, description="Captures of one tenant that wait for an attestation, approval or start."
    )
    capture_max_stored: int = Field(
        default=10 << 30, ge=4_096, description="Bytes of evidence kept for one tenant, and of what may come."
    )
    smtp_server: str = Field(default="", description="HOST:PORT of the mail server for notices; empty sends none.")
    smtp_sender: str = Field(
        default="",
        pattern=r"^[\x21-\x7e]*$",
        description="Address that notices come from; people may answer to it.",
    )
    smtp_starttls: bool = Field(
        default=True, description="Encrypt mail on its way; off only where the mail server is on loopback."
    )
    smtp_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Domains that notices may be sent to, with commas between them: the service is no relay; "
        "empty is any.",
    )
    usage_threshold: int = Field(
        default=11,
        ge=3,
        description="Tenants that must have contributed to a count before it is shown; of two, each would know the "
        "other's.",
    )
    reflection: bool = Field(
        default=False, description="Tell clients the contract over gRPC reflection; for development."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least level of the text log on stderr, which holds no personal values at any level.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="Form of the text log: for machines or for eyes."
    )

    @field_validator("listen", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one address to serve on")
        for address in value:
            _host(address)
        return value

    @field_validator("smtp_domains", "listen_socket_users", mode="before")
    @classmethod
    def _split_domains(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("smtp_domains")
    @classmethod
    def _domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HOST.fullmatch(domain) for domain in value):
            raise ValueError("a domain must be the part of an address behind the @, in ASCII")
        return value

    @field_validator("capture_listen", "smtp_server")
    @classmethod
    def _optional_address(cls, value: str) -> str:
        if value:
            _host(value)
        return value

    @field_validator("tls_client_ca", "places_file", "listen_socket", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return value or None

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.plaintext and not all(_is_loopback(_host(address)) for address in self.listen):
            raise ValueError("plaintext is for loopback addresses only")
        if self.listen_socket is not None and self.transport != "h2":
            raise ValueError("listen_socket needs the transport h2")
        if self.smtp_server and not self.smtp_starttls and not _is_loopback(_host(self.smtp_server)):
            raise ValueError("mail without STARTTLS is for a mail server on loopback only")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - _Environment also sees unknown names
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: the environment, then the file, whose values come through the constructor."""
        return _Environment(settings_cls), init_settings


class _Environment(EnvSettingsSource):
    """The environment, with names that look like settings and are not, so that `Settings` refuses them."""

    def __call__(self) -> dict[str, Any]:
        known = {ENV_PREFIX + name.upper() for name in self.settings_cls.model_fields} | CLIENT_ENVIRONMENT
        ours = (name for name in os.environ if name.startswith(ENV_PREFIX) and not _SERVICE_LINKS.fullmatch(name))
        return super().__call__() | {name: "" for name in ours if name not in known}


def load_settings(file: Path | None) -> Settings:
    """Return the settings of the environment and of a TOML file, if there is one, with absolute paths.

    Raises:
        pydantic.ValidationError: a setting is wrong or unknown.
        OSError, ValueError: the file cannot be read, or is not TOML.
    """
    stated = {} if file is None else _toml(file)
    if file is not None and isinstance(stated.get("data_dir"), str):
        # Paths of a file are relative to that file, not to the working directory.
        stated["data_dir"] = str(file.absolute().parent / stated["data_dir"])
    settings = Settings(**stated)
    data = Path(os.path.normpath(settings.data_dir.absolute()))
    paths: dict[str, Any] = {"data_dir": data}
    for name in _PATHS:
        value = getattr(settings, name)
        paths[name] = None if value is None else data / value
    url = settings.database_url or f"sqlite:///{data}/{DATABASE_FILE}"
    return settings.model_copy(update=paths | {"database_url": url})


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not a settings file: {error}") from None


def _host(address: str) -> str:
    """Return the host of HOST:PORT, or of [IPv6]:PORT.

    Raises:
        ValueError: the address has another form.
    """
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ipaddress.IPv6Address(host)
    elif not _HOST.fullmatch(host):
        raise ValueError("an address is HOST:PORT, or [IPv6]:PORT")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError("the port of an address is a number up to 65535")
    return host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
