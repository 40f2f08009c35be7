"""The view of a capture for its approver."""

import csv
import io
import json
from typing import Any

import click
import pytest

from linewarden.cli.capture.view import show_capture, write_captures
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2

WHEN = "2026-11-26T15:48:49.123Z"
ID = "3f2a" * 8


def asked_for(**more: Any) -> pb.Capture:
    """Return a capture that waits for its approver."""
    usual: dict[str, Any] = {
        "id": ID,
        "state": pb.CAPTURE_STATE_PENDING_APPROVAL,
        "purpose": core_pb2.PURPOSE_SUPPORT,
        "case_reference": "T-4711",
        "profile": pb.CAPTURE_PROFILE_SIGNALLING,
        "selector": pb.CaptureSelector(
            extensions=["101", "102"],
            hosts=["10.0.0.0/8"],
            ports=[pb.PortRange(low=5_060, high=5_060), pb.PortRange(low=10_000, high=20_000)],
            transport=pb.TRANSPORT_UDP,
        ),
        "limits": pb.CaptureLimits(
            seconds=5_400, bytes=64 << 20, packets=1_000_000, snaplen=65_535, disk_free_min=512 << 20, loss_budget=1_000
        ),
        "interface": "eth0",
        "worker": "berlin",
        "requested_by": "//partner/ines",
        "readers": [
            pb.EvidenceReader(name="ines", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP0 root@host"),
            pb.EvidenceReader(name="otto", public_key="age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqp"),
        ],
    }
    capture = pb.Capture(**usual | more)
    capture.requested_at.FromJsonString(WHEN)
    return capture


def sealed() -> pb.Capture:
    """Return a capture at its end."""
    capture = asked_for(
        state=pb.CAPTURE_STATE_SEALED,
        approved_by="admin",
        started_by="//partner/ines",
        attestation_id="77" * 16,
        extends_capture="ab" * 16,
        stop_reason=pb.CAPTURE_STOP_REASON_LOSS_BUDGET,
        lossy=True,
        counters=pb.CaptureCounters(received=1_234, dropped=7, written=12, bytes=123_456, rules={"sip_auth": 5}),
        evidence=pb.Evidence(
            plain_bytes=123_456, plain_sha256="1a" * 32, chain="2b" * 32, ticket_digest="3c" * 32,
            sealed_bytes=1 << 20, sealed_sha256="4d" * 32,
        ),
    )  # fmt: skip
    for name in ("approved_at", "started_at", "ended_at", "delete_at"):
        getattr(capture, name).FromJsonString(WHEN)
    return capture


def _shown(capture: pb.Capture, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_capture(capture, "table")
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_an_approver_sees_all_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """An approver sees requester, reason, place, content, amount and readers, in plain words and units."""
    assert _shown(asked_for(), capsys) == [
        f"capture {ID}",
        "state pending approval",
        "asked for by //partner/ines, 2026-11-26 15:48:49 UTC",
        "purpose support, case T-4711",
        "profile signalling: SIP and SDP, of media the headers of RTP",
        "stays: display names, numbers, user and host names, addresses, device ids, reason texts, who called whom when",
        "overwritten: passwords, digits dialled in a call, messages, free text, unknown headers and parameters",
        "where interface eth0, host of the worker berlin",
        "what extensions 101, 102",
        "hosts 10.0.0.0/8",
        "ports 5060, 10000 to 20000",
        "UDP only",
        "limits 1 h 30 min, 64 MiB, 1,000,000 packets",
        "65,535 bytes of each packet",
        "ends when more than 1,000 packets are lost",
        "ends when less than 512 MiB of disk are free",
        "readers ines, key …lZDI1NTE5AAAAIP0",
        "otto, key …qqqqqqqqqqqqqqqp",
        "attestation not yet made",
    ]


@pytest.mark.parametrize("profile", [one for one in pb.CaptureProfile.values() if one])
def test_an_approver_sees_what_stays_of_persons(profile: pb.CaptureProfile, capsys: pytest.CaptureFixture[str]) -> None:
    """An approver reads at each profile what the evidence says about persons."""
    lines = _shown(asked_for(profile=profile), capsys)
    assert any(line.startswith("stays: ") for line in lines)


def test_what_became_of_a_session_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The view shows approver, end, counters, and all hashes of the evidence."""
    lines = _shown(sealed(), capsys)
    for line in (
        f"attestation {'77' * 16}",
        f"extends {'ab' * 16}",
        "approved by admin, 2026-11-26 15:48:49 UTC",
        "stopped for loss budget",
        "packets 1,234 received, 7 lost; 0 examined",
        "masked by rule: sip_auth 5",
        "lossy yes: what is missing proves nothing",
        "evidence 120.6 KiB masked, SHA-256",
        "1 MiB sealed, SHA-256",
        *(digest * 32 for digest in ("1a", "2b", "3c", "4d")),
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"worker": ""}, "where interface eth0, the server's own host"),
        ({"interface": "", "file": "monday.pcap"}, "where the capture file monday.pcap"),
        ({"selector": pb.CaptureSelector()}, "what all traffic of the tenant"),
        ({"selector": pb.CaptureSelector(raw_filter="udp port 5060")}, "what the filter udp port 5060"),
        ({"selector": None, "case_reference": ""}, "what cannot be read any more"),
        ({"lacking": ["attestation"]}, "attestation missing: none is in force"),
        ({"lacking": ["seconds", "profile"]}, "attestation missing: none covers seconds, profile"),
        ({"limits": pb.CaptureLimits(seconds=90_061, bytes=4_096)}, "limits 1 d 1 h 1 min 1 s, 4 KiB, 0 packets"),
    ],
)
def test_what_is_not_said_is_not_left_to_guess(
    more: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The view says that an empty selector takes everything, and that an empty worker is the server's host."""
    assert line in _shown(asked_for(**more), capsys)


def test_a_session_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A view of 80 columns cuts no hash in two, and no line is wider."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    show_capture(sealed(), "table")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert {"1a" * 32, "2b" * 32, "3c" * 32, "4d" * 32, "77" * 16} <= {word for line in lines for word in line.split()}


def test_programs_get_the_session_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON a capture is the message, with the worker."""
    show_capture(asked_for(), "json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["worker"], row["limits"]["seconds"]) == ("pending_approval", "berlin", "5400")
    assert row["selector"]["extensions"] == ["101", "102"]


def test_a_list_is_read_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 80 columns cuts no id, state or word in two, and shows no false statement."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    waits = asked_for(state=pb.CAPTURE_STATE_PENDING_ATTESTATION, worker="")
    write_captures([waits, sealed()], "table")
    shown = click.unstyle(capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    first, second = shown.split(ID)[1:]
    assert [line.split() for line in first.splitlines()] == [
        ["pending", "attestation", "signalling,", "for"], ["//partner/ines"],
    ]  # fmt: skip
    said = " ".join(second.split())
    assert "approved by admin" in said
    assert said.endswith("at berlin, stopped: loss budget, lossy")


def test_programs_get_every_field_of_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """As CSV a list has the fields of the message, the id first, and readers in a form that a program can read."""
    write_captures([asked_for(), asked_for(worker="")], "csv")
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["id"], next(iter(first)), first["worker"], second["worker"]) == (ID, "id", "berlin", "")
    assert [one["name"] for one in json.loads(first["readers"])] == ["ines", "otto"]
