"""The agreement of docs/log-format.md with the logs that a real server writes."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from blocks import shown
from capturing import PLACES, STATEMENTS, Customer, made_kinds, needs_capture
from google.protobuf.timestamp_pb2 import Timestamp
from repository import ROOT
from running import Service, attending, initialize, serving

from linewarden.audit import entry as entries
from linewarden.audit.clock import Clock
from linewarden.audit.housekeeping import Housekeeper
from linewarden.audit.model import Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.server.bootstrap import now_us
from linewarden.server.kinds import KINDS
from linewarden.server.recovery import correct_clock, recover, rolled_back
from linewarden.server.settings import load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.workers.certificates import make_authority
from linewarden.v1 import access_pb2, core_pb2, policy_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub
from tests.deadlines import HANG_S
from tests.integration.forked_python import forked_python
from tests.rights import may_capture

pytestmark = pytest.mark.slow  # the fixture runs a server, a worker and many commands

_TEXT = (ROOT / "docs" / "log-format.md").read_text(encoding="utf-8")
_SYSTEM, _TENANT = 0, 1
#: The heading of the fields that all entries of diagnostics have.
_DIAGNOSTICS = "diagnostics"
_AUTHORITY = ("var/linewarden/tls/capture-workers.crt", "var/linewarden/secrets/capture-workers.key")
_PERSONAL = ("mallory", "zacharias", "+4930555", "default/101/msg1", "T-4711")


@dataclass(frozen=True)
class Written:
    """The output of a server: all entries, an export of the tenant's log, and the policy."""

    home: Path
    logs: dict[int, list[bytes]]
    verifier_key: str
    policy_hash: bytes
    statements: dict[str, str]

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield every entry of both logs."""
        for data in (*self.logs[_SYSTEM], *self.logs[_TENANT]):
            yield json.loads(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return logs with at least one entry of every kind."""
    home = tmp_path_factory.mktemp("format")
    (home / "places.toml").write_text(PLACES)
    stated = {"HEARTBEAT_S": "1", "PLACES_FILE": str(home / "places.toml"), "CAPTURE_MIN_DISK_FREE": "0",
              "CAPTURE_LISTEN": "localhost:0",
              "SMTP_SERVER": "localhost:9", "SMTP_SENDER": "notices@acme.example", "SMTP_STARTTLS": "0"}  # fmt: skip
    initialize(home)
    make_authority(home / _AUTHORITY[0], home / _AUTHORITY[1], datetime.now(UTC))
    with serving(home, **{f"LINEWARDEN_{name}": value for name, value in stated.items()}) as service:
        _use_commands(service)
        _use_worker(service)
        version, statements = _use_rpcs(service)
        exported = _linewarden(service, "audit", "export", "exported", "--as", "auditor")
    _use_recovery(home)
    engine = open_engine(f"sqlite:///{home}/var/linewarden/linewarden.db")
    store = LogStore(engine)
    logs = {log: list(store.entries(log, 0, store.head(log).size)) for log in (_SYSTEM, _TENANT)}
    engine.dispose()
    return Written(home, logs, exported.strip(), version.hash, statements)


def test_every_kind_is_documented_and_written(written: Written) -> None:
    """The kinds of the code, of the document and of real logs are the same."""
    assert set(_documented()) - {"*", _DIAGNOSTICS} == KINDS
    made = KINDS - {entries.PERSON_ERASED} - (set() if may_capture() else needs_capture())
    assert {entry["kind"] for entry in written.entries()} == made


def test_every_field_is_documented(written: Written) -> None:
    """Each entry has all required fields of the document, and no undocumented field."""
    documented = _documented()
    for entry in written.entries():
        tables = documented[entry["kind"]]
        _check(entry, _frame(documented, entry["kind"]) | tables.get("", {}))
        for label, part in _parts(entry):
            _check(part, tables[label])
        for item in entry.get("items", ()):
            assert all(set(rule) == {"effect", "id", "roles"} for rule in item.get("rules", ()))


def test_every_optional_field_occurs(written: Written) -> None:
    """The logs of this test have each documented optional field at least once."""
    documented, seen = _documented(), set()
    for entry in written.entries():
        kind = entry["kind"]
        seen |= {(id(documented["*"][""]), name) for name in entry}
        for label, part in (("", entry), *_parts(entry)):
            seen |= {(id(documented[kind].get(label)), name) for name in part}
            seen |= {(id(documented[_DIAGNOSTICS][""]), name) for name in part if kind in made_kinds()}
    unseen = [
        (kind, label, name)
        for kind, tables in documented.items()
        for label, table in tables.items()
        for name in table
        if (id(table), name) not in seen
        and (may_capture() or label != "evidence")
        and kind not in {*needs_capture(), entries.PERSON_ERASED}
    ]
    assert unseen == []


