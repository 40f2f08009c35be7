"""Cerbos for comparison: its server from the npm package, an equal policy, no log, no telemetry.

Its messages are read from the server by reflection, so that this repository holds no file of Cerbos.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

from google.protobuf.json_format import ParseDict
from load import Question
from processes import await_listener, free_address, started
from reflected import messages
from target import Target
from workload import AGENTS, BATCH, PERSON, PURPOSE, QUEUE, ROLES, framed, recordings

PACKAGE = "@cerbos/cerbos-linux-x64"
_BINARY = "node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64"
_METHOD = "cerbos.svc.v1.CerbosService/CheckResources"
_INSTALL_TIMEOUT_S = 120

_CONFIG = """\
server:
  grpcListenAddr: "{grpc}"
  httpListenAddr: "{http}"
storage:
  driver: disk
  disk:
    directory: {policies}
    watchForChanges: false
audit:
  enabled: false
telemetry:
  disabled: true
"""


def installed(cache: Path) -> Path | None:
    """Return the program of the server, installed into the cache with npm; None if npm is missing."""
    binary = cache / _BINARY
    npm = shutil.which("npm")
    if not binary.exists() and npm is not None:
        cache.mkdir(parents=True, exist_ok=True)
        call = [npm, "install", "--prefix", str(cache), "--no-audit", "--no-fund", "--no-save", PACKAGE]
        subprocess.run(call, check=False, capture_output=True, timeout=_INSTALL_TIMEOUT_S)
    return binary if binary.exists() else None


def version(binary: Path) -> str:
    """Return the version that the program reports."""
    done = subprocess.run([str(binary), "--version"], check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


@contextmanager
def running(binary: Path, folder: Path) -> Iterator[dict[str, Target]]:
    """Serve; yield the targets `single` and `batch`."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "recording.json").write_text(json.dumps(_policy()), encoding="utf-8")
    address = free_address()
    config = folder / "cerbos.yaml"
    config.write_text(_CONFIG.format(grpc=address, http=free_address(), policies=policies), encoding="utf-8")
    call = [str(binary), "server", f"--config={config}", "--log-level=error"]
    with started(call, folder, {"CERBOS_NO_TELEMETRY": "1"}) as (_, process):
        await_listener(address)
        yield _targets(folder, address, process)


def _targets(folder: Path, address: str, process: int) -> dict[str, Target]:
    request, response = messages(address, _METHOD)
    targets = {}
    for name, items in (("single", 1), ("batch", BATCH)):
        frame = folder / f"{name}.frame"
        frame.write_bytes(framed(ParseDict(_request(items), request()).SerializeToString()))
        question = Question(address, _METHOD, frame)
        targets[name] = Target(f"Cerbos {name}", question, process, items, _allows(response, items))
    return targets


def _allows(response: Any, items: int) -> Any:
    def is_right(answer: bytes) -> bool:
        results = response.FromString(answer).results
        return [dict(one.actions) for one in results] == [{"play": 1}] * items

    return is_right


def _request(items: int) -> dict[str, Any]:
    resources = []
    for one in list(recordings(int(time()), 1 if items == 1 else AGENTS))[:items]:
        attributes = {"owner": one.owner, "queue": QUEUE, "created": one.created_s}
        resources.append({"resource": {"kind": "recording", "id": one.id, "attr": attributes}, "actions": ["play"]})
    principal = {"id": PERSON, "roles": list(ROLES), "attr": {"purpose": PURPOSE, "zone": "office"}}
    return {"requestId": "7f0c2c9e-8d53-4c1c-9e55-1d2f6d0f4a11", "principal": principal, "resources": resources}


def _policy() -> dict[str, Any]:
    """Return the template's rules about recordings as Cerbos writes them, without obligations."""
    own, queue = "R.attr.owner == P.id", f'R.attr.queue == "{QUEUE}"'
    heard = 'P.attr.purpose in ["quality", "training"]'
    case, support = "has(P.attr.case)", 'P.attr.purpose == "support"'
    rules = [
        _rule("ALLOW", "user", "view_metadata view_party_numbers search play read_transcript", own),
        _rule("ALLOW", "user", "record_pause record_resume", own),
        _rule("ALLOW", ROLES[0], "view_metadata view_party_numbers search", queue),
        _rule("ALLOW", ROLES[0], "play", queue, heard, _younger(90)),
        _rule("ALLOW", "tenant_admin", "view_metadata archive restore"),
        _rule("DENY", "auditor", "play download export share transcribe read_transcript"),
        _rule("ALLOW", "privacy_officer", "view_metadata search", case),
        _rule("ALLOW", "privacy_officer", "hold release_hold erase_subject", case),
        _rule("ALLOW", "quality", "view_metadata search", 'P.attr.purpose == "quality"'),
        _rule("ALLOW", "quality", "play", 'P.attr.purpose == "quality"', 'R.attr.consent == "given"', _younger(30)),
        _rule("ALLOW", "partner_support", "view_metadata search", case, support),
        _rule("DENY", "vendor_support", "play download export share transcribe read_transcript"),
    ]
    policy = {"resource": "recording", "version": "default", "rules": rules}
    return {"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}


def _younger(days: int) -> str:
    return f'timestamp(int(R.attr.created)).timeSince() < duration("{days * 24}h")'


def _rule(effect: str, role: str, actions: str, *conditions: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"effect": f"EFFECT_{effect}", "roles": [role], "actions": actions.split()}
    if conditions:
        rule["condition"] = {"match": {"all": {"of": [{"expr": one} for one in conditions]}}}
    return rule
