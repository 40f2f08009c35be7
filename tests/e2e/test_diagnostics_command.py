"""Captures from enabling to reading, with the installed command alone."""

import csv
import io
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from acme import AUDIENCE, INES, NOTICE, NOTICE_TEXT, statement_fields

from linewarden.diagnostics.evidence.sealing import pyrage
from tests.deadlines import FACTOR, HANG_S
from tests.e2e.conftest import COMMAND, POLICY, Service, address_of, linewarden
from tests.integration.forked_python import Done
from tests.rights import live

CASE = ("--case", INES.case, "--purpose", INES.purpose)
PORT = "45070"
OPTIONS = b"OPTIONS sip:b@h SIP/2.0\r\nCall-ID: x\r\nContent-Length: 0\r\n\r\n"
RULES = """
allow admin enable_diagnostics,publish_notice,attest_notice,send_notice diagnostics any
allow admin share_usage,view_metadata,run_probe diagnostics any
allow admin capture_request,capture_start,capture_stop,capture_read,view_metadata,delete capture any
allow berta capture_approve capture any
allow role:partner_support view_metadata diagnostics any if case if purpose=support
"""
PARTNER = INES.full


@pytest.fixture(scope="module")
def customer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service whose customer has permitted captures on loopback."""
    folder = tmp_path_factory.mktemp("diagnostics") / "service"
    assert linewarden("init", str(folder), "--tenant", "acme", "--policy", str(POLICY)).code == 0
    (folder / "places.toml").write_text(
        '[acme]\ninterfaces = ["lo"]\nfiles = true\n[acme.workers]\nberlin = ["eth0"]\n'
    )
    stated = {"LISTEN": "localhost:0", "PLACES_FILE": "places.toml", "CAPTURE_MIN_DISK_FREE": "0"}
    environment = os.environ | {f"LINEWARDEN_{name}": value for name, value in stated.items()}
    with (folder / "stderr").open("wb") as stderr:
        call = [COMMAND, "serve", "--config", str(folder / "linewarden.toml")]
        process = subprocess.Popen(call, stderr=stderr, env=environment)
    try:
        service = Service(folder, address_of(folder / "stderr"), process)
        _permit(service)
        yield service
    finally:
        process.terminate()
        process.wait(HANG_S)


def _permit(service: Service) -> None:
    """Enable, publish and attest as an administrator does."""
    policy, text, statement = (service.folder / name for name in ("acme.policy", "en.txt", "statement.json"))
    policy.write_text(POLICY.read_text() + RULES)
    text.write_text(NOTICE_TEXT)
    duties = ("inform_users", "lawful_basis", "consult_representatives", "limit_readers", "delete_in_time")
    accept = [text for duty in duties for text in ("--accept", duty)]
    for arguments in (
        ("policy", "load", str(policy)),
        ("diagnostics", "enable", *accept),
        ("diagnostics", "publish", NOTICE, f"en={text}", "--audience", AUDIENCE, "--channel", "email"),
    ):
        done = service.run(*arguments, subject="admin")
        assert done.code == 0, done.err
    statement.write_text(json.dumps(statement_fields()))
    done = service.run("diagnostics", "attest", str(statement), subject="admin")
    assert done.code == 0, done.err


def rows(done: Done) -> list[dict[str, Any]]:
    """Return the rows that a command wrote as JSON."""
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_an_interface_of_others_is_refused(customer: Service, tmp_path: Path) -> None:
    """The command refuses an interface of other tenants with a distinct exit code and one short line."""
    done = request(customer, tmp_path, "--interface", "eth7")
    assert (done.code, done.out) == (4, "")
    assert done.err == "linewarden: that is not the tenant's to look at (field: interface)\n"
    there = request(customer, tmp_path, "--interface", "eth7", "--worker", "berlin")
    assert (there.code, there.err) == (done.code, done.err)


def test_a_limit_that_is_too_high_is_named(customer: Service, tmp_path: Path) -> None:
    """The command names the limit that a request exceeds, and nothing else."""
    done = request(customer, tmp_path, "--interface", "lo", "--seconds", "604800")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("linewarden: a limit passes its maximum")
    assert done.err.endswith("(limit: seconds)\n")


def test_an_approver_sees_what_is_asked_for_at_another_host(customer: Service, tmp_path: Path) -> None:
    """The command shows an approver the worker of a requested capture, as a block for people and whole for programs."""
    (capture,) = rows(request(customer, tmp_path, "--interface", "eth0", "--worker", "berlin"))
    assert capture["worker"] == "berlin"
    shown = customer.run("capture", "show", capture["id"], subject="admin")
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert {"where interface eth0, host of the worker berlin", "state pending approval", f"what ports {PORT}"} <= {
        *lines
    }
    assert "limits 5 min, 64 MiB, 1,000,000 packets" in lines
    (whole,) = rows(customer.run("capture", "show", capture["id"], "-o", "json", subject="admin"))
    assert whole["limits"]["seconds"] == "300"


def test_sessions_in_different_states_are_one_csv(customer: Service, tmp_path: Path) -> None:
    """The command lists captures in different states with all their fields as CSV columns."""
    (first,) = rows(request(customer, tmp_path))
    rows(request(customer, tmp_path))
    customer.run("capture", "approve", first["id"], subject="berta")
    done = customer.run("capture", "list", "-o", "csv", subject="admin")
    assert done.code == 0, done.err
    listed = {row["id"]: row for row in csv.DictReader(io.StringIO(done.out))}
    assert listed[first["id"]]["approved_at"]
    assert {row["state"] for row in listed.values()} >= {"armed", "pending_approval"}
    assert not any(None in row for row in listed.values())


def test_a_partner_looks_for_its_case(customer: Service, tmp_path: Path) -> None:
    """A partner whose right needs a case lists, shows and watches with it, and is refused without."""
    (capture,) = rows(request(customer, tmp_path))
    customer.run("capture", "reject", capture["id"], subject="berta")
    for command in (("list",), ("show", capture["id"]), ("watch", capture["id"])):
        assert customer.run("capture", *command, subject=PARTNER).code == 4
        done = customer.run("capture", *command, "--case", INES.case, subject=PARTNER)
        assert (done.code, "rejected" in done.out) == (0, True), done.err
        other = customer.run("capture", *command, "--case", INES.case, "--purpose", "legal", subject=PARTNER)
        assert other.code == 4


def test_the_log_says_what_became_of_sessions(customer: Service, tmp_path: Path) -> None:
    """`audit query` shows capture, state, worker and the fault of a request, and no names."""
    (capture,) = rows(request(customer, tmp_path, "--interface", "eth0", "--worker", "berlin"))
    customer.run("capture", "reject", capture["id"], subject="berta")
    request(customer, tmp_path, "--interface", "lo", "--seconds", "604800")
    found = rows(customer.run("audit", "query", "--oldest-first", "--limit", "1000", "-o", "json"))
    told = {(row["kind"], row["reason"], row["details"]) for row in found}
    id = capture["id"]
    attestation = capture["attestation_id"]
    start = f"session={id} state=pending_approval source=interface worker=berlin interface=eth0 profile=signalling"
    assert ("capture.requested", "", f"{start} attestation={attestation}") in told
    assert ("capture.rejected", "requested", f"session={id} state=rejected") in told
    assert ("diagnostics.refused", "limit_too_high", "detail=seconds actions=capture_request") in told
    assert {row["details"] for row in found if row["kind"] == "decision"} == {""}
    table = customer.run("audit", "query", "--kind", "capture.rejected", "--limit", "1")
    assert f"capture.rejected requested session {id} state rejected" in table.out


def test_an_incomplete_enabling_is_a_wrong_request(customer: Service) -> None:
    """The command refuses an enabling that does not accept every responsibility."""
    assert customer.run("diagnostics", "enable", "--accept", "lawful_basis", subject="admin").code == 2


def test_a_list_of_receipts_and_a_confirmation(customer: Service, tmp_path: Path) -> None:
    """`notice` records a CSV of receipts with times and prints the counts, and users read and confirm a notice."""
    file, now = tmp_path / "receipts.csv", datetime.now(UTC).isoformat()
    file.write_text(f"person,fact,at\nbob,informed,{now}\ncarol,failed,{now}\ncarol,reported,{now}\n")
    (listed,) = rows(customer.run("diagnostics", "notices", "-o", "json", subject="bob"))
    shown = customer.run("diagnostics", "notice", listed["id"], "--version", listed["version"], subject="bob")
    assert (shown.code, shown.out) == (0, f"{NOTICE_TEXT}\n")
    assert customer.run("diagnostics", "confirm", listed["id"], listed["version"], subject="bob").code == 0
    arguments = ("diagnostics", "receipts", "faults", "1", str(file), "--channel", "paper", "-o", "json")
    (row,) = rows(customer.run(*arguments, subject="admin"))
    assert [row[fact] for fact in ("informed", "confirmed", "reported", "failed")] == ["1", "1", "1", "1"]
    file.write_text("person,fact,at\nbob,informed,2026-01-02T03:04:05Z\n")
    early = customer.run(*arguments, subject="admin")
    assert (early.code, "receipts[0].at" in early.err) == (2, True)


def test_usage_shows_what_would_be_sent(customer: Service) -> None:
    """`usage show` prints the document on stdout, byte for byte, and nothing else."""
    assert customer.run("usage", "share", "on", subject="admin").code == 0
    done = customer.run("usage", "show", subject="admin")
    assert json.loads(done.out) == {"v": 1, "threshold": 11, "days": []}


def request(customer: Service, folder: Path, *source: str) -> Done:
    """Ask for a capture, on loopback by default; the reader's key goes into the folder."""
    identity: Any = pyrage.x25519.Identity.generate()
    (folder / "identity").touch(mode=0o600)
    (folder / "identity").write_text(f"# a comment\n{identity}\n")
    return customer.run(
        "capture", "request", *CASE, *(source or ("--interface", "lo")), "--port", PORT, "--disk-free", "0",
        "--reader", f"admin={identity.to_public()}", "-o", "json", subject="admin",
    )  # fmt: skip