def test_entries_are_spelled_in_one_way(written: Written) -> None:
    """Keys are sorted, there are no blanks, and an entry is smaller than 32 KiB."""
    for data in (*written.logs[_SYSTEM], *written.logs[_TENANT]):
        spelled = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert data == spelled.encode()
        assert len(data) < 32 * 1024


def test_sealed_values_have_the_parts_that_are_stated(written: Written) -> None:
    """Each sealed value has a pseudonym, a ciphertext with nonce, opening and tag, and a commitment of 32 bytes."""
    sealed = [one for entry in written.entries() for one in entry.get("enc", ())]
    for one in sealed:
        assert set(one) == {"sid", "ct", "commit"}
        assert re.fullmatch(r"[0-9a-f]{16}", one["sid"])
        assert len(base64.b64decode(one["ct"])) > 12 + 16 + 16
        assert len(base64.b64decode(one["commit"])) == 32
    assert sealed


def test_nothing_personal_stands_in_clear(written: Written) -> None:
    """The bytes of the logs hold no name, number, item id or case reference in clear."""
    for data in (*written.logs[_SYSTEM], *written.logs[_TENANT]):
        assert [word for word in _PERSONAL if word.encode() in data] == []


def test_the_policy_is_made_from_the_log_alone(written: Written) -> None:
    """Hash and statement ids of the policy in force follow from the entries as the document says."""
    changes: dict[int, list[bytes]] = {}
    in_force: dict[str, str] = {}
    for data in written.logs[_TENANT]:
        entry = json.loads(data)
        if entry["kind"] == "policy.changed":
            changes.setdefault(entry["revision"], []).append(data)
            in_force |= dict(entry["added"])
            for id in entry["removed"]:
                del in_force[id]
    digest = bytes(32)
    for parts in changes.values():
        leaves = b"".join(hashlib.sha256(b"\0" + part).digest() for part in parts)
        digest = hashlib.sha256(digest + leaves).digest()
    assert list(changes) == [1, 2]
    assert len(changes[2]) > 1
    assert digest == written.policy_hash
    assert set(in_force) == set(written.statements)
    roles = {id: text for id, text in written.statements.items() if " role:user " in text}
    assert roles
    assert roles == {id: in_force[id] for id in roles}


def test_the_verifier_of_the_document_verifies(written: Written) -> None:
    """The verifier in the document accepts a real export and refuses it with any of these bytes changed."""
    service = Service(written.home, "")
    call = ("python", "-c", shown("log-format.verifier"), "exported", written.verifier_key)
    assert service.run(*call).stderr == ""
    bundles = [path for path in (written.home / "exported/tile/entries").rglob("*") if path.is_file()]
    assert len(bundles) > 1
    for path in (*bundles, written.home / "exported/checkpoint"):
        whole = path.read_bytes()
        place = len(whole) // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert service.run(*call).returncode != 0, path
        path.write_bytes(whole)
    assert service.run(*call).returncode == 0


def _check(found: dict[str, Any], table: dict[str, bool]) -> None:
    assert set(found) <= set(table), found
    assert {name for name, always in table.items() if always} <= set(found), found


