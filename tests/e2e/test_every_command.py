"""Every command of the command line, found through click, in the situations that an operator meets."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from linewarden.cli import main
from linewarden.server.tls import make_development_certificates
from tests.e2e.conftest import Service, linewarden, unread
from tests.integration.forked_python import Done

#: Exit codes of docs/reference.md with which a failing command may end.
DOCUMENTED = {1, 2, 3, 4, 141}


def commands() -> dict[tuple[str, ...], click.Command]:
    """Return all commands that are no groups, hidden ones too, by their words."""
    found: dict[tuple[str, ...], click.Command] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                walk(inner, (*words, name))
        else:
            found[words] = command

    walk(main, ())
    return found


def has_option(command: click.Command, name: str) -> bool:
    """Return whether a command has that option."""
    return any(name in parameter.opts for parameter in command.params)


def arguments_of(command: click.Command, folder: Path) -> list[str]:
    """Return the fewest words that a command takes."""
    words: list[str] = []
    for parameter in command.params:
        is_stated = isinstance(parameter, click.Option) and (
            "--purpose" in parameter.opts or "--case" in parameter.opts
        )
        if parameter.required or is_stated:
            value = value_of(parameter, folder)
            words += [max(parameter.opts, key=len), value] if isinstance(parameter, click.Option) else [value]
    return words


def value_of(parameter: click.Parameter, folder: Path) -> str:
    """Return a value that fits the type of a parameter."""
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.Path | click.File):
        is_file = isinstance(kind, click.File) or kind.file_okay
        exists = isinstance(kind, click.File) or kind.exists
        name = ("there.txt" if is_file else "there") if exists else "new"
        return str(folder / name)
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return "1"
    return "2026-01-01" if "time" in kind.name else "k=x" if parameter.name == "labels" else "acme"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that arguments name."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there.txt").write_text("\n")
    (tmp_path / "there.txt").chmod(0o600)
    return tmp_path


def check_all(option: str, environment: dict[str, str], folder: Path) -> dict[tuple[str, ...], Done]:
    """Run every command that has an option, and check the end of each."""
    chosen = {words: command for words, command in commands().items() if has_option(command, option)}
    assert len(chosen) > 5
    found = {
        words: linewarden(*words, *arguments_of(command, folder), **environment) for words, command in chosen.items()
    }
    for words, done in found.items():
        assert done.code in DOCUMENTED, (words, done)
        assert 1 <= len(done.err.splitlines()) <= 3, (words, done)
        assert '"event"' not in done.err, (words, done)
    return found


def client_of(service: Service) -> dict[str, str]:
    """Return the environment of a client with a full key, for a person without rights."""
    return {
        "LINEWARDEN_SERVER": service.address,
        "LINEWARDEN_CA": str(service.folder / "tls/ca.crt"),
        "LINEWARDEN_KEY_FILE": str(service.folder / "secrets/api-key"),
    }


def codes(found: dict[tuple[str, ...], Done], code: int) -> set[tuple[str, ...]]:
    """Return the commands with another exit code, except those whose made-up input was already wrong."""
    return {words for words, done in found.items() if done.code not in {code, 2}}


def test_without_a_server_every_command_says_so(folder: Path) -> None:
    """Every command ends with 3 and one sentence with the address where no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"localhost:{free.getsockname()[1]}"
    found = check_all("--server", {"LINEWARDEN_SERVER": address, "LINEWARDEN_KEY": "lw_1_1"}, folder)
    del found["worker", "enrol"]
    assert codes(found, 3) == set()
    reached = [done for done in found.values() if done.code == 3]
    assert len(reached) > len(found) * 3 // 4
    assert {done.err for done in reached} == {
        f"linewarden: {address} does not listen: is it running, is --server right?\n"
    }


def test_a_wrong_key_is_refused_by_every_command(service: Service, folder: Path) -> None:
    """Every command ends with 4 and one sentence if the key is wrong."""
    environment = client_of(service) | {"LINEWARDEN_KEY_FILE": "", "LINEWARDEN_KEY": "lw_0_0"}
    found = check_all("--server", environment, folder)
    del found["worker", "enrol"]
    assert codes(found, 4) == set()
    assert sum(done.code == 4 for done in found.values()) > len(found) * 3 // 4


