"""PolicyService: a change of policy is decided by the policy, and recorded with that decision in one step."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from linewarden.audit.blocking import LOAD_TIMEOUT_S, LONG_TIMEOUT_S
from linewarden.audit.directory import Directory
from linewarden.audit.entry import POLICY_READ
from linewarden.audit.errors import PageTokenInvalid
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.audit.pace import paced
from linewarden.audit.shares import Share, shares
from linewarden.authz.administration import Change, record
from linewarden.authz.errors import PolicyInvalid, PolicyLockout, PolicyRevisionMismatch
from linewarden.authz.model import ResourceType, Verb
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.policies import Loaded, Policies
from linewarden.authz.service import AccessControl
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statement_list import parse_id
from linewarden.server.access import ServicerContext, call_of
from linewarden.server.authority import authorize, own_resource
from linewarden.server.door import Door, Entrance
from linewarden.server.errors import SubjectNotPermitted, abort
from linewarden.server.validation import compile_validator
from linewarden.v1 import core_pb2
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceServicer

_SERVICE = "PolicyService"
_DEFAULT_PAGE_SIZE = 1_000

#: Makes the change out of the policy in force; runs in a thread, and may raise PolicyInvalid or PolicyLockout.
_Plan = Callable[[Request, Loaded], Change]


class PolicyService(PolicyServiceServicer):
    """Answers LoadPolicy, ChangePolicy and GetPolicy."""

    def __init__(self, door: Door, control: AccessControl, policies: Policies, directory: Directory) -> None:
        self._door = door
        self._control = control
        self._policies = policies
        self._directory = directory
        self._valid_load = compile_validator(pb.LoadPolicyRequest.DESCRIPTOR)
        self._valid_change = compile_validator(pb.ChangePolicyRequest.DESCRIPTOR)
        self._valid_get = compile_validator(pb.GetPolicyRequest.DESCRIPTOR)

    async def LoadPolicy(self, request: pb.LoadPolicyRequest, context: ServicerContext) -> pb.LoadPolicyResponse:
        """Replace the policy by a file, or nothing at all."""

        def plan(asked: Request, now: Loaded) -> Change:
            return plan_file(asked, now.snapshot, request.document)

        async def answer(entrance: Entrance) -> pb.LoadPolicyResponse:
            with shares().admitted(entrance.log, request.ByteSize()) as share:
                change, version = await self._change(entrance, request, plan, share, dry_run=request.dry_run)
            return pb.LoadPolicyResponse(
                policy=version, statements_added=len(change.added), statements_removed=len(change.removed)
            )

        try:
            return await self._door.serve(context, request, _method("LoadPolicy"), self._valid_load, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    async def ChangePolicy(self, request: pb.ChangePolicyRequest, context: ServicerContext) -> pb.ChangePolicyResponse:
        """Add and remove single statements."""

        def plan(asked: Request, now: Loaded) -> Change:
            return plan_amendment(asked, now.snapshot, now.ceiling, request.add, request.remove)

        async def answer(entrance: Entrance) -> pb.ChangePolicyResponse:
            with shares().admitted(entrance.log, request.ByteSize()) as share:
                change, version = await self._change(entrance, request, plan, share, dry_run=False)
            return pb.ChangePolicyResponse(
                policy=version, statements_added=len(change.added), statements_removed=len(change.removed)
            )

        try:
            return await self._door.serve(context, request, _method("ChangePolicy"), self._valid_change, answer)
        except Exception as error:  # noqa: BLE001 - see LoadPolicy
            await abort(context, error)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: ServicerContext) -> pb.GetPolicyResponse:
        """Read the policy in force, page by page, from one revision."""

        async def answer(entrance: Entrance) -> pb.GetPolicyResponse:
            with shares().admitted(entrance.log) as share:
                kind, verb = ResourceType.POLICY, Verb.READ_POLICY
                await authorize(self._control, entrance, request, kind, verb, POLICY_READ, {})
                # The record of the read is guarded: what this process has was in force when it was made, or came since.
                snapshot = self._policies.cached(entrance.log) or await self._policies.load(entrance.log)
                return await share.run(LONG_TIMEOUT_S, _page, snapshot, request)

        try:
            return await self._door.serve(context, request, _method("GetPolicy"), self._valid_get, answer)
        except Exception as error:  # noqa: BLE001 - see LoadPolicy
            await abort(context, error)

    async def _change(
        self, entrance: Entrance, request: Any, plan: _Plan, share: Share, *, dry_run: bool
    ) -> tuple[Change, core_pb2.PolicyVersion]:
        """Decide; if permitted, append decision and change together, guarded by the revision both were made under."""
        call = call_of(entrance, request, extra={"dry_run": True} if dry_run else {})
        asked = own_resource(entrance.tenant, ResourceType.POLICY, Verb.CHANGE_POLICY)
        if dry_run:
            answers = await self._control.check(call, (asked,))
            if not answers.decisions[0].allowed:
                raise SubjectNotPermitted(answers.ids[0])
            change = await self._planned(entrance, request, call.subject, plan, share)
            return change, core_pb2.PolicyVersion(revision=change.revision, hash=change.hash)
        prepared = await self._control.prepare(call, (asked,))
        answers, decision, people = prepared.answers, prepared.record, prepared.people
        guards: tuple[Guard, ...] = (Guard(entrance.log, answers.revision), entrance.guard)
        if not answers.decisions[0].allowed:
            id = await self._directory.append(Unit(entrance.log, decision, guards), people)
            raise SubjectNotPermitted(id_text(id))
        try:
            change = await self._planned(entrance, request, call.subject, plan, share)
        except (PolicyInvalid, PolicyLockout, PolicyRevisionMismatch):
            # The permission was used, if to no effect: the attempt is recorded.
            await self._directory.append(Unit(entrance.log, decision, guards), people)
            raise
        if not change.added and not change.removed:
            # Nothing changes: no revision is made that every process would have to look at.
            guards += (Guard(entrance.log, change.revision),)
            await self._directory.append(Unit(entrance.log, decision, guards), people)
            return change, core_pb2.PolicyVersion(revision=change.revision, hash=change.hash)
        try:
            recorded = await record(
                self._directory,
                entrance.log,
                change,
                entrance.now_us,
                entrance.caller,
                call.subject,
                people,
                work=lambda encode: share.run(LONG_TIMEOUT_S, encode),
            )
        except PolicyInvalid:
            await self._directory.append(Unit(entrance.log, decision, guards), people)
            raise
        # Decision and change stand on two looks at the policy; both must be at what is in force.
        guards += (Guard(entrance.log, change.revision),)
        entries = decision + recorded.entries
        unit = Unit(entrance.log, entries, guards, effect=recorded.apply, moves_revision=True)
        await self._directory.append(unit, recorded.people)
        return change, core_pb2.PolicyVersion(revision=recorded.revision, hash=recorded.hash)

    async def _planned(self, entrance: Entrance, request: Any, subject: str, plan: _Plan, share: Share) -> Change:
        """The change, made from the newest policy.

        Raises:
            PolicyInvalid, PolicyLockout, PolicyRevisionMismatch: it cannot be made.
        """
        now = await self._policies.refreshed(entrance.log)
        if request.HasField("expected_revision") and request.expected_revision != now.snapshot.revision:
            raise PolicyRevisionMismatch(now.snapshot.revision)
        asked = Request(entrance.tenant, subject, entrance.now_us, request.allow_lockout)
        return await share.run(LOAD_TIMEOUT_S, plan, asked, now)


def _page(snapshot: Snapshot, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
    """A page, from the statements that decisions are made by. They were verified when they were loaded."""
    size = request.page_size or _DEFAULT_PAGE_SIZE
    after = (0, 0)
    if request.page_token:
        bound, *place = _read_token(request.page_token)
        if bound != snapshot.revision:
            raise PageTokenInvalid("the policy has changed since")
        after = (place[0], place[1])
    found = snapshot.in_force.statements.beyond(after, size + 1)
    shown = found[:size]
    return pb.GetPolicyResponse(
        policy=core_pb2.PolicyVersion(revision=snapshot.revision, hash=snapshot.hash),
        statements=[pb.PolicyStatement(id=id, text=one.text, added_in=parse_id(id)[0]) for id, one in paced(shown)],
        next_page_token=_write_token(snapshot.revision, shown[-1][0]) if len(found) > size else "",
    )


def _method(name: str) -> tuple[str, str]:
    return _SERVICE, f"{_SERVICE}/{name}"


def _write_token(revision: int, last_id: str) -> str:
    return urlsafe_b64encode(f"{revision}.{last_id}".encode()).decode()


def _read_token(token: str) -> list[int]:
    try:
        numbers = [int(part) for part in urlsafe_b64decode(token).decode("ascii").split(".")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(0 <= number < 1 << 62 for number in numbers):
        raise PageTokenInvalid("the page token is not one of this query")
    return numbers
