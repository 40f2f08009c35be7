"""The settings: one frozen object, from a TOML file and the environment.

`LINEWARDEN_…` in the environment wins over the file. An unknown setting in the file is an error, not a surprise later.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

ENV_PREFIX = "LINEWARDEN_"

Positive = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """Everything that can be set, each with its unit and the reason for its default."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", validate_default=False)

    data_dir: Path = Field(Path("var/linewarden"), description="Folder of what is stored; paths below are relative to it.")
    database_url: str = Field(
        "", description="`sqlite:///…` or `postgresql://…`; empty is SQLite in `data_dir`."
    )
    kek_file: Path = Field(
        Path("secrets/kek"), description="Key-encryption key; without it no personal value in the log can be read."
    )
    signing_key_file: Path = Field(
        Path("secrets/signing-key"), description="Ed25519 key that signs checkpoints; strangers know its public half."
    )
    anchor_dir: Path = Field(
        Path("anchors"), description="Last checkpoints, outside the database: what tells that it was rolled back."
    )
    service_name: str = Field(
        "linewarden", description="First part of every log's origin; a domain of yours makes it unique."
    )
    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:8443",), description="Addresses to serve on, with commas between them."
    )
    plaintext: bool = Field(False, description="No TLS. Only where every address of `listen` is a loopback address.")
    tls_certificate: Path = Field(Path("tls/server.crt"), description="Certificate chain, PEM.")
    tls_key: Path = Field(Path("tls/server.key"), description="Private key of the certificate, PEM.")
    tls_client_ca: Path | None = Field(None, description="If set, callers must show a certificate of this authority too.")
    workers: int = Field(1, ge=1, le=64, description="Processes that share the addresses; more help with more than one core.")
    append_timeout_ms: int = Field(
        2_000, ge=100, le=60_000, description="How long a record may take to be durable before the answer is UNAVAILABLE."
    )
    queue_limit: Positive = Field(10_000, description="Entries that may wait to be recorded; beyond it, UNAVAILABLE at once.")
    batch_limit: int = Field(512, ge=1, le=10_000, description="Entries committed together at most.")
    max_message_bytes: int = Field(
        4 * 1024 * 1024, ge=65_536, le=128 * 1024 * 1024, description="Largest request; a policy file is one."
    )
    max_concurrent_requests: int = Field(2_000, ge=0, description="Requests in progress at most; 0 is no limit.")
    max_stream_messages: Positive = Field(100_000, description="Questions in one stream before it must be opened anew.")
    max_stream_seconds: Positive = Field(3_600, description="Life of one stream.")
    decision_ttl_s: int = Field(60, ge=1, le=3_600, description="How long an answer may be acted on.")
    drain_s: int = Field(10, ge=0, le=600, description="How long requests in progress may take when the server stops.")
    checkpoint_interval_s: float = Field(1.0, gt=0, le=60, description="A growing log is signed for at least this often.")
    heartbeat_s: int = Field(600, ge=1, description="An idle log gets an entry this often: proof that nothing happened.")
    reflection: bool = Field(False, description="Tell clients the contract over gRPC reflection.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Level of the text log.")
    log_format: Literal["json", "console"] = Field("json", description="Form of the text log on stderr.")

    @field_validator("listen", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or int(port) > 65_535:
                raise ValueError("an address is HOST:PORT, or [IPv6]:PORT")
        if not value:
            raise ValueError("there is no address to serve on")
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.plaintext and not all(_is_loopback(address) for address in self.listen):
            raise ValueError("plaintext is for loopback addresses only")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not a source of ours
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not a source of ours
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then what the file says, which comes in through the constructor."""
        return env_settings, init_settings


def load_settings(file: Path | None) -> Settings:
    """The settings of a TOML file, or of none, and the environment, with all paths made absolute.

    Raises:
        pydantic.ValidationError: a setting is wrong or unknown.
        OSError, ValueError: the file cannot be read, or is not TOML.
    """
    stated = {} if file is None else TomlConfigSettingsSource(Settings, toml_file=file)()
    settings = Settings(**stated)
    # What a settings file says of places is meant as seen from that file, wherever the command was started.
    home = Path.cwd() if file is None or "data_dir" not in stated else file.parent
    data = (home / settings.data_dir).absolute()
    paths: dict[str, Any] = {"data_dir": data}
    for name in ("kek_file", "signing_key_file", "anchor_dir", "tls_certificate", "tls_key", "tls_client_ca"):
        value = getattr(settings, name)
        paths[name] = None if value is None else data / value
    url = settings.database_url or f"sqlite:///{data}/linewarden.db"
    return settings.model_copy(update=paths | {"database_url": url})


def settings_table() -> str:
    """All settings as a Markdown table."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{name}` | {_default(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def settings_file(stated: dict[str, Any]) -> str:
    """A commented TOML file: what is stated stands, everything else is a comment with its default."""
    lines = ["# Settings of Linewarden. LINEWARDEN_… in the environment wins over this file.", ""]
    for name, field in Settings.model_fields.items():
        lines.append(f"# {field.description}")
        value = stated.get(name, field.default)
        text = "" if value is None else _toml(value)
        lines += [f"{'' if name in stated else '# '}{name} = {text}", ""]
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    return f"`{','.join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
