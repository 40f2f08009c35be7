"""The command `linewarden`: exit codes, forms of output, data on stdout and messages on stderr."""

import csv
import io
import json
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import POLICY, Service, linewarden, linewarden_by_itself

CHECK = ("check", "play", "voicemail", "default/101/1", "--owner", "bob")
ANSWERED = ("check", "play", "recording", "1", "--participant")


@pytest.mark.parametrize(("arguments", "subject", "code"), [
    (CHECK, "bob", 0),
    (CHECK, "carol", 1),
    (CHECK, "nobody", 1),
    (("check", "listen_live", "voicemail", "1"), "bob", 2),
    (("check", "sing", "voicemail", "1"), "bob", 2),
    (("check", "play", "voicemail"), "bob", 2),
    (("check", "play", "voicemail", ""), "bob", 2),
    ((*CHECK, "--label", "novalue"), "bob", 2),
    ((*ANSWERED, "answered=bob"), "bob", 0),
    ((*ANSWERED, "callee=bob", "--participant", "answered=ext:1002", "--created", "2026-09-01T08:00Z"), "bob", 1),
    ((*ANSWERED, "answered=ext:1002"), "bob", 2),
    ((*ANSWERED, "boss=bob"), "bob", 2),
    ((*ANSWERED, "bob"), "bob", 2),
    (("check", "play"), "bob", 2),
    ((*CHECK, "--items", "missing.jsonl"), "bob", 2),
    ((*CHECK, "--tenant", "globex"), "bob", 4),
])  # fmt: skip
def test_check_ends_with_the_answer(service: Service, arguments: tuple[str, ...], subject: str, code: int) -> None:
    """`check` ends with 0 for allow, 1 for deny, 2 for an invalid question and 4 for a missing right."""
    done = service.run(*arguments, subject=subject)
    assert done.code == code, done
    assert bool(done.out) == (code < 2)
    assert bool(done.err) == (code >= 2)


def test_check_asks_about_the_items_of_a_file(service: Service, tmp_path: Path) -> None:
    """`check --items` prints an answer for each line. Exit code 1 is a denied item, and 2 a line that is no item."""
    file = tmp_path / "items.jsonl"
    mine = {"person": "bob", "role": "caller", "from": "2026-09-01T08:00:00Z", "until": "2026-09-01T08:01:00Z"}
    item = {"type": "recording", "id": "a", "call_id": "c-1", "duration_s": 61, "created_at": "2026-09-01T08:00:00Z"}
    other = {"address": "ext:1002@internal", "role": "answered"}
    lines = [item | {"participants": [mine, other]}, item | {"id": "b", "participants": [other]}]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    done = service.run("check", "play", "--items", str(file), "-o", "jsonl", subject="bob")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["id"], one["effect"]) for one in answers] == [("a", "allow"), ("b", "deny")]
    assert done.code == 1
    for wrong in ('{"type":"recording"', '{"id":"secret-1"}', '{"type":"song","id":"secret-1"}', '["secret-1"]',
                  '{"type":"fax","id":"secret-1","colour":"red"}'):  # fmt: skip
        file.write_text(f"{json.dumps(item)}\n{wrong}\n")
        refused = service.run("check", "play", "--items", str(file), subject="bob")
        assert (refused.code, "line 2 is not an item" in refused.err, "secret" in refused.err) == (2, True, False)


@pytest.mark.parametrize("arguments", [CHECK, (*CHECK, "--label", "novalue"), ("--help",)])
def test_a_command_by_itself_does_the_same(service: Service, arguments: tuple[str, ...]) -> None:
    """A command in a fresh process ends and writes as the commands of the other tests do."""
    alone = linewarden_by_itself(*arguments, **service.client("carol"))
    assert alone.code == (shared := service.run(*arguments, subject="carol")).code
    assert alone.err == shared.err
    assert len(alone.out.splitlines()) == len(shared.out.splitlines())