def _parts(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects inside an entry that have separate tables."""
    for item in entry.get("items", ()):
        yield "items", item
        yield "resource", item["resource"]
    yield from ((label, entry[label]) for label in ("counters", "evidence") if label in entry)


def _frame(documented: dict[str, dict[str, dict[str, bool]]], kind: str) -> dict[str, bool]:
    """Return the fields that entries of a kind share with others."""
    return documented["*"][""] | (documented[_DIAGNOSTICS][""] if kind in made_kinds() else {})


def _documented() -> dict[str, dict[str, dict[str, bool]]]:
    """Return the tables of fields by kind, `*` for all, with the required ones marked."""
    documented: dict[str, dict[str, dict[str, bool]]] = {}
    kinds, label = ["*"], ""
    table: dict[str, bool] = {}
    for line in _TEXT.splitlines():
        if line.startswith("### "):
            kinds, label = re.findall(r"`([a-z._]+)`", line) or [_DIAGNOSTICS], ""
            for kind in kinds:
                documented[kind] = {}
        elif match := re.fullmatch(r"(?:An?|Its) (?:item of )?`(\w+)`:", line):
            label = match[1]
        elif line.startswith("| field |"):
            table = {}
            if " present " in line:
                for kind in kinds:
                    documented.setdefault(kind, {})[label] = table
        elif match := re.match(r"\| `(\w+)` \| ([^|]+) \|", line):
            table[match[1]] = match[2] == "always"
    return documented


def _linewarden(service: Service, *arguments: str, code: int = 0) -> str:
    folder = "var/linewarden"
    done = service.run(
        forked_python(),
        "-m",
        "linewarden.cli",
        *arguments,
        LINEWARDEN_CONFIG=f"{folder}/linewarden.toml",
        LINEWARDEN_CA=f"{folder}/tls/ca.crt",
        LINEWARDEN_KEY_FILE=f"{folder}/secrets/api-key",
        LINEWARDEN_TENANT="example",
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def _use_commands(service: Service) -> None:
    (service.home / "draft.policy").write_text("bind zacharias role:user\n")
    _linewarden(service, "check", "--as", "mallory", "play", "recording", "a.wav", code=1)
    _linewarden(service, "check", "--as", "privacy", "view_metadata", "recording", "a.wav", code=1)
    _linewarden(service, "policy", "show", "--as", "auditor")
    _linewarden(service, "policy", "load", "draft.policy", "--dry-run", "--allow-lockout", "--as", "admin")
    _linewarden(service, "audit", "query", "--as", "auditor", "--data-subject", "bob")
    _linewarden(service, "key", "create", "other", "--tenant", "example", "--method", "AccessService")
    id = json.loads(_linewarden(service, "key", "list", "-o", "json"))[-1]["id"]
    _linewarden(service, "key", "revoke", id)


def _use_worker(service: Service) -> None:
    port = service.said.partition("connect to localhost:")[2]
    _linewarden(service, "worker", "enrol", "branch", "branch", "--server", f"localhost:{port}",
                "--config", "var/linewarden/linewarden.toml")  # fmt: skip
    with attending(service.home / "branch"):
        pass


def _use_rpcs(service: Service) -> tuple[core_pb2.PolicyVersion, dict[str, str]]:
    folder = service.home / "var/linewarden"
    trust = grpc.ssl_channel_credentials((folder / "tls/ca.crt").read_bytes())
    key = (("authorization", f"Bearer {(folder / 'secrets/api-key').read_text().strip()}"),)
    with grpc.secure_channel(service.address, trust) as channel:
        access, policy = AccessServiceStub(channel), PolicyServiceStub(channel)
        change = policy_pb2.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant="example", subject=core_pb2.Subject(id="admin")),
            add=[
                "allow zacharias play recording id:+4930555.wav",
                "allow zacharias play recording own then part",
                "bind zacharias role:user",
                "bind //partner/ines role:partner_support",
                *STATEMENTS,
                *(f"allow role:user play voicemail any if zone=office,z{n}" for n in range(200)),
                *(f"allow role:user play voicemail own if zone=office,z{n}" for n in range(200)),
            ],
            remove=["bind role:supervisor_sales role:user"],
        )
        version = policy.ChangePolicy(change, metadata=key, timeout=HANG_S).policy
        access.CheckBatch(_batch(), metadata=key, timeout=HANG_S)
        Customer(channel, key).use_everything()
        for zone in ("office", "elsewhere"):
            access.Check(_check_request(zone), metadata=key, timeout=HANG_S)
        for _ in range(300):  # so that the export has a full bundle
            access.Check(_check_request(), metadata=key, timeout=HANG_S)
        for request, metadata in (
            (_check_request("Not A Zone"), key),
            (_check_request(), (("authorization", "Bearer lw_0_0"),)),
        ):
            with pytest.raises(grpc.RpcError):
                access.Check(request, metadata=metadata, timeout=HANG_S)
        asked = policy_pb2.GetPolicyRequest(
            header=core_pb2.RequestHeader(tenant="example", subject=core_pb2.Subject(id="auditor"))
        )
        read = policy.GetPolicy(asked, metadata=key, timeout=HANG_S)
        return version, {one.id: one.text for one in read.statements}


def _use_recovery(home: Path) -> None:
    """Set a clock back and restore an older database, then recover from both as an operator."""
    settings = load_settings(home / "var/linewarden/linewarden.toml")
    for accident in (_step_the_clock, _set_the_clock_ahead, _mark_ahead):
        storage = open_storage(settings)
        accident(storage)
        storage.close()
    storage = open_storage(settings)
    assert set(rolled_back(storage)) == {_TENANT}
    recover(storage, _TENANT, "the disk of the database was lost", now_us())
    storage.close()


def _step_the_clock(storage: Storage) -> None:
    wall = iter([now_us(), *[now_us() - 3_600_000_000] * 100])
    clock = Clock(lambda: next(wall), now_us, lambda: 0)
    indexer = storage.indexer(storage.directory(Unused()))
    checkpoints = storage.checkpoints()
    key_holder = Housekeeper(
        storage.log, indexer, checkpoints, checkpoint_s=1, heartbeat_s=600, clock=clock, on_fault=_raise
    )
    key_holder.round()
    key_holder.round()


def _set_the_clock_ahead(storage: Storage) -> None:
    ahead = entries.encode(entries.HEARTBEAT, now_us() + 86_400_000_000, {})
    storage.log.append([Unit(_TENANT, (ahead,))])
    assert correct_clock(storage, "a wrong time server", now_us()) == ["example"]


def _mark_ahead(storage: Storage) -> None:
    head = storage.log.admitted_head(_TENANT)
    storage.log.marks.note(replace(head, size=head.size + 5))


def _raise(_log: int, fault: Exception) -> None:
    raise fault


class Unused:
    """An appender for housekeeping, which introduces no person."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Fail, because it must not be called."""
        raise AssertionError(unit)


def _check_request(zone: str = "") -> access_pb2.CheckRequest:
    return access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant="example",
            request_id="r-1",
            subject=core_pb2.Subject(id="bob"),
            context=core_pb2.Context(network_zone=zone),
        ),
        verb=core_pb2.VERB_PLAY,
        resource=core_pb2.Resource(type=core_pb2.RESOURCE_TYPE_VOICEMAIL, id="default/101/msg1", owner="bob"),
    )


