"""Acme as a tenant of Linewarden: its persons, its policy, and its capture of a fault.

The demonstration plays this scene, the tests that run a server load it, and docs/captures.md quotes it.
"""

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict

from linewarden.server.names import PURPOSE_NUMBERS
from linewarden.v1 import attestation_pb2, capture_pb2, core_pb2, terms_pb2

_HERE = Path(__file__).resolve().parent

TENANT = "acme"
POLICY = _HERE / "company.policy"
#: The end of the addresses in voicemail.conf. A person's id is the part before it.
DOMAIN = "@acme.example"
CASE = "T-4711"

#: The notice that users read before a capture, and its audience.
NOTICE = "faults"
NOTICE_TEXT = "Until Friday we look for a fault, and capture the signalling of calls."
AUDIENCE = "all staff"

RESPONSIBILITIES = [number for number in terms_pb2.Responsibility.values() if number]
LIMITS = capture_pb2.CaptureLimits(
    seconds=60, bytes=1 << 20, packets=10_000, snaplen=65_535, disk_free_min=0, loss_budget=1_000
)


@dataclass(frozen=True)
class Person:
    """A person who asks: id, description, and the circumstances of the request."""

    name: str
    what: str
    purpose: str = ""
    case: str = ""
    zone: str = ""
    tenant: str = ""

    @property
    def full(self) -> str:
        """The name of the person in the tenant's log."""
        return f"//{self.tenant}/{self.name}" if self.tenant else self.name

    def subject(self) -> core_pb2.Subject:
        """Return the person as a subject of the contract."""
        return core_pb2.Subject(id=self.name, tenant=self.tenant)

    def context(self) -> core_pb2.Context:
        """Return the circumstances as a context of the contract."""
        purpose = PURPOSE_NUMBERS.get(self.purpose, 0)
        return core_pb2.Context(purpose=purpose, case_reference=self.case, network_zone=self.zone)


BOB = Person("bob", "a user", zone="office")
CAROL = Person("carol", "his colleague")
ALICE = Person("alice", "sales supervisor", purpose="training")
ALICE_WITHOUT_PURPOSE = Person("alice", "the same, without a purpose")
INES = Person("ines", "partner support", purpose="support", case=CASE, tenant="partner")
ERIK = Person("erik", "auditor")
ADMIN = Person("admin", "administrator")
PRIYA = Person("priya", "privacy officer", purpose="support", case=CASE)
MALLORY = Person("mallory", "unknown")


def statement_fields() -> dict[str, Any]:
    """Return the attestation that the notice was read, as of now, in the form that `diagnostics attest` takes."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = json.loads((_HERE / "statement.json").read_text(encoding="utf-8"))
    digest = b64encode(hashlib.sha256(f"{NOTICE_TEXT}\n".encode()).digest()).decode()
    return fields | {
        "channels": [{"channel": "NOTICE_CHANNEL_EMAIL", "evidence_sha256": digest}],
        "notified_from": now.isoformat(),
        "notified_until": now.isoformat(),
        "valid_until": (now + timedelta(days=30)).isoformat(),
    }


def statement(**changed: Any) -> attestation_pb2.AttestationStatement:
    """Return the same as a message, with some fields changed."""
    made = ParseDict(statement_fields(), attestation_pb2.AttestationStatement())
    made.MergeFrom(attestation_pb2.AttestationStatement(**changed))
    return made
