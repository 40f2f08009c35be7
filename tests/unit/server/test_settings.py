"""The settings: what wins, what is refused, and what the documents made of them say."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import linewarden.server.settings
from linewarden.cli import main
from linewarden.server.settings import (
    CLIENT_ENVIRONMENT,
    ENV_PREFIX,
    Settings,
    load_settings,
)
from linewarden.server.settings_text import settings_file, settings_table


def _file(folder: Path, text: str) -> Path:
    path = folder / "linewarden.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_start_at_the_data_folder(tmp_path: Path) -> None:
    """A file's data folder is seen from the file, and every other path from the data folder."""
    settings = load_settings(_file(tmp_path, 'data_dir = "d/../data"\nanchor_dir = "/mnt/anchors"\n'))
    assert settings.data_dir == tmp_path / "data"
    assert settings.kek_file == tmp_path / "data/secrets/kek"
    assert settings.anchor_dir == Path("/mnt/anchors")
    assert settings.tls_client_ca is None
    assert settings.database_url == f"sqlite:///{tmp_path}/data/linewarden.db"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable replaces what the file says; a path in it is seen from where the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINEWARDEN_WORKERS", "3")
    monkeypatch.setenv("LINEWARDEN_LISTEN", "localhost:1, [::1]:2")
    monkeypatch.setenv("LINEWARDEN_DATA_DIR", "here")
    (tmp_path / "elsewhere").mkdir()
    settings = load_settings(_file(tmp_path / "elsewhere", 'workers = 2\ndata_dir = "there"\nbatch_limit = 7\n'))
    assert (settings.workers, settings.batch_limit) == (3, 7)
    assert settings.listen == ("localhost:1", "[::1]:2")
    assert settings.data_dir == tmp_path / "here"