def _batch() -> access_pb2.CheckBatchRequest:
    item = core_pb2.Resource(
        type=core_pb2.RESOURCE_TYPE_RECORDING,
        id="+4930555.wav",
        owner="bob",
        queue="sales",
        parties=["+4930555"],
        labels={"kind": "internal"},
    )
    item.created_at.FromSeconds(1_700_000_000)
    stretch: dict[str, Any] = {"from": Timestamp(seconds=1_700_000_000), "until": Timestamp(seconds=1_700_000_060)}
    caller = core_pb2.Participant(role=core_pb2.PARTICIPANT_ROLE_CALLER, person="zacharias", **stretch)
    answered = core_pb2.Participant(role=core_pb2.PARTICIPANT_ROLE_ANSWERED, address="ext:1001@internal")
    call = core_pb2.Resource(
        type=core_pb2.RESOURCE_TYPE_RECORDING,
        id="2",
        participants=[caller, answered],
        call_id="c-1",
        duration_s=90,
        created_at=Timestamp(seconds=1_700_000_000),
    )
    foreign = core_pb2.Resource(type=core_pb2.RESOURCE_TYPE_CDR, id="1", tenant="other")
    cdr = core_pb2.Resource(type=core_pb2.RESOURCE_TYPE_CDR, id="1")
    return access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(
            tenant="example",
            subject=core_pb2.Subject(id="ines", tenant="partner"),
            context=core_pb2.Context(
                purpose=core_pb2.PURPOSE_SUPPORT,
                case_reference="T-4711",
                network_zone="office",
                consent=core_pb2.CONSENT_GIVEN,
            ),
        ),
        items=[
            access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=item),
            access_pb2.CheckItem(verb=core_pb2.VERB_VIEW_METADATA, resource=foreign),
            access_pb2.CheckItem(verb=core_pb2.VERB_VIEW_METADATA, resource=cdr),
            access_pb2.CheckItem(
                verb=core_pb2.VERB_VIEW_METADATA,
                resource=cdr,
                subject=core_pb2.Subject(id="zacharias"),
                context=core_pb2.Context(
                    purpose=core_pb2.PURPOSE_BILLING,
                    case_reference="T-4711",
                    network_zone="home",
                    consent=core_pb2.CONSENT_REFUSED,
                ),
                request_id="r-2",
            ),
            access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=call, subject=core_pb2.Subject(id="zacharias")),
        ],
    )
