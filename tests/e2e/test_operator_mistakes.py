"""Mistakes of an operator: each gets one sentence, and leaves nothing half-made."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.e2e.conftest import COMMAND, POLICY, Service, linewarden

CHECK = ("check", "play", "voicemail", "default/101/1", "--owner", "bob")


def sentence(err: str) -> str:
    """Return the one line that a command wrote."""
    (line,) = err.splitlines()
    assert line.startswith("linewarden: ")
    return line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_told_with_its_holder(service: Service, workers: str) -> None:
    """`serve` ends with 3 and names the taken address and its process, also where a port could be shared."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = linewarden("serve", "--config", service.config, LINEWARDEN_LISTEN=address, LINEWARDEN_WORKERS=workers)
    assert (done.code, done.out) == (3, "")
    said = sentence(done.err)
    assert address in said
    assert f"(process {os.getpid()})" in said


def test_an_address_of_another_host_is_told(service: Service) -> None:
    """`serve` ends with 2 and names the address."""
    done = linewarden("serve", "--config", service.config, LINEWARDEN_LISTEN="192.0.2.1:0")
    assert done.code == 2
    assert "192.0.2.1:0" in sentence(done.err)


@pytest.mark.parametrize("tenant", ["acmee", "al pha\n", "", "ACME", "acme "])
def test_a_key_is_for_tenants_that_exist(service: Service, tenant: str) -> None:
    """`key create` refuses an unknown tenant and makes no key."""
    before = service.operate("key", "list", "-o", "json").out
    done = service.operate("key", "create", "pbx", "--tenant", tenant, "--method", "*")
    assert (done.code, done.out) == (2, "")
    assert "no tenant" in sentence(done.err)
    assert service.operate("key", "list", "-o", "json").out == before


@pytest.mark.parametrize("caller", ["", "a\nb", " pbx", "p" * 200])
def test_a_caller_has_a_name_that_can_be_shown(service: Service, caller: str) -> None:
    """`key create` refuses a name that would break lines or tables."""
    done = service.operate("key", "create", caller, "--tenant", "acme", "--method", "*")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(
    "policy", ["bind bob role:user\nallow role:user sing fax own\n", "bind //newone/bob role:user\n"]
)
def test_a_tenant_is_not_made_without_its_policy(service: Service, tmp_path: Path, policy: str) -> None:
    """A policy with any error leaves no tenant behind."""
    file = tmp_path / "bad.policy"
    file.write_text(policy)
    done = service.operate("tenant", "create", "newone", "--policy", str(file))
    assert done.code == 1
    assert "newone" not in service.operate("tenant", "list", "-o", "csv").out


def test_errors_of_a_policy_have_one_form(service: Service, tmp_path: Path) -> None:
    """Every command that takes a policy file prints FILE:LINE: error, and ends with 1."""
    file = tmp_path / "bad.policy"
    file.write_text("allow any play fax own\nbind bob role:user extra\n")
    calls = (
        linewarden("policy", "lint", str(file)),
        service.run("policy", "load", str(file), subject="admin"),
        service.operate("tenant", "create", "newone", "--policy", str(file)),
        service.operate("tenant", "policy", "acme", str(file), "--reason", "test"),
        linewarden("init", str(tmp_path / "new"), "--policy", str(file)),
    )
    for done in calls:
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"{file}:2: error: the binding is incomplete or too long: write bind WHO ROLE\n")
    assert not (tmp_path / "new").exists()
    file.write_text("allow any play fax own\n")
    done = linewarden("init", str(tmp_path / "new"), "--policy", str(file))
    assert done.code == 1
    assert "--allow-lockout" in done.err
    done = linewarden("init", str(tmp_path / "new"), "--policy", str(file), "--allow-lockout")
    assert done.code == 0
    assert f"{file}:1: warning: " in done.err


@pytest.mark.parametrize("words", [("--tenant", "a b"), ("--tenant", ""), ("--policy", "/dev/null/none")])
def test_a_wrong_init_leaves_nothing(tmp_path: Path, words: tuple[str, str]) -> None:
    """A failed `init` removes the folders that it made, and a second attempt succeeds."""
    folder = tmp_path / "deep" / "service"
    assert linewarden("init", str(folder), *words).code == 2
    assert list(tmp_path.iterdir()) == []
    assert linewarden("init", str(folder)).code == 0