@pytest.mark.parametrize(
    "text",
    [
        "wrokers = 2",
        "[server]\nworkers = 2",
        "workers = 0",
        "workers = 1.5",
        "append_timeout_ms = 0",
        "checkpoint_interval_s = nan",
        "checkpoint_interval_s = inf",
        'log_level = "loud"',
        'log_format = "xml"',
        'service_name = "two words"',
        'service_name = "a+b"',
        'listen = ""',
        "listen = []",
        'listen = "127.0.0.1"',
        'listen = ":8443"',
        'listen = "127.0.0.1:"',
        'listen = "127.0.0.1:65536"',
        'listen = "127.0.0.1:٣"',
        'listen = "::1:8443"',
        'listen = "[::1:8443"',
        'listen = "[localhost]:8443"',
        'listen = "unix:/tmp/x:1"',
        'listen = "ipv4:127.0.0.1:80"',
        'listen = "localhost:1,,localhost:2"',
        'plaintext = true\nlisten = "0.0.0.0:1"',
        'plaintext = true\nlisten = "127.0.0.1:1, 192.0.2.7:1"',
        'plaintext = true\nlisten = "[::]:1"',
        'plaintext = true\nlisten = "localhost.example.com:1"',
        'plaintext = true\nlisten = "127.1:1"',
        'smtp_server = "mail.example.com"',
        'smtp_starttls = false\nsmtp_server = "mail.example.com:25"',
        'smtp_starttls = false\nsmtp_server = "192.0.2.7:25"',
        'smtp_sender = "a b@example.com"',
        'smtp_domains = "acme.example, @globex.example"',
        "usage_threshold = 2",
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    """A setting that is misspelt, out of range, no address, or plain text beyond loopback, does not start."""
    with pytest.raises(ValidationError):
        load_settings(_file(tmp_path, text))


@pytest.mark.parametrize("listen", ["localhost:0", "127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "127.0.0.1:1,[::1]:1"])
def test_plain_text_is_allowed_on_loopback(tmp_path: Path, listen: str) -> None:
    """Where every address is a loopback one, the server may go without TLS."""
    assert load_settings(_file(tmp_path, f'plaintext = true\nlisten = "{listen}"')).plaintext


@pytest.mark.parametrize("server", ["localhost:25", "127.0.0.1:25", "[::1]:25", ""])
def test_mail_may_go_unencrypted_over_loopback(tmp_path: Path, server: str) -> None:
    """With the mail server on this machine, or without one, mail needs no STARTTLS."""
    assert not load_settings(_file(tmp_path, f'smtp_starttls = false\nsmtp_server = "{server}"')).smtp_starttls


def test_domains_of_mail_are_a_list(tmp_path: Path) -> None:
    """Domains stand with commas between them; none means any."""
    assert load_settings(_file(tmp_path, 'smtp_domains = "acme.example, globex.example"')).smtp_domains == (
        "acme.example", "globex.example",
    )  # fmt: skip
    assert load_settings(None).smtp_domains == load_settings(_file(tmp_path, 'smtp_domains = ""')).smtp_domains == ()


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    """A broken settings file is an error, not an empty one; so is a missing one."""
    with pytest.raises(ValueError, match="line 1"):
        load_settings(_file(tmp_path, "workers = = 2"))
    with pytest.raises(FileNotFoundError):
        load_settings(tmp_path / "none.toml")


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with our prefix that is no setting refuses, by its name, without its value."""
    monkeypatch.setenv("LINEWARDEN_PLAINTEX", "hunter2")
    with pytest.raises(ValidationError) as refused:
        load_settings(None)
    assert [error["loc"] for error in refused.value.errors()] == [("LINEWARDEN_PLAINTEX",)]
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(CLIENT_ENVIRONMENT),
        "LINEWARDEN_SERVICE_HOST",
        "LINEWARDEN_SERVICE_PORT_GRPC",
        "LINEWARDEN_PORT",
        "LINEWARDEN_PORT_8443_TCP_ADDR",
    ],
)
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Options of the command, and what Kubernetes says of a Service of our name, are no settings and no fault."""
    monkeypatch.setenv(name, "x")
    assert load_settings(None) is not None


def test_the_variables_of_the_command_are_known() -> None:
    """Each option of the command that reads the environment is known as no setting."""

    def names(command: click.Command) -> set[str]:
        found = {p.envvar for p in command.params if isinstance(p.envvar, str)}
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return found.union(*(names(one) for one in inner))

    settings = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    assert names(main) | {"LINEWARDEN_KEY"} == set(CLIENT_ENVIRONMENT)
    assert not settings & CLIENT_ENVIRONMENT


def test_settings_cannot_be_changed_and_hide_the_password() -> None:
    """The object is frozen, and showing it does not show how to get into the database."""
    settings = Settings(database_url="postgresql://u:hunter2@db/x")
    with pytest.raises(ValidationError) as refused:
        settings.workers = 2
    assert "hunter2" not in f"{settings!r} {settings} {refused.value}"


def test_every_setting_says_what_it_is_for() -> None:
    """Each setting has a sentence, and a name with a unit has it in that sentence."""
    units = {"_ms": "Milliseconds", "_s": "Seconds", "_seconds": "Seconds", "_bytes": "Bytes"}
    for name, field in Settings.model_fields.items():
        description = field.description or ""
        assert description.endswith("."), name
        unit = next((units[end] for end in units if name.endswith(end)), "")
        assert description.startswith(unit), name


def test_every_setting_is_read() -> None:
    """The code outside of the settings reads each setting."""
    packages = (Path(linewarden.server.settings.__file__).parents[1] / name for name in ("cli", "server"))
    sources = [path for package in packages for path in package.rglob("*.py") if path.name != "settings.py"]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", code)] == []


def test_the_table_has_every_setting() -> None:
    """The Markdown table has one row for each setting and breaks at no bar within a text."""
    rows = settings_table().splitlines()[2:]
    assert [re.match(r"\| `(\w+)` \|", row)[1] for row in rows] == list(Settings.model_fields)  # type: ignore[index]
    assert {row.count("|") for row in rows} == {4}


def test_the_commented_file_says_the_defaults(tmp_path: Path) -> None:
    """The file as made changes nothing but what is stated; with every comment mark taken away, nothing either."""
    text = settings_file({"data_dir": "."})
    assert tomllib.loads(text) == {"data_dir": "."}
    bare = re.sub(r"(?m)^# (\w+ = )", r"\1", text)
    assert set(tomllib.loads(bare)) == set(Settings.model_fields)
    assert load_settings(_file(tmp_path, text)) == load_settings(_file(tmp_path, bare))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "\0" not in text))
def test_any_folder_can_be_stated(name: str) -> None:
    """Whatever a folder is called, the file says so as TOML."""
    assert tomllib.loads(settings_file({"data_dir": name}))["data_dir"] == name


def test_only_settings_can_be_stated() -> None:
    """A file is not written with what would be refused when it is read."""
    with pytest.raises(ValueError, match="wrokers"):
        settings_file({"wrokers": 2})