def test_a_wrong_authority_is_told_by_every_command(service: Service, folder: Path) -> None:
    """Every command ends with 4 and names --ca if the server's certificate is not trusted."""
    make_development_certificates(folder / "other", datetime.now(UTC))
    found = check_all("--server", client_of(service) | {"LINEWARDEN_CA": str(folder / "other/ca.crt")}, folder)
    del found["worker", "enrol"]
    assert codes(found, 4) == set()
    assert all("--ca" in done.err for done in found.values() if done.code == 4)


@pytest.mark.parametrize("url", [
    "postgresql://user:secret@127.0.0.1:1/none", "sqlite:////dev/null/none.db", "sqlite:////proc", "mysql://x/y",
    "oracle://x/y", "none",
])  # fmt: skip
def test_a_database_that_cannot_be_used_is_told_by_every_command(service: Service, folder: Path, url: str) -> None:
    """Every command ends with 2 or 3 and names an unusable database, without its password."""
    environment = {
        "LINEWARDEN_CONFIG": service.config,
        "LINEWARDEN_DATABASE_URL": url,
        "LINEWARDEN_LISTEN": "localhost:0",
    }
    found = check_all("--config", environment, folder)
    assert {done.code for done in found.values()} <= {2, 3}
    assert not any("secret" in done.err for done in found.values())


@pytest.mark.parametrize("content", [b"\xff\xfe", b"listen = ", b"colour = 'red'", b"workers = 0"])
def test_settings_that_cannot_be_read_are_told_by_every_command(folder: Path, content: bytes) -> None:
    """Every command ends with 2 and one sentence if the settings cannot be read."""
    (folder / "wrong.toml").write_bytes(content)
    found = check_all("--config", {"LINEWARDEN_CONFIG": str(folder / "wrong.toml")}, folder)
    assert {done.code for done in found.values()} == {2}


def test_secrets_that_others_can_read_are_refused_by_every_command(service: Service, folder: Path) -> None:
    """Every command ends with 4 and names path and chmod if others can read a secret."""
    (folder / "kek").write_bytes((service.folder / "secrets/kek").read_bytes())
    (folder / "kek").chmod(0o644)
    environment = {"LINEWARDEN_CONFIG": service.config, "LINEWARDEN_KEK_FILE": str(folder / "kek")}
    found = check_all("--config", environment | {"LINEWARDEN_LISTEN": "localhost:0"}, folder)
    assert codes(found, 4) == set()
    assert all(f"chmod 600 {folder / 'kek'}" in done.err for done in found.values() if done.code == 4)
    (folder / "key").write_bytes((service.folder / "secrets/api-key").read_bytes())
    (folder / "key").chmod(0o604)
    found = check_all("--key-file", client_of(service) | {"LINEWARDEN_KEY_FILE": str(folder / "key")}, folder)
    assert codes(found, 4) == set()


def test_output_that_is_not_read_ends_every_command_quietly() -> None:
    """Every command stays silent on stderr if its stdout is a closed pipe."""
    for words in commands():
        assert unread(*words, "--help") == Done(141, "", ""), words


def test_data_that_is_not_read_ends_a_command_quietly(service: Service) -> None:
    """Commands that write data stay silent on stderr if their reader went away."""
    client = client_of(service) | {"LINEWARDEN_TENANT": "acme", "LINEWARDEN_SUBJECT": "erik"}
    operator = {"LINEWARDEN_CONFIG": service.config}
    asked = ("check", "play", "voicemail", "1", "--owner", "erik")
    calls = [(operator, ("tenant", "list")), (operator, ("key", "list")), (client, ("audit", "query")), (client, asked)]
    for environment, words in calls:
        for form in ("table", "json", "jsonl", "csv"):
            done = unread(*words, "-o", form, **environment)
            assert (done.code, done.err) == (141, ""), (words, form, done)
