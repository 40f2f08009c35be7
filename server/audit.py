"""AuditService: who may read the log is decided by the policy, and the decision is the record of the read."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from linewarden.audit.anchors import Signed
from linewarden.audit.blocking import LONG_TIMEOUT_S, READ_TIMEOUT_S, in_thread
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.entry import AUDIT_EXPORTED, AUDIT_READ, decode
from linewarden.audit.entryproof import EntryProof
from linewarden.audit.errors import EntryNotFound, LogDamaged, VerificationFailed
from linewarden.audit.merkle import leaf_hash, verify_inclusion
from linewarden.audit.model import index_in
from linewarden.audit.queries import AuditQueries, Query, Row
from linewarden.audit.shares import Share, shares
from linewarden.audit.store.log import LogStore
from linewarden.audit.tiles import TILE_WIDTH, tree_files
from linewarden.authz.model import Decision, ResourceType, Verb
from linewarden.authz.service import AccessControl, masks_numbers
from linewarden.server.access import ServicerContext, timestamp
from linewarden.server.authority import authorize
from linewarden.server.details import details_of, has_details
from linewarden.server.door import Door, Entrance
from linewarden.server.errors import InvalidRequest, SubjectNotPermitted, Violation, abort
from linewarden.server.names import (
    EFFECT_NUMBERS,
    EFFECTS,
    PURPOSE_NUMBERS,
    PURPOSES,
    TYPE_NUMBERS,
    TYPES,
    VERB_NUMBERS,
    VERBS,
)
from linewarden.server.validation import compile_validator
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceServicer

_SERVICE = "AuditService"
_DEFAULT_PAGE_SIZE = 100

#: Of a file of an export in one message: clients take 4 MiB unless told otherwise.
_PART_BYTES = 1 << 20


class AuditService(AuditServiceServicer):
    """Answers QueryEntries, GetEntry, GetCheckpoint and ExportLog."""

    def __init__(
        self, door: Door, control: AccessControl, reading: AuditQueries, checkpoints: Checkpoints, log: LogStore
    ) -> None:
        self._door = door
        self._control = control
        self._reading = reading
        self._checkpoints = checkpoints
        self._log = log
        self._valid_query = compile_validator(pb.QueryEntriesRequest.DESCRIPTOR)
        self._valid_entry = compile_validator(pb.GetEntryRequest.DESCRIPTOR)
        self._valid_checkpoint = compile_validator(pb.GetCheckpointRequest.DESCRIPTOR)
        self._valid_export = compile_validator(pb.ExportLogRequest.DESCRIPTOR)

    async def QueryEntries(self, request: pb.QueryEntriesRequest, context: ServicerContext) -> pb.QueryEntriesResponse:
        """Find entries; the read is recorded first, and the answer is complete up to that record."""

        async def answer(entrance: Entrance) -> pb.QueryEntriesResponse:
            query = _query(request)
            with shares().admitted(entrance.log) as share:
                stated = await in_thread(READ_TIMEOUT_S, self._reading.recorded, entrance.log, query)
                decision, id = await self._read(entrance, request, {"query": stated})
                masked = masks_numbers(decision)
                if masked and (query.subject or query.data_subject or query.resource_id):
                    # Who may not see names could otherwise try them out.
                    raise SubjectNotPermitted(id)
                page = await share.run(
                    LONG_TIMEOUT_S,
                    self._reading.query,
                    entrance.log,
                    query,
                    size=index_in(id),
                    page_size=request.page_size or _DEFAULT_PAGE_SIZE,
                    token=request.page_token,
                )
            details = await in_thread(READ_TIMEOUT_S, self._details, entrance.log, page.rows)
            rows = [_row(row, details.get(row.index, ""), masked=masked) for row in page.rows]
            return pb.QueryEntriesResponse(rows=rows, next_page_token=page.next_token, log_size=page.size)

        try:
            return await self._door.serve(context, request, _method("QueryEntries"), self._valid_query, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    async def GetEntry(self, request: pb.GetEntryRequest, context: ServicerContext) -> pb.GetEntryResponse:
        """Read one entry with its proof."""

        async def answer(entrance: Entrance) -> pb.GetEntryResponse:
            with shares().admitted(entrance.log) as share:
                decision, id = await self._read(entrance, request, {"query": {"index": request.index}})
                if request.index >= index_in(id):
                    raise EntryNotFound("the log has no entry at that index")
                masked = masks_numbers(decision)
                return await share.run(LONG_TIMEOUT_S, self._proved, entrance.log, request.index, masked)

        try:
            return await self._door.serve(context, request, _method("GetEntry"), self._valid_entry, answer)
        except Exception as error:  # noqa: BLE001 - see QueryEntries
            await abort(context, error)

    async def GetCheckpoint(
        self, request: pb.GetCheckpointRequest, context: ServicerContext
    ) -> pb.GetCheckpointResponse:
        """Read a checkpoint that covers every entry answered for before."""

        async def answer(entrance: Entrance) -> pb.GetCheckpointResponse:
            with shares().admitted(entrance.log) as share:
                await self._read(entrance, request, {"query": {"checkpoint": request.old_size}})
                return await share.run(LONG_TIMEOUT_S, self._checkpoint, entrance.log, request.old_size)

        try:
            method = _method("GetCheckpoint")
            return await self._door.serve(context, request, method, self._valid_checkpoint, answer)
        except Exception as error:  # noqa: BLE001 - see QueryEntries
            await abort(context, error)

    async def ExportLog(
        self, request: pb.ExportLogRequest, context: ServicerContext
    ) -> AsyncIterator[pb.ExportLogResponse]:
        """Stream the log as files, the checkpoint last."""
        held = ExitStack()

        async def answer(entrance: Entrance) -> tuple[int, Share, Signed]:
            share = held.enter_context(shares().admitted(entrance.log))
            log = ResourceType.AUDIT_LOG
            await authorize(self._control, entrance, request, log, Verb.EXPORT_ACCESS_LOG, AUDIT_EXPORTED, {})
            return entrance.log, share, await share.run(LONG_TIMEOUT_S, self._checkpoints.sign, entrance.log)

        try:
            with held, self._door.stream(context):
                admitted = self._door.serve(context, request, _method("ExportLog"), self._valid_export, answer)
                log, share, signed = await admitted
                files = self._files(log, signed)
                while (file := await share.run(LONG_TIMEOUT_S, next, files, None)) is not None:
                    yield file
        except Exception as error:  # noqa: BLE001 - see QueryEntries
            await abort(context, error)

    async def _read(self, entrance: Entrance, request: Any, extra: dict[str, Any]) -> tuple[Decision, str]:
        log, verb = ResourceType.AUDIT_LOG, Verb.READ_ACCESS_LOG
        return await authorize(self._control, entrance, request, log, verb, AUDIT_READ, extra)

    def _details(self, log: int, rows: Sequence[Row]) -> dict[int, str]:
        """What entries say beside their rows, by index. Decisions say nothing, and are not read again."""
        told = [row.index for row in rows if has_details(row.kind)]
        found = self._log.entries_at(log, told) if told else {}
        return {index: details_of(decode(data)) for index, data in found.items()}

    def _proved(self, log: int, index: int, masked: bool) -> pb.GetEntryResponse:
        entry = self._log.entry(log, index)
        signed = self._checkpoints.sign(log)
        path = self._checkpoints.inclusion(log, index, signed.checkpoint.size)
        try:
            verify_inclusion(index, signed.checkpoint.size, leaf_hash(entry), path, signed.checkpoint.root)
        except VerificationFailed as error:
            raise LogDamaged("the stored entry is not the one that was signed for") from error
        return pb.GetEntryResponse(
            entry=entry,
            proof=str(EntryProof(index, tuple(path), signed.note)),
            verifier_key=self._verifier_key(log),
            disclosed={} if masked else self._reading.disclosed(log, entry),
        )

    def _checkpoint(self, log: int, old_size: int) -> pb.GetCheckpointResponse:
        signed = self._checkpoints.sign(log)
        size = signed.checkpoint.size
        if old_size > size:
            raise InvalidRequest((Violation("old_size", "old_size.lte", "the log is smaller"),))
        path = self._checkpoints.consistency(log, old_size, size) if old_size else []
        key = self._verifier_key(log)
        return pb.GetCheckpointResponse(checkpoint=signed.note, verifier_key=key, consistency=path)

    def _files(self, log: int, signed: Signed) -> Iterator[pb.ExportLogResponse]:
        size = signed.checkpoint.size
        sent = 0
        try:
            for path, content in tree_files(self._log.entries(log, 0, size), size, signed.checkpoint.root):
                if path.startswith("tile/entries/"):
                    sent = min(sent + TILE_WIDTH, size)
                for start in range(0, len(content), _PART_BYTES):
                    yield pb.ExportLogResponse(
                        path=path,
                        content=content[start : start + _PART_BYTES],
                        log_size=size,
                        entries_sent=sent,
                        continues=start > 0,
                    )
        except VerificationFailed as error:
            raise LogDamaged("the stored entries are not those that were signed for") from error
        note = signed.note.encode()
        key = self._verifier_key(log)
        yield pb.ExportLogResponse(path="checkpoint", content=note, log_size=size, entries_sent=size, verifier_key=key)

    def _verifier_key(self, log: int) -> str:
        return str(self._checkpoints.signer(self._log.head(log)).verifier)


def _method(name: str) -> tuple[str, str]:
    return _SERVICE, f"{_SERVICE}/{name}"


def _query(request: pb.QueryEntriesRequest) -> Query:
    wanted = request.filter
    if wanted.resource_id and not wanted.resource_type:
        raise InvalidRequest((Violation("filter.resource_id", "resource_id.typed", "it needs resource_type"),))
    return Query(
        from_us=_us(wanted, "from"),
        until_us=_us(wanted, "until"),
        kinds=tuple(wanted.kinds),
        caller=wanted.caller,
        subject=wanted.subject,
        data_subject=wanted.data_subject,
        resource_type=TYPES.get(wanted.resource_type, ""),
        resource_id=wanted.resource_id,
        verb=VERBS.get(wanted.verb, ""),
        effect=EFFECTS.get(wanted.effect, ""),
        purpose=PURPOSES.get(wanted.purpose, ""),
        request_id=wanted.request_id,
        oldest_first=request.oldest_first,
    )


def _us(wanted: pb.EntryFilter, name: str) -> int | None:
    if not wanted.HasField(name):
        return None
    time = getattr(wanted, name)
    return int(time.seconds * 1_000_000 + time.nanos // 1_000)


def _row(row: Row, details: str, *, masked: bool) -> pb.EntryRow:
    return pb.EntryRow(
        index=row.index,
        item=row.item,
        time=timestamp(row.time_us),
        kind=row.kind,
        request_id=row.request_id,
        caller=row.caller,
        subject_sid=row.subject_sid,
        subject="" if masked else row.subject,
        owner_sid=row.owner_sid,
        owner="" if masked else row.owner,
        resource_type=TYPE_NUMBERS.get(row.resource_type, 0),
        resource_ref=row.resource_ref,
        resource_id="" if masked else row.resource_id,
        verb=VERB_NUMBERS.get(row.verb, 0),
        effect=EFFECT_NUMBERS.get(row.effect, 0),
        reason=row.reason,
        purpose=PURPOSE_NUMBERS.get(row.purpose, 0),
        policy_revision=row.policy_revision,
        details=details,
    )