def send(packets: int) -> None:
    """Send messages over loopback, and wait until a capture had time to see them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(packets):
            sender.sendto(OPTIONS, ("127.0.0.1", int(PORT)))
    time.sleep(0.5 * FACTOR)


def capture_file(packets: int) -> bytes:
    """Return a pcap file of SIP messages over UDP, IPv4 and Ethernet."""
    udp = struct.pack(">HHHH", int(PORT), int(PORT), 8 + len(OPTIONS), 0) + OPTIONS
    ip = struct.pack(">BBHIBBH8x", 0x45, 0, 20 + len(udp), 0, 64, 17, 0) + udp
    frame = bytes(12) + b"\x08\x00" + ip
    record = struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1) + record * packets


def test_a_file_from_request_to_reading(customer: Service, tmp_path: Path) -> None:
    """A capture file is requested, approved, imported and opened, and a truncated one exits with 1, sealed."""
    for packets, missing, code, reason in ((900, 0, 0, "requested"), (5, 1, 1, "error")):
        folder = tmp_path / reason
        folder.mkdir()
        (capture,) = rows(request(customer, folder, "--file", "monday.pcap"))
        id, file, plain = capture["id"], folder / "monday.pcap", folder / "x.pcapng"
        file.write_bytes(capture_file(packets)[: -missing or None])
        assert rows(customer.run("capture", "approve", id, "-o", "json", subject="berta"))[0]["file"] == "monday.pcap"
        done = customer.run("capture", "import", id, str(file), *CASE, "-o", "json", subject="admin")
        assert done.code == code
        (sealed,) = json.loads(done.out)
        assert (sealed["state"], sealed["stop_reason"]) == ("sealed", reason)
        assert sealed["counters"]["written"] == str(packets - missing)
        identity = ("--identity", str(folder / "identity"))
        assert customer.run("capture", "open", id, str(plain), *CASE, *identity, subject="admin").code == 0
        assert b"OPTIONS sip:b@h" in plain.read_bytes()


def test_an_invalid_file_leaves_the_capture_armed(customer: Service, tmp_path: Path) -> None:
    """The command refuses an invalid capture file, and the capture stays armed."""
    (capture,) = rows(request(customer, tmp_path, "--file", "notes.txt"))
    customer.run("capture", "approve", capture["id"], subject="berta")
    for content in (b"", b"notes"):
        (tmp_path / "notes.txt").write_bytes(content)
        file = str(tmp_path / "notes.txt")
        assert customer.run("capture", "import", capture["id"], file, *CASE, subject="admin").code == 2
    (shown,) = rows(customer.run("capture", "show", capture["id"], "-o", "json", subject="admin"))
    assert shown["state"] == "armed"


@live
def test_a_capture_from_request_to_reading(customer: Service, tmp_path: Path) -> None:
    """The commands take a capture from request to opened evidence, and each step is in the log."""
    (capture,) = rows(request(customer, tmp_path))
    id = capture["id"]
    refused = customer.run("capture", "approve", id, subject="admin")
    assert refused.code == 4
    assert rows(customer.run("capture", "approve", id, "-o", "json", subject="berta"))[0]["state"] == "armed"
    assert rows(customer.run("capture", "start", id, *CASE, "-o", "json", subject="admin"))[0]["state"] == "running"
    send(5)
    assert rows(customer.run("capture", "pause", id, "-o", "json", subject="admin"))[0]["state"] == "paused"
    time.sleep(0.7 * FACTOR)  # the packet process pauses with its next reading
    send(3)
    assert rows(customer.run("capture", "resume", id, *CASE, "-o", "json", subject="admin"))[0]["state"] == "running"
    twice = customer.run("capture", "resume", id, *CASE, subject="admin")
    assert "(state: running)" in twice.err
    assert customer.run("capture", "stop", id, subject="admin").code == 0
    looks = [json.loads(line) for line in customer.run("capture", "watch", id, subject="admin").out.splitlines()]
    assert looks[-1]["state"] == "sealed"
    assert looks[-1]["counters"]["written"] == "5"
    sealed, plain, identity = tmp_path / "x.age", tmp_path / "x.pcapng", ("--identity", str(tmp_path / "identity"))
    assert customer.run("capture", "fetch", id, str(sealed), *CASE, subject="admin").code == 0
    for key in ((), identity):
        assert customer.run("capture", "verify", id, str(sealed), *key, subject="admin").code == 0
    assert customer.run("capture", "open", id, str(plain), *CASE[:2], *identity, subject="admin").code == 2
    assert customer.run("capture", "open", id, str(plain), *CASE, *identity, subject="admin").code == 0
    assert b"OPTIONS sip:b@h" in plain.read_bytes()
    broken = bytearray(sealed.read_bytes())
    broken[-1] ^= 1
    sealed.write_bytes(broken)
    for key in ((), identity):
        assert customer.run("capture", "verify", id, str(sealed), *key, subject="admin").code == 1
    history = rows(customer.run("audit", "query", "--session", id, "-o", "json"))
    kinds = [row["kind"] for row in history if row["kind"] not in {"decision", "diagnostics.refused"}]
    steps = ("requested", "approved", "started", "paused", "resumed", "stopped", "sealed", "opened", "opened")
    assert kinds == ["notice.published", "attestation.made", *(f"capture.{step}" for step in steps)]
    assert {"capture_approve", "capture_stop", "capture_read"} <= {row["verb"] for row in history}
    assert [row["effect"] for row in history if row["verb"] == "capture_approve"] == ["deny", "allow"]