@pytest.mark.parametrize("name", ["secrets", "first.policy", "linewarden.db"])
def test_init_follows_and_overwrites_nothing(tmp_path: Path, name: str) -> None:
    """`init` names what exists, leaves it as it is, follows no link, and puts no secret where others can write."""
    folder, elsewhere = tmp_path / "service", tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    elsewhere.mkdir(mode=0o777)
    (folder / name).symlink_to(elsewhere)
    done = linewarden("init", str(folder))
    assert done.code == 2
    assert str(folder / name) in sentence(done.err)
    assert list(elsewhere.iterdir()) == []
    assert list(folder.iterdir()) == [folder / name]


def test_init_does_not_put_secrets_where_others_can_write(tmp_path: Path) -> None:
    """`init` refuses a folder that others may change, with the command that repairs it."""
    tmp_path.chmod(0o777)
    done = linewarden("init", str(tmp_path))
    assert done.code == 2
    assert f"chmod go-w {tmp_path}" in sentence(done.err)
    assert list(tmp_path.iterdir()) == []


def test_init_makes_files_that_only_their_owner_can_read(tmp_path: Path) -> None:
    """`init` makes secrets, keys and the database readable by their owner only, under any umask."""
    call = ["bash", "-c", 'umask 0; exec "$@"', "bash", COMMAND, "init", str(tmp_path / "service")]
    subprocess.run(call, check=True, capture_output=True, timeout=HANG_S)
    found = [*(tmp_path / "service/secrets").iterdir(), tmp_path / "service/tls/server.key"]
    found += (tmp_path / "service").glob("linewarden.db*")
    assert len(found) > 5
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in found} == dict.fromkeys(found, 0o600)
    assert stat.S_IMODE((tmp_path / "service").stat().st_mode) == 0o700


def test_an_empty_database_beside_the_old_one_is_refused(service: Service, tmp_path: Path) -> None:
    """`serve` refuses an empty `database_url` on a service whose logs are in `data_dir`."""
    url = f"sqlite:///{tmp_path}/other.db"
    for command in (("serve",), ("tenant", "list")):
        done = linewarden(*command, "--config", service.config, LINEWARDEN_DATABASE_URL=url)
        assert (done.code, done.out) == (2, "")
        assert str(service.folder / "linewarden.db") in sentence(done.err)


def test_a_server_without_a_port_is_dialled_where_servers_are(service: Service) -> None:
    """`--server HOST` dials port 8443 instead of that of HTTPS."""
    done = service.run(*CHECK, LINEWARDEN_SERVER="localhost", LINEWARDEN_CLIENT_PLAINTEXT="1")
    assert "localhost:8443" in done.err or done.code in {0, 1}
    assert service.run(*CHECK, LINEWARDEN_SERVER="https://localhost").code == 2


def test_tls_where_there_is_none_is_told(service: Service) -> None:
    """A client that speaks plain text to a server with TLS ends with 3 and one sentence."""
    done = service.run(*CHECK, LINEWARDEN_CLIENT_PLAINTEXT="1", LINEWARDEN_CA="")
    assert done.code in {3, 4}
    assert service.address in sentence(done.err)


def test_a_wrong_verb_is_told_in_two_lines(service: Service) -> None:
    """A command with a wrong verb names the verbs that resemble it, not all forty."""
    done = service.run("check", "plya", "voicemail", "1")
    assert done.code == 2
    assert "did you mean play" in done.err
    assert len(done.err.splitlines()) == 2
    missing = service.run("check")
    assert len(missing.err.splitlines()) == 2
    assert "VERB is missing" in missing.err


def test_queries_say_what_cannot_be_found(service: Service) -> None:
    """`audit query` refuses unknown kinds with similar ones or with all, and says that a person is unknown."""
    wrong = service.run("audit", "query", "--kind", "decisions")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean decision?" in wrong.err
    for form in ((), ("--count",)):
        other = service.run("audit", "query", "--kind", "billing", *form)
        assert (other.code, other.out) == (2, "")
        assert "filter.kinds: must be of these kinds: attestation.made, " in other.err
        assert "worker.left" in other.err
        unknown = service.run("audit", "query", "--data-subject", "alcie", "-o", "jsonl", *form)
        assert (unknown.code, unknown.out) == (2, "")
        assert "the log does not know this person: alcie (--data-subject)" in unknown.err