def test_check_says_unavailable_without_an_answer(service: Service) -> None:
    """`check` ends with 3 without an answer, and names a missing or wrong key or certificate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unanswered = service.run(*CHECK, LINEWARDEN_SERVER=f"localhost:{free.getsockname()[1]}")
    assert (unanswered.code, unanswered.out) == (3, "")
    untrusted = service.run(*CHECK, LINEWARDEN_CA="")
    assert (untrusted.code, untrusted.out) == (4, "")
    assert "--ca" in untrusted.err
    assert service.run(*CHECK, LINEWARDEN_KEY_FILE="").code == 2
    wrong = service.run(*CHECK, LINEWARDEN_KEY_FILE="", LINEWARDEN_KEY="lw_0_0")
    assert (wrong.code, wrong.out) == (4, "")


def test_the_same_data_in_every_form(service: Service) -> None:
    """Table, JSON, JSON lines and CSV hold the same data, and markup in an id stays text."""
    id = '[bold]a[/b] :smile: , " ; é'
    assert (
        service.run("check", "play", "voicemail", id, "--owner", "bob", "--request-id", "forms", subject="bob").code
        == 0
    )
    query = ("audit", "query", "--request-id", "forms", "-o")
    table, whole, lines, comma = (service.run(*query, form) for form in ("table", "json", "jsonl", "csv"))
    assert {done.code for done in (table, whole, lines, comma)} == {0}
    (row,) = json.loads(whole.out)
    assert row == json.loads(lines.out)
    assert row["resource_id"] == id
    (values,) = csv.DictReader(io.StringIO(comma.out))
    assert values == {name: str(value) for name, value in row.items()}
    assert id in table.out
    assert "bob" in table.out
    assert not table.err


def test_policy_lint_names_file_and_line(tmp_path: Path) -> None:
    """`policy lint` is silent for a good file, prints file:line for each wrong line, and ends with 0, 1 or 2."""
    good = linewarden("policy", "lint", str(POLICY))
    assert (good.code, good.out) == (0, "")
    bad = tmp_path / "bad.policy"
    bad.write_text("bind bob role:user\nallow role:user sing voicemail own\n\nbind\n")
    done = linewarden("policy", "lint", str(POLICY), str(bad))
    assert (done.code, done.out) == (1, "")
    assert [line.split(" ")[0] for line in done.err.splitlines() if "error" in line] == [f"{bad}:2:", f"{bad}:4:"]
    bad.write_bytes(b"\xff\xfe")
    assert linewarden("policy", "lint", str(bad)).code == 1
    assert linewarden("policy", "lint", str(tmp_path / "none")).code == 2


def test_policy_load_and_show(service: Service, tmp_path: Path) -> None:
    """`policy load` replaces or refuses a policy whole, for permitted persons, and `policy show` prints it."""
    shown = service.run("policy", "show", "-o", "jsonl", subject="admin")
    statements = [json.loads(line)["statement"] for line in shown.out.splitlines()]
    assert "bind bob role:user" in statements
    assert "revision" in shown.err
    file = tmp_path / "new.policy"
    file.write_text("\n".join([*statements, "bind dora role:user"]))
    dry = service.run("policy", "load", str(file), "--dry-run", "-o", "json", subject="admin")
    assert (dry.code, json.loads(dry.out)[0]["added"]) == (0, 1)
    assert service.run("policy", "load", str(file), subject="bob").code == 4
    done = service.run("policy", "load", str(file), "--expected-revision", "1", "-o", "json", subject="admin")
    (row,) = json.loads(done.out)
    assert (done.code, row["revision"], row["added"], row["removed"]) == (0, 2, 1, 0)
    assert service.run("policy", "load", str(file), "--expected-revision", "1", subject="admin").code == 2
    file.write_text("bind dora role:user\nnonsense\n")
    wrong = service.run("policy", "load", str(file), subject="admin")
    assert (wrong.code, wrong.out) == (1, "")
    assert "new.policy:2: error: " in wrong.err


def test_audit_export_and_verify(service: Service, tmp_path: Path) -> None:
    """`audit verify` accepts an export with the printed key with 0, and finds a changed byte with 1."""
    folder, old = tmp_path / "export", tmp_path / "old"
    early = service.run("audit", "checkpoint")
    assert (early.code, early.out.count("\n\n")) == (0, 1)
    old.write_text(early.out)
    assert service.run("audit", "export", str(folder), subject="mia").code == 4
    done = service.run("audit", "export", str(folder), "--purpose", "legal")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert service.run("audit", "export", str(folder)).code == 2
    key = done.out.strip()
    verified = linewarden(
        "audit", "verify", str(folder), "--verifier-key", key, "--old-checkpoint", str(old), "-o", "json"
    )
    (report,) = json.loads(verified.out)
    assert (verified.code, report["verified"]) == (0, True)
    assert key.startswith(report["origin"])
    bundle = next(path for path in (folder / "tile/entries").rglob("*") if path.is_file())
    content = bytearray(bundle.read_bytes())
    content[100] ^= 1
    bundle.write_bytes(content)
    broken = linewarden("audit", "verify", str(folder), "--verifier-key", key)
    assert (broken.code, broken.out) == (1, "")
    assert "tile/" in broken.err
    assert linewarden("audit", "verify", str(tmp_path / "none"), "--verifier-key", key).code == 2


def test_audit_entry_writes_a_proof(service: Service, tmp_path: Path) -> None:
    """`audit entry` shows an entry and writes its proof for a third party, and ends with 2 for a missing entry."""
    proof, entry = tmp_path / "proof", tmp_path / "entry"
    done = service.run("audit", "entry", "0", "--proof-file", str(proof), "--entry-file", str(entry), "-o", "json")
    (row,) = json.loads(done.out)
    assert done.code == 0
    assert row["entry"] == entry.read_text()
    assert proof.read_text().startswith("c2sp.org/tlog-proof@v1\n")
    assert service.run("audit", "entry", "999999").code == 2
    assert service.run("audit", "query", subject="bob").code == 4


def test_audit_query_says_when_there_is_more(service: Service) -> None:
    """`audit query` says when its limit left entries out."""
    for number in range(3):
        service.run("check", "play", "voicemail", str(number), "--owner", "bob", subject="bob")
    few = service.run("audit", "query", "--limit", "2", "-o", "jsonl")
    assert (few.code, len(few.out.splitlines())) == (0, 2)
    assert "more than 2" in few.err


def test_keys_are_made_listed_and_revoked(service: Service) -> None:
    """The commands print a key once, list it without its secret, accept it at once, and revoke it at once."""
    made = service.operate("key", "create", "pbx", "--tenant", "acme", "--method", "AccessService", "--days", "1")
    token = made.out.strip()
    assert (made.code, made.out.count("\n")) == (0, 1)
    listed = service.operate("key", "list", "-o", "json")
    (row,) = [row for row in json.loads(listed.out) if row["caller"] == "pbx"]
    assert token.split("_", 2)[2] not in listed.out
    own = {"LINEWARDEN_KEY_FILE": "", "LINEWARDEN_KEY": token}
    assert service.run(*CHECK, subject="bob", **own).code == 0
    assert service.run("audit", "query", **own).code == 4
    assert service.operate("key", "revoke", row["id"]).code == 0
    assert service.run(*CHECK, subject="bob", **own).code == 4
    assert service.operate("key", "revoke", row["id"]).code == 2
    assert service.operate("key", "create", "pbx", "--tenant", "acme", "--method", "NoService").code == 2


def test_tenants_are_made_and_listed(service: Service) -> None:
    """The server serves a new tenant at once, and making the tenant or its first policy again changes nothing."""
    assert service.operate("tenant", "create", "no such name").code == 2
    assert service.operate("tenant", "create", "initech", "--policy", str(POLICY)).code == 0
    rows = json.loads(service.operate("tenant", "list", "-o", "json").out)
    assert {row["tenant"]: row["policy_revision"] for row in rows} == {"acme": rows[0]["policy_revision"], "initech": 1}
    again = service.operate("tenant", "create", "initech", "--policy", str(POLICY))
    assert again.code == 2
    assert "has a policy already" in again.err
    key = service.operate("key", "create", "pbx", "--tenant", "initech", "--method", "*").out.strip()
    own = {"LINEWARDEN_KEY_FILE": "", "LINEWARDEN_KEY": key, "LINEWARDEN_TENANT": "initech"}
    assert service.run(*CHECK, subject="bob", **own).code == 0


def test_init_overwrites_nothing(service: Service) -> None:
    """`init` leaves a folder with a service as it is, and `--keep` makes that a success."""
    key = (service.folder / "secrets/api-key").read_text()
    assert linewarden("init", str(service.folder)).code == 2
    assert linewarden("init", str(service.folder), "--keep").code == 0
    assert (service.folder / "secrets/api-key").read_text() == key
    assert {path.stat().st_mode & 0o077 for path in (service.folder / "secrets").iterdir()} == {0}
    assert (service.folder / "tls/server.key").stat().st_mode & 0o077 == 0


def test_a_wrong_setting_is_told_and_nothing_is_served(service: Service, tmp_path: Path) -> None:
    """`serve` ends with 2 and one clear line for unknown settings, plain text beyond loopback and missing keys."""
    text = (service.folder / "linewarden.toml").read_text()
    for line, word in (("colour = 'red'\n", "colour"), ("plaintext = true\nlisten = '0.0.0.0:0'\n", "loopback")):
        wrong = tmp_path / "wrong.toml"
        wrong.write_text(line + text.replace("\nlisten", "\n# listen"))
        done = linewarden("serve", "--config", str(wrong))
        assert (done.code, done.out) == (2, "")
        assert word in done.err
    done = linewarden("serve", LINEWARDEN_DATA_DIR=str(tmp_path), LINEWARDEN_LISTEN="localhost:0")
    assert (done.code, done.out) == (2, "")


def test_the_server_says_nothing_of_those_who_call(service: Service) -> None:
    """The server's messages hold no names, addresses or keys of callers, even of those that do not speak TLS."""
    port = int(service.address.rpartition(":")[2])
    for nonsense in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x00\xff" * 9, b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("localhost", port)) as connection:
            connection.sendall(nonsense)
    service.run(*CHECK, LINEWARDEN_CA="")
    service.run(*CHECK, subject="person-with-a-name")
    said = service.stderr()
    assert "127.0.0.1" not in said
    assert "person-with-a-name" not in said
    assert "lw_" not in said
    assert '"error"' not in said


