"""The part of the demonstration in which support captures a call to find a fault.

It goes from the customer's permission to the deletion of the evidence. The server captures live on loopback where it
may: as root or with CAP_NET_RAW, with libpcap. Elsewhere the demonstration imports the same call as a capture file. A
file passes the same checks and the same masking as a live capture.
"""

import ctypes.util
import json
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
from acme import (
    ADMIN,
    AUDIENCE,
    BOB,
    ERIK,
    INES,
    LIMITS,
    NOTICE,
    NOTICE_TEXT,
    PRIYA,
    RESPONSIBILITIES,
    TENANT,
    Person,
    statement,
)
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rich.table import Table
from sip_call import CALL_ID, Phones, capture_file
from stage import DEADLINE_S, FOLDER, Findings, Site, command, console

from linewarden.diagnostics.evidence.sealing import pyrage
from linewarden.v1 import (
    attestation_pb2,
    attestation_pb2_grpc,
    audit_pb2,
    capture_pb2,
    capture_pb2_grpc,
    core_pb2,
    notice_pb2,
    notice_pb2_grpc,
    terms_pb2,
    terms_pb2_grpc,
)
from linewarden.v1.audit_pb2_grpc import AuditServiceStub

_CASE = ("--case", INES.case, "--purpose", INES.purpose)
_FILE = "call.pcap"

_Steps = Sequence[tuple[str, Person | None]]

#: The expected log entries in order, each with its actor; None is the service itself.
_BEFORE: _Steps = (
    ("diagnostics.refused", INES),
    ("diagnostics.enabled", ADMIN),
    ("notice.published", ADMIN),
    ("attestation.made", PRIYA),
    ("capture.requested", INES),
    ("capture.approved", PRIYA),
    ("capture.started", INES),
)
_AFTER: _Steps = (
    ("capture.sealed", None),
    ("capture.opened", INES),
    ("capture.deleted", PRIYA),
)
_LIVE = (*_BEFORE, ("notice.listed", BOB), ("capture.stopped", INES), *_AFTER)
_BROUGHT = (*_BEFORE, ("capture.stopped", None), *_AFTER)


def state_places(folder: Path) -> Path:
    """Write the interfaces and files that the operator permits for the tenant; return the file."""
    file = folder / "places.toml"
    file.write_text(f'[{TENANT}]\ninterfaces = ["lo"]\nfiles = true\n')
    return file


def capture_a_fault(site: Site, findings: Findings) -> None:
    """Run this part: permission, request, approval, capture, evidence, deletion, log."""
    console.rule("[bold]A packet capture to find a fault")
    if pyrage is None:
        console.print("  [yellow]skipped:[/] install the extra `capture` to run this part\n")
        return
    console.print("  Partner support looks for a fault in a call. It needs the signalling, not the speech.\n")
    folder, diagnostics = FOLDER / "capture", _Diagnostics(site)
    folder.mkdir()
    with Phones() as phones:
        _permit(diagnostics, phones, findings)
        capture = _agree(diagnostics, phones, folder / "identity", findings)
        if may_capture():
            _capture(diagnostics, capture, phones, findings)
        else:
            _import_file(diagnostics, capture, phones, findings)
        opened = _read(diagnostics, capture, folder, findings)
        _look_for_secrets(opened, phones, findings)
    _delete(diagnostics, capture, findings)
    _show_log(site, live=may_capture(), findings=findings)


def may_capture() -> bool:
    """Return whether this process may capture packets on this machine."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return find_spec("scapy") is not None and ctypes.util.find_library("pcap") is not None


_SERVICES: tuple[tuple[Any, Any], ...] = (
    (terms_pb2, terms_pb2_grpc.TermsServiceStub),
    (notice_pb2, notice_pb2_grpc.NoticeServiceStub),
    (attestation_pb2, attestation_pb2_grpc.AttestationServiceStub),
    (capture_pb2, capture_pb2_grpc.CaptureServiceStub),
)


class _Diagnostics:
    """A caller of the diagnostics services, by the name of the rpc."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def ask(self, method: str, person: Person, **fields: Any) -> Any:
        """Call an rpc as a person; return a stream as the list of its messages."""
        header = core_pb2.RequestHeader(tenant=TENANT, subject=person.subject())
        if not method.startswith(("ListActive", "Publish", "Enable", "Make")):
            header.context.CopyFrom(person.context())
        messages, rpc = self._rpc(method)
        request = getattr(messages, f"{method}Request")(header=header, **fields)
        answer = rpc(request, metadata=self.site.metadata, timeout=DEADLINE_S)
        return list(answer) if method in {"WatchCapture", "ReadEvidence"} else answer

    def refused(self, method: str, person: Person, **fields: Any) -> str:
        """Call an rpc; return the reason of the refusal, or an empty text if it was accepted."""
        try:
            self.ask(method, person, **fields)
        except grpc.RpcError as error:
            return _reason(error)
        return ""

    def wait_for(self, capture: str, packets: int) -> None:
        """Wait until so many packets are written, because the last ones reach the worker late."""
        request = capture_pb2.WatchCaptureRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=INES.subject(), context=INES.context()),
            capture_id=capture,
        )
        looks = self._rpc("WatchCapture")[1](request, metadata=self.site.metadata, timeout=DEADLINE_S)
        next((look for look in looks if look.counters.written >= packets), None)
        looks.cancel()

    def _rpc(self, method: str) -> tuple[Any, Any]:
        """Return the module of an rpc's messages, and the rpc itself."""
        for messages, stub in _SERVICES:
            if hasattr(messages, f"{method}Request"):
                return messages, getattr(stub(self.site.channel), method)
        raise AssertionError(method)