def test_queries_count(service: Service) -> None:
    """`audit query --count` and `--histogram` count the rows that the same filters list."""
    filters = ("--kind", "policy.changed")
    listed = service.run("audit", "query", *filters, "--limit", "1000", "-o", "jsonl").out.splitlines()
    assert service.run("audit", "query", *filters, "--count").out == f"{len(listed)}\n"
    for interval in ("hour", "day", "week", "month"):
        done = service.run("audit", "query", *filters, "--histogram", interval, "-o", "json")
        assert sum(bucket["count"] for bucket in json.loads(done.out)) == len(listed)
    assert "#" in service.run("audit", "query", *filters, "--histogram", "day").out


def test_the_header_of_csv_is_always_the_same(service: Service) -> None:
    """The CSV of an empty answer has the columns of one with rows."""
    full = service.run("audit", "query", "-o", "csv").out.splitlines()[0]
    empty = service.run("audit", "query", "--request-id", "none-has-this", "-o", "csv").out.splitlines()[0]
    assert full == empty


def test_times_are_taken_as_they_are_given(service: Service) -> None:
    """The commands accept times in the form in which JSON prints them."""
    row = json.loads(service.run("audit", "query", "--limit", "1", "-o", "jsonl").out)
    done = service.run("audit", "query", "--from", row["time"], "--until", "2999-01-01T00:00:00+02:00", "-o", "jsonl")
    assert done.code == 0
    assert row["index"] in {json.loads(line)["index"] for line in done.out.splitlines()}
    assert service.run(*CHECK, "--created", row["time"], subject="bob").code == 0
    assert service.run(*CHECK, "--created", "yesterday", subject="bob").code == 2


def test_the_operator_has_a_way_back_into_a_policy(service: Service, tmp_path: Path) -> None:
    """The operator replaces a policy that no person may change; it is in force at once, and recorded."""
    shown = service.run("policy", "show", "-o", "jsonl", subject="admin").out.splitlines()
    statements = [json.loads(line)["statement"] for line in shown]
    file = tmp_path / "locked.policy"
    file.write_text("allow erik read_access_log audit_log any\n")
    lock = ("tenant", "policy", "acme", str(file), "--reason", "an attack is going on")
    assert service.operate(*lock).code == 1
    assert service.operate(*lock, "--allow-lockout").code == 0
    assert service.run(*CHECK, subject="bob").code == 1
    assert service.run("policy", "load", str(POLICY), subject="admin").code == 4
    file.write_text("\n".join(statements) + "\n")
    assert service.operate("tenant", "policy", "acme", str(file)).code == 2
    assert service.operate("tenant", "policy", "acme", str(file), "--reason", " ").code == 2
    back = service.operate("tenant", "policy", "acme", str(file), "--reason", "admin was locked out")
    assert back.code == 0, back
    assert service.run(*CHECK, subject="bob").code == 0
    rows = service.run("audit", "query", "--kind", "policy.changed", "--limit", "1", "-o", "jsonl").out
    entry = json.loads(service.run("audit", "entry", str(json.loads(rows)["index"]), "-o", "json").out)[0]
    assert json.loads(entry["entry"])["caller"] == "operator"
    assert "locked out" not in entry["entry"]
    assert entry["disclosed"]["reason"] == "admin was locked out"
    one = ("tenant", "policy", "acme", "--reason", "one more", "--add", "bind zoe role:user")
    assert service.operate(*one).code == 0
    assert service.operate(*one).code == 1
    assert service.operate("tenant", "policy", "acmee", "--reason", "x", "--add", "bind zoe role:user").code == 2


def test_a_full_disk_as_output_is_told(service: Service) -> None:
    """A command whose stdout is a full disk reports the failure without a traceback."""
    for words in (("tenant", "list", "--config", service.config), ("--version",)):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "linewarden.cli", *words], stdout=full, stderr=subprocess.PIPE, text=True,
                timeout=HANG_S, check=False,
            )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr, "Exception" in done.stderr) == (2, False, False), done
