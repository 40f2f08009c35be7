"""AuditService: the policy decides who may read the log, and that decision is the record of the read."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from linewarden.audit.anchors import Signed
from linewarden.audit.blocking import LONG_TIMEOUT_S, READ_TIMEOUT_S, in_thread
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.entry import AUDIT_EXPORTED, AUDIT_READ
from linewarden.audit.entryproof import EntryProof
from linewarden.audit.errors import EntryNotFound, LogDamaged, VerificationFailed
from linewarden.audit.index.answers import Query
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.merkle import leaf_hash, verify_inclusion
from linewarden.audit.model import index_in
from linewarden.audit.shares import Share, shares
from linewarden.audit.store.log import LogStore
from linewarden.audit.tiles import TILE_WIDTH, tree_files
from linewarden.audit.verified import VerifiedEntries
from linewarden.authz.authority import Authority
from linewarden.authz.errors import SubjectNotPermitted
from linewarden.authz.model import Decision, Resource, ResourceType, Verb
from linewarden.authz.service import Access, masks_numbers
from linewarden.server.admission import AdmittedRequest
from linewarden.server.audit_messages import bucket_messages, completeness_message, query_of, row_message
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.intervals import bucket_starts, interval_name
from linewarden.v1 import audit_pb2 as pb

_DEFAULT_PAGE_SIZE = 100

#: Bytes of a file of an export in one message, because clients accept 4 MiB by default.
_PART_BYTES = 1 << 20


class AuditServicer:
    """Serves QueryEntries, CountEntries, GetEntry, GetCheckpoint and ExportLog."""

    def __init__(
        self,
        authority: Authority,
        reading: AuditQueries,
        checkpoints: Checkpoints,
        log: LogStore,
        verified: VerifiedEntries,
    ) -> None:
        self._authority = authority
        self._reading = reading
        self._checkpoints = checkpoints
        self._log = log
        self._verified = verified

    async def query_entries(
        self, admitted: AdmittedRequest, request: pb.QueryEntriesRequest
    ) -> pb.QueryEntriesResponse:
        """Find entries. The read is recorded first, and the answer is complete up to that record."""
        query = query_of(request.filter, oldest_first=request.oldest_first)
        with shares().admitted(admitted.log) as share:
            decision, id = await self._look_up(admitted, query, {})
            page = await share.run(
                LONG_TIMEOUT_S,
                self._reading.query,
                admitted.log,
                query,
                size=index_in(id),
                page_size=request.page_size or _DEFAULT_PAGE_SIZE,
                token=request.page_token,
            )
        masked = masks_numbers(decision)
        return pb.QueryEntriesResponse(
            rows=[row_message(row, masked=masked) for row in page.rows],
            next_page_token=page.next_token,
            log_size=page.lacks.size,
            completeness=completeness_message(page.lacks),
        )

    async def count_entries(
        self, admitted: AdmittedRequest, request: pb.CountEntriesRequest
    ) -> pb.CountEntriesResponse:
        """Count entries, in all and by time. The read is recorded first, as that of a query."""
        query = query_of(request.filter)
        interval = request.interval
        with shares().admitted(admitted.log) as share:
            _, id = await self._look_up(admitted, query, {"count": interval_name(interval) or "total"})
            counted = await share.run(
                LONG_TIMEOUT_S,
                self._reading.count,
                admitted.log,
                query,
                size=index_in(id),
                instants=partial(bucket_starts, interval),
            )
        return pb.CountEntriesResponse(
            total=counted.items,
            buckets=bucket_messages(counted.buckets),
            log_size=counted.lacks.size,
            completeness=completeness_message(counted.lacks),
        )

    async def get_entry(self, admitted: AdmittedRequest, request: pb.GetEntryRequest) -> pb.GetEntryResponse:
        """Read one entry with its proof."""
        with shares().admitted(admitted.log) as share:
            decision, id = await self._read(admitted, {"query": {"index": request.index}})
            if request.index >= index_in(id):
                raise EntryNotFound("the log has no entry at that index")
            return await share.run(LONG_TIMEOUT_S, self._proved, admitted.log, request.index, masks_numbers(decision))

    async def get_checkpoint(
        self, admitted: AdmittedRequest, request: pb.GetCheckpointRequest
    ) -> pb.GetCheckpointResponse:
        """Read a checkpoint that covers every entry answered for before."""
        with shares().admitted(admitted.log) as share:
            await self._read(admitted, {"query": {"checkpoint": request.old_size}})
            return await share.run(LONG_TIMEOUT_S, self._checkpoint, admitted.log, request.old_size)

    async def export_log(
        self, admitted: AdmittedRequest, _request: pb.ExportLogRequest, resources: ExitStack
    ) -> AsyncIterator[pb.ExportLogResponse]:
        """Stream the log as files, the checkpoint last."""
        share = resources.enter_context(shares().admitted(admitted.log))
        await self._authorize(admitted, Verb.EXPORT_ACCESS_LOG, AUDIT_EXPORTED, {})
        signed = await share.run(LONG_TIMEOUT_S, self._checkpoints.sign, admitted.log)
        return self._export(admitted.log, signed, share)

    async def _export(self, log_id: int, signed: Signed, share: Share) -> AsyncIterator[pb.ExportLogResponse]:
        files = self._files(log_id, signed)
        while (file := await share.run(LONG_TIMEOUT_S, next, files, None)) is not None:
            yield file

    async def _look_up(self, admitted: AdmittedRequest, query: Query, form: Mapping[str, str]) -> tuple[Decision, str]:
        """Decide and record a query. `form` is what the record states beside the filters.

        Raises:
            SubjectNotPermitted: the policy denies it, or hides the names that the query has.
        """
        stated = await in_thread(READ_TIMEOUT_S, self._reading.recorded, admitted.log, query)
        decision, id = await self._read(admitted, {"query": {**stated, **form}})
        if masks_numbers(decision) and (query.subject or query.data_subject or query.resource_id):
            # Otherwise a reader without the right to see names could guess them, by rows and by counts.
            raise SubjectNotPermitted(id)
        return decision, id

    async def _read(self, admitted: AdmittedRequest, extra: dict[str, Any]) -> tuple[Decision, str]:
        return await self._authorize(admitted, Verb.READ_ACCESS_LOG, AUDIT_READ, extra)

    async def _authorize(
        self, admitted: AdmittedRequest, verb: Verb, kind: str, extra: dict[str, Any]
    ) -> tuple[Decision, str]:
        access = Access(verb, Resource(ResourceType.AUDIT_LOG, admitted.tenant))
        answers = await self._authority.authorize(admitted.call._replace(kind=kind, extra=extra), access)
        return answers.decisions[0], answers.ids[0]

    def _proved(self, log_id: int, index: int, masked: bool) -> pb.GetEntryResponse:
        (entry,) = self._verified.entries(log_id, index, index + 1)
        signed = self._checkpoints.covering(log_id, index)
        size = signed.checkpoint.size
        path = self._checkpoints.inclusion(log_id, index, size)
        try:
            verify_inclusion(index, size, leaf_hash(entry), path, signed.checkpoint.root)
        except VerificationFailed as error:
            tile = index - index % TILE_WIDTH
            damaged = range(tile, min(tile + TILE_WIDTH, size))
            raise LogDamaged("an entry of the tile is not the one that was signed for", damaged) from error
        return pb.GetEntryResponse(
            entry=entry,
            proof=str(EntryProof(index, tuple(path), signed.note)),
            verifier_key=self._verifier_key(log_id),
            disclosed={} if masked else self._reading.disclosed(log_id, entry),
        )

    def _checkpoint(self, log_id: int, old_size: int) -> pb.GetCheckpointResponse:
        signed = self._checkpoints.sign(log_id)
        size = signed.checkpoint.size
        if old_size > size:
            raise InvalidRequest((Violation("old_size", "old_size.lte", "the log is smaller"),))
        path = self._checkpoints.consistency(log_id, old_size, size) if old_size else []
        key = self._verifier_key(log_id)
        return pb.GetCheckpointResponse(checkpoint=signed.note, verifier_key=key, consistency=path)

    def _files(self, log_id: int, signed: Signed) -> Iterator[pb.ExportLogResponse]:
        size, sent = signed.checkpoint.size, 0
        try:
            for path, content in tree_files(self._verified.entries(log_id, 0, size), size, signed.checkpoint.root):
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
        key = self._verifier_key(log_id)
        yield pb.ExportLogResponse(path="checkpoint", content=note, log_size=size, entries_sent=size, verifier_key=key)

    def _verifier_key(self, log_id: int) -> str:
        return str(self._checkpoints.signer(self._log.head(log_id)).verifier)