def _reason(error: grpc.RpcError) -> str:
    status: Any = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return "unknown"


def _permit(diagnostics: _Diagnostics, phones: Phones, findings: Findings) -> None:
    """Permit captures, publish the notice, and attest that the staff received it."""
    reason = diagnostics.refused("RequestCapture", INES, **_wish(phones, "age1" + 58 * "q"))
    findings.expect(
        reason == "DIAGNOSTICS_NOT_ENABLED", "Linewarden refuses a capture that the customer has not permitted"
    )
    diagnostics.ask("EnableDiagnostics", ADMIN, accepted=RESPONSIBILITIES, retention_days=7)
    text = notice_pb2.NoticeText(language="en", text=NOTICE_TEXT)
    channels = [notice_pb2.NOTICE_CHANNEL_EMAIL]
    diagnostics.ask("PublishNotice", ADMIN, notice_id=NOTICE, texts=[text], audience=AUDIENCE, channels=channels)
    console.print(f"  · {ADMIN.name}, the administrator, permits captures and publishes a notice for all staff")
    diagnostics.ask("MakeAttestation", PRIYA, statement=statement())
    console.print(f"  · {PRIYA.name}, the privacy officer, attests that all staff received the notice")


def _agree(diagnostics: _Diagnostics, phones: Phones, identity: Path, findings: Findings) -> str:
    """Request a capture as support and approve it as the customer; return the capture."""
    key: Any = pyrage.x25519.Identity.generate()
    identity.touch(mode=0o600)
    identity.write_text(f"{key}\n")
    capture = diagnostics.ask("RequestCapture", INES, **_wish(phones, str(key.to_public()))).capture
    findings.expect(
        capture.state == capture_pb2.CAPTURE_STATE_PENDING_APPROVAL,
        "the request of support waits for the approval of a second person",
    )
    reason = diagnostics.refused("ApproveCapture", INES, capture_id=capture.id)
    findings.expect(reason == "SUBJECT_NOT_PERMITTED", "support may not approve its own request")
    reason = diagnostics.refused("StartCapture", INES, capture_id=capture.id)
    findings.expect(reason != "", "support cannot start the capture before it is approved")
    approved = diagnostics.ask("ApproveCapture", PRIYA, capture_id=capture.id).capture
    findings.expect(
        approved.state == capture_pb2.CAPTURE_STATE_ARMED,
        f"{PRIYA.name} approves the capture for the customer",
    )
    id: str = capture.id
    return id


def _wish(phones: Phones, public_key: str) -> dict[str, Any]:
    wish = {
        "profile": capture_pb2.CAPTURE_PROFILE_SIGNALLING,
        "limits": LIMITS,
        "readers": [capture_pb2.EvidenceReader(name=INES.name, public_key=public_key)],
    }
    if not may_capture():  # the file holds the call alone, and filters need libpcap
        return {**wish, "selector": capture_pb2.CaptureSelector(), "file": _FILE}
    ports = [capture_pb2.PortRange(low=port, high=port) for port in phones.ports]
    return {**wish, "selector": capture_pb2.CaptureSelector(ports=ports), "interface": "lo"}


def _capture(diagnostics: _Diagnostics, capture: str, phones: Phones, findings: Findings) -> None:
    """Capture live on loopback while the two phones talk."""
    started = diagnostics.ask("StartCapture", INES, capture_id=capture).capture
    findings.expect(started.state == capture_pb2.CAPTURE_STATE_RUNNING, "the server captures live on loopback")
    told = diagnostics.ask("ListActiveNotices", BOB).notices
    findings.expect(
        [one.capture_id for one in told] == [capture], f"{BOB.name}, like every user, can see that a capture runs"
    )
    phones.call()
    diagnostics.wait_for(capture, len(phones.sent))
    diagnostics.ask("StopCapture", INES, capture_id=capture)
    diagnostics.ask("WatchCapture", INES, capture_id=capture)
    _check_counts(diagnostics, capture, phones, findings)


def _import_file(diagnostics: _Diagnostics, capture: str, phones: Phones, findings: Findings) -> None:
    """Import the same call as a file that another tool recorded unmasked."""
    console.print("  [yellow]no live capture:[/] it needs root or CAP_NET_RAW, libpcap, and the extra `capture`")
    phones.call()
    file = FOLDER / "capture" / _FILE
    file.write_bytes(capture_file(phones.sent))
    done = command("capture", "import", capture, str(file), *_CASE, *diagnostics.site.options(INES), check=False)
    findings.expect(done.returncode == 0, "the service imports a capture file")
    _check_counts(diagnostics, capture, phones, findings)


