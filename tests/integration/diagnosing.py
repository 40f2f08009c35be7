"""A customer that uses diagnostics, for the integration tests."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from acme import AUDIENCE, CASE, LIMITS, NOTICE, NOTICE_TEXT, RESPONSIBILITIES, statement

from linewarden.diagnostics.evidence.sealing import pyrage
from linewarden.server.bootstrap import Running
from linewarden.v1 import attestation_pb2, capture_pb2, core_pb2, notice_pb2
from tests.contract_calls import Stubs, request_type
from tests.integration.conftest import TENANT, Client, Site, person, serving

TERMS_VERBS = (
    "enable_diagnostics",
    "publish_notice",
    "send_notice",
    "attest_notice",
    "share_usage",
    "run_probe",
    "view_metadata",
)
CAPTURE_VERBS = (
    "capture_request",
    "capture_approve",
    "capture_start",
    "capture_stop",
    "capture_read",
    "view_metadata",
    "delete",
)
#: Rights of two administrators, of whom one approves the other's requests, and of a partner.
RULES = (
    f"allow admin {','.join(TERMS_VERBS)} diagnostics any",
    f"allow admin {','.join(CAPTURE_VERBS)} capture any",
    "allow berta  capture_approve,capture_stop,capture_read,view_metadata capture any",
    "allow berta  attest_notice diagnostics any",
    "allow //partner/ines capture_request,capture_start,capture_stop capture any if case if purpose=support",
    "allow //partner/ines capture_approve,capture_media capture any",
    "allow //partner/ines attest_notice,enable_diagnostics,publish_notice,send_notice diagnostics any",
)

#: The captured port; another one in each run, because all programs share loopback.
PORT = 40_000 + os.getpid() % 5_000
CONTEXT = core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT, case_reference=CASE)
IDENTITY: Any = pyrage.x25519.Identity.generate()
READER = capture_pb2.EvidenceReader(name="erik", public_key=str(IDENTITY.to_public()))


class Diagnosing:
    """A caller of the diagnostics services."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stub = Stubs(client.channel)

    async def ask(self, method: str, subject: str = "admin", /, **fields: Any) -> Any:
        """Call a method by its name."""
        return await self.client.call(getattr(self.stub, method), self.request(method, subject, **fields))

    async def refused(self, method: str, subject: str = "admin", /, **fields: Any) -> str:
        """Call a method, expect a refusal, and return its reason."""
        found = await self.client.refused(getattr(self.stub, method), self.request(method, subject, **fields))
        return found.reason

    @staticmethod
    def request(method: str, subject: str, **fields: Any) -> Any:
        """Return the request of a method, for a case by default."""
        stated: dict[str, Any] = {name: fields.pop(name) for name in ("request_id", "context") if name in fields}
        header = core_pb2.RequestHeader(tenant=TENANT, subject=person(subject), **{"context": CONTEXT} | stated)
        return request_type(method)(header=header, **fields)

    async def enable(self, **more: Any) -> None:
        """Enable diagnostics on usual terms."""
        terms: dict[str, Any] = {"accepted": RESPONSIBILITIES, "retention_days": 7} | more
        await self.ask("EnableDiagnostics", **terms)

    async def publish(self, english: str = NOTICE_TEXT) -> notice_pb2.Notice:
        """Publish a notice."""
        texts = [notice_pb2.NoticeText(language="en", text=english),
                 notice_pb2.NoticeText(language="de", text="Gespräche der Störung werden aufgezeichnet.")]  # fmt: skip
        answer = await self.ask(
            "PublishNotice",
            notice_id=NOTICE,
            texts=texts,
            channels=[notice_pb2.NOTICE_CHANNEL_EMAIL],
            audience=AUDIENCE,
        )
        notice: notice_pb2.Notice = answer.notice
        return notice

    async def attest(self, subject: str = "admin", **more: Any) -> attestation_pb2.Attestation:
        """Attest that the whole audience was informed."""
        answer = await self.ask("MakeAttestation", subject, statement=statement(**more))
        attestation: attestation_pb2.Attestation = answer.attestation
        return attestation

    async def permit(self, **terms: Any) -> attestation_pb2.Attestation:
        """Take every step that must precede the request for a capture."""
        await self.enable(**terms)
        await self.publish()
        return await self.attest()

    async def armed(self, **more: Any) -> str:
        """Return a capture that may be started: requested by admin, approved by berta."""
        capture = (await self.ask("RequestCapture", **asked(**more))).capture
        await self.ask("ApproveCapture", "berta", capture_id=capture.id)
        id: str = capture.id
        return id

    async def capture(self, id: str) -> capture_pb2.Capture:
        """Return a capture in its present state."""
        answer = await self.ask("GetCapture", capture_id=id)
        capture: capture_pb2.Capture = answer.capture
        return capture


def asked(**more: Any) -> dict[str, Any]:
    """Return the fields of a request for a capture."""
    usual = {
        "profile": capture_pb2.CAPTURE_PROFILE_SIGNALLING,
        "selector": capture_pb2.CaptureSelector(ports=[capture_pb2.PortRange(low=PORT, high=PORT)]),
        "limits": LIMITS,
        "interface": "lo",
        "readers": [READER],
    }
    return usual | more


@asynccontextmanager
async def customer(site: Site, **settings: Any) -> AsyncIterator[tuple[Diagnosing, Running]]:
    """Run a server with a customer whose people have the rights of RULES."""
    async with open_again(site, **settings) as (diagnosing, running):
        await diagnosing.client.change(add=RULES)
        yield diagnosing, running


@asynccontextmanager
async def open_again(site: Site, **settings: Any) -> AsyncIterator[tuple[Diagnosing, Running]]:
    """Run a server whose customer already has its rules."""
    data = Path(site.settings.data_dir)
    places = data / "places.toml"
    places.write_text('[acme]\ninterfaces = ["lo"]\nhosts = ["127.0.0.1", "localhost"]\nfiles = true\n')
    usual: dict[str, Any] = {"places_file": places, "evidence_dir": data / "evidence", "capture_min_disk_free": 0}
    async with serving(site, **usual | settings) as running, Client(running.addresses[0], site.token) as client:
        yield Diagnosing(client), running