def test_assignments_load_and_show(service: Service, tmp_path: Path) -> None:
    """`assignments load` replaces or refuses a file whole with the country code of its region, and `show` prints it."""
    rules = service.run("policy", "show", "-o", "jsonl", subject="admin").out
    file = tmp_path / "pbx.assignments"
    file.write_text(
        "# the reception\nassign tel:030123456 dora\nassign ext:1001@internal bob until=2026-09-01T00:00Z\n"
    )
    unknown = service.run("assignments", "load", str(file), subject="admin")
    assert (unknown.code, unknown.out) == (1, "")
    assert "pbx.assignments:2: error: " in unknown.err
    assert service.run("assignments", "load", str(file), "--region", "Germany", subject="admin").code == 2
    load = ("assignments", "load", str(file), "--region", "DE", "-o", "json")
    assert service.run(*load, subject="bob").code == 4
    done = service.run(*load, subject="admin")
    assert (done.code, json.loads(done.out)[0]["added"]) == (0, 2)
    shown = service.run("assignments", "show", "-o", "jsonl", subject="admin")
    assert [json.loads(line)["statement"] for line in shown.out.splitlines()] == [
        "assign tel:+4930123456 dora",
        "assign ext:1001@internal bob until=2026-09-01T00:00:00Z",
    ]
    assert service.run("policy", "show", "-o", "jsonl", subject="admin").out == rules
    assert service.run("policy", "load", str(file), subject="admin").code == 1
    file.write_text("")
    emptied = service.run(*load, subject="admin")
    assert (emptied.code, json.loads(emptied.out)[0]["removed"]) == (0, 2)