def _check_counts(diagnostics: _Diagnostics, capture: str, phones: Phones, findings: Findings) -> None:
    found = diagnostics.ask("GetCapture", INES, capture_id=capture).capture
    counters, sent = found.counters, len(phones.sent)
    findings.expect(
        found.state == capture_pb2.CAPTURE_STATE_SEALED and counters.written == sent and not counters.dropped,
        f"the sealed evidence holds all {sent} packets of one call",
    )


def _read(diagnostics: _Diagnostics, capture: str, folder: Path, findings: Findings) -> bytes:
    """Fetch, verify and open the evidence, and analyse it; return the opened file."""
    reach = diagnostics.site.options(INES)
    sealed, opened, identity = folder / "evidence.age", folder / "evidence.pcapng", str(folder / "identity")
    command("capture", "fetch", capture, str(sealed), *_CASE, *reach)
    findings.expect(CALL_ID.encode() not in sealed.read_bytes(), "the server cannot read the evidence that it stores")
    checked = command("capture", "verify", capture, str(sealed), *_CASE, *diagnostics.site.options(INES), check=False)
    findings.expect(checked.returncode == 0, "the sealed file is the recorded one, verified without a key")
    done = command("capture", "open", capture, str(opened), *_CASE, "--identity", identity, *reach, check=False)
    findings.expect(done.returncode == 0, "the reader opens the evidence, and it matches the record in the log")
    report = json.loads(command("capture", "analyse", str(opened), "-o", "json").stdout)
    console.print()
    # The session descriptions are left out, because their lines are too long for some terminals.
    ladder = command("capture", "analyse", str(opened), "--ladder", CALL_ID).stdout.split("\n\n")
    for line in "\n\n".join(part for part in ladder if not part.startswith("Sessions")).splitlines():
        console.print(f"  {line}", markup=False)
    console.print()
    ends = [(call["state"], call["ended_by"]) for call in report["calls"]]
    findings.expect(ends == [("completed", "caller")], "the analysis finds one call, which the caller ended")
    streams = [one for one in report["streams"] if one["codec"] == "PCMA"]
    findings.expect(
        len(streams) == 2 and not any(one["lost"] for one in streams), "media flowed both ways without loss"
    )
    return opened.read_bytes()


def _look_for_secrets(opened: bytes, phones: Phones, findings: Findings) -> None:
    """Search the opened file for every secret of the call."""
    secrets, sent = phones.secrets(), b"".join(one.payload for one in phones.sent)
    # Without this check, the absence of a secret that was never sent would prove nothing.
    assert all(piece in sent for pieces in secrets.values() for piece in pieces)
    for what, pieces in secrets.items():
        count = sum(piece in opened for piece in pieces)
        findings.expect(bool(pieces) and not count, f"the opened file holds no {what}")
    findings.expect(b"INVITE sip:1003@" in opened, "the opened file holds the signalling, which shows the fault")


def _delete(diagnostics: _Diagnostics, capture: str, findings: Findings) -> None:
    deleted = diagnostics.ask("DeleteCapture", PRIYA, capture_id=capture).capture
    gone = not any((diagnostics.site.service / "evidence").glob(f"{capture}*"))
    reason = diagnostics.refused("ReadEvidence", INES, capture_id=capture)
    findings.expect(
        deleted.state == capture_pb2.CAPTURE_STATE_DELETED and gone and reason == "STATE_CONFLICT",
        f"{PRIYA.name} deletes the evidence, and the reader can no longer fetch it",
    )


def _show_log(site: Site, *, live: bool, findings: Findings) -> None:
    """Show the log entries of all steps, with their actors, and check them."""
    steps = _LIVE if live else _BROUGHT
    request = audit_pb2.QueryEntriesRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=ERIK.subject()),
        filter=audit_pb2.EntryFilter(kinds=[kind for kind, _who in steps]),
        page_size=1_000,
        oldest_first=True,
    )
    stub = AuditServiceStub(site.channel)
    rows = stub.QueryEntries(request, metadata=site.metadata, timeout=DEADLINE_S).rows
    table = Table("  entry", "time", "what", "who", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        time_of_day = row.time.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
        table.add_row(f"  {row.index}", time_of_day, row.kind, row.subject or "the service itself")
    console.print("\n  The log entries of this capture:\n")
    console.print(table)
    console.print()
    _check_log([(row.kind, row.subject) for row in rows], steps, findings)


def _check_log(found: list[tuple[str, str]], steps: _Steps, findings: Findings) -> None:
    # The log has more entries: other refusals, and a second opening of the evidence.
    rest = iter(found)
    complete = all(
        any(kind == step and (subject == (who.full if who else "")) for kind, subject in rest) for step, who in steps
    )
    findings.expect(complete, f"all {len(steps)} steps are in the log, in their order, with their actors")
