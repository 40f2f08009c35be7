"""PolicyService: a change of policy is decided by the policy, and recorded with that decision in one step."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from linewarden.audit.directory import Directory
from linewarden.audit.entry import POLICY_READ
from linewarden.audit.errors import PageTokenInvalid
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.audit.patience import LONG_TIMEOUT_S, in_thread
from linewarden.authz.administration import Change, amendment, check_tenant, record, replacement
from linewarden.authz.errors import LineError, PolicyInvalid, PolicyRevisionMismatch
from linewarden.authz.limits import limit_faults
from linewarden.authz.model import ResourceType, Verb
from linewarden.authz.roles import role_faults
from linewarden.authz.service import AccessControl
from linewarden.authz.statements import Binding, Statement, parse_document, parse_statement
from linewarden.authz.store.policy import PolicyDelta, PolicyStore, StoredStatement
from linewarden.authz.words import spelled
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

#: Statements that one request may add and remove: what it writes holds up the answers of all others.
MAX_CHANGED = 50_000

#: Makes the change out of the policy in force; runs in a thread, and may raise PolicyInvalid.
_Plan = Callable[[PolicyDelta], Change]


class PolicyService(PolicyServiceServicer):
    """Answers LoadPolicy, ChangePolicy and GetPolicy."""

    def __init__(self, door: Door, control: AccessControl, store: PolicyStore, directory: Directory) -> None:
        self._door = door
        self._control = control
        self._store = store
        self._directory = directory
        self._valid_load = compile_validator(pb.LoadPolicyRequest.DESCRIPTOR)
        self._valid_change = compile_validator(pb.ChangePolicyRequest.DESCRIPTOR)
        self._valid_get = compile_validator(pb.GetPolicyRequest.DESCRIPTOR)

    async def LoadPolicy(self, request: pb.LoadPolicyRequest, context: ServicerContext) -> pb.LoadPolicyResponse:
        """Replace the policy by a file, or nothing at all."""

        def plan(now: PolicyDelta) -> Change:
            return replacement(now.revision, now.hash, now.added, parse_document(request.document))

        async def answer(entrance: Entrance) -> pb.LoadPolicyResponse:
            change, version = await self._change(entrance, request, plan, dry_run=request.dry_run)
            return pb.LoadPolicyResponse(
                policy=version, statements_added=len(change.added), statements_removed=len(change.removed)
            )

        try:
            return await self._door.serve(context, request, _method("LoadPolicy"), self._valid_load, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    async def ChangePolicy(self, request: pb.ChangePolicyRequest, context: ServicerContext) -> pb.ChangePolicyResponse:
        """Add and remove single statements."""

        def plan(now: PolicyDelta) -> Change:
            return amended(now, request.add, request.remove)

        async def answer(entrance: Entrance) -> pb.ChangePolicyResponse:
            change, version = await self._change(entrance, request, plan, dry_run=False)
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
            kind, verb = ResourceType.POLICY, Verb.READ_POLICY
            await authorize(self._control, entrance, request, kind, verb, POLICY_READ, {})
            return await in_thread(LONG_TIMEOUT_S, self._page, entrance.log, request)

        try:
            return await self._door.serve(context, request, _method("GetPolicy"), self._valid_get, answer)
        except Exception as error:  # noqa: BLE001 - see LoadPolicy
            await abort(context, error)

    async def _change(
        self, entrance: Entrance, request: Any, plan: _Plan, *, dry_run: bool
    ) -> tuple[Change, core_pb2.PolicyVersion]:
        """Decide; if permitted, append decision and change together, guarded by the revision both were made under."""
        call = call_of(entrance, request, extra={"dry_run": True} if dry_run else {})
        asked = own_resource(entrance.tenant, ResourceType.POLICY, Verb.CHANGE_POLICY)
        if dry_run:
            answers = await self._control.check(call, (asked,))
            if not answers.decisions[0].allowed:
                raise SubjectNotPermitted(answers.ids[0])
            change = await in_thread(LONG_TIMEOUT_S, self._plan, entrance.log, request, plan)
            return change, core_pb2.PolicyVersion(revision=change.revision, hash=change.hash)
        prepared = await self._control.prepare(call, (asked,))
        answers, decision, people = prepared.answers, prepared.record, prepared.people
        guards: tuple[Guard, ...] = (Guard(entrance.log, answers.revision), entrance.guard)
        if not answers.decisions[0].allowed:
            id = await self._directory.append(Unit(entrance.log, decision, guards), people)
            raise SubjectNotPermitted(id_text(id))
        try:
            change = await in_thread(LONG_TIMEOUT_S, self._plan, entrance.log, request, plan)
        except (PolicyInvalid, PolicyRevisionMismatch):
            # The permission was used, if to no effect: that somebody tried stands in the log.
            await self._directory.append(Unit(entrance.log, decision, guards), people)
            raise
        if not change.added and not change.removed:
            # Nothing changes: no revision is made that every process would have to look at.
            guards += (Guard(entrance.log, change.revision),)
            await self._directory.append(Unit(entrance.log, decision, guards), people)
            return change, core_pb2.PolicyVersion(revision=change.revision, hash=change.hash)
        try:
            recorded = await record(
                self._directory, entrance.log, change, entrance.now_us, entrance.caller, call.subject, people
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

    def _plan(self, log: int, request: Any, plan: _Plan) -> Change:
        now = self._store.since(log, 0)
        if request.HasField("expected_revision") and request.expected_revision != now.revision:
            raise PolicyRevisionMismatch(now.revision)
        change = plan(now)
        check_tenant(request.tenant, change.added)
        if len(change.added) + len(change.removed) > MAX_CHANGED:
            raise PolicyInvalid((LineError(0, f"more than {MAX_CHANGED} statements change at once"),))
        return change

    def _page(self, log: int, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
        size = request.page_size or _DEFAULT_PAGE_SIZE
        revision, hash = self._store.version(log)
        after = (0, 0)
        if request.page_token:
            bound, *place = _read_token(request.page_token)
            if bound != revision:
                raise PageTokenInvalid("the policy has changed since")
            after = (place[0], place[1])
        page = self._store.page(log, revision, after, size + 1)
        shown = page[:size]
        token = _write_token(revision, shown[-1]) if len(page) > size else ""
        return pb.GetPolicyResponse(
            policy=core_pb2.PolicyVersion(revision=revision, hash=hash),
            statements=[pb.PolicyStatement(id=one.id, text=one.text, added_in=one.added_in) for one in shown],
            next_page_token=token,
        )


def amended(now: PolicyDelta, add: Sequence[str], remove: Sequence[str]) -> Change:
    """The change that adds and removes single statements of the policy in force.

    Raises:
        PolicyInvalid: a statement is wrong, or the policy would be. Lines count `add` first, then `remove`.
    """
    errors: list[LineError] = []
    parsed = []
    for number, line in enumerate((*add, *remove), 1):
        try:
            parsed.append(parse_statement(line))
        except PolicyInvalid as wrong:
            errors += [LineError(number, error.message) for error in wrong.errors]
    if errors:
        raise PolicyInvalid(tuple(errors))
    added, removed = parsed[: len(add)], parsed[len(add) :]
    affected = list(_affected(now, added, removed))
    faults = role_faults((line, one) for line, one in affected if isinstance(one, Binding)) + limit_faults(affected)
    if faults:
        raise PolicyInvalid(tuple(faults))
    return amendment(now.revision, now.hash, now.added, added, removed)


def _affected(
    now: PolicyDelta, added: Sequence[Statement], removed: Sequence[Statement]
) -> Iterator[tuple[int, Statement]]:
    """What stands beside the added after the change: all that roles inherit, and what is for the same holders.

    Statements that were there before have the line 0.
    """
    gone = {one.text for one in removed}
    holders = {spelled(one.member if isinstance(one, Binding) else one.who) for one in added}
    near = ("bind role:", *(f"{word} {holder} " for word in ("bind", "allow", "deny") for holder in holders))
    for stored in now.added:
        if stored.text.startswith(near) and stored.text not in gone:
            yield 0, parse_statement(stored.text)
    yield from enumerate(added, 1)


def _method(name: str) -> tuple[str, str]:
    return _SERVICE, f"{_SERVICE}/{name}"


def _write_token(revision: int, last: StoredStatement) -> str:
    return urlsafe_b64encode(f"{revision}.{last.added_in}.{last.ordinal}".encode()).decode()


def _read_token(token: str) -> list[int]:
    try:
        numbers = [int(part) for part in urlsafe_b64decode(token).decode("ascii").split(".")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(0 <= number < 1 << 62 for number in numbers):
        raise PageTokenInvalid("the page token is not one of this query")
    return numbers
