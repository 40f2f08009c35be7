"""PolicyService: translation between the messages of the contract and policy changes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from linewarden.audit.blocking import LONG_TIMEOUT_S
from linewarden.audit.entry import POLICY_READ
from linewarden.audit.errors import PageTokenInvalid
from linewarden.audit.pace import paced
from linewarden.audit.shares import shares
from linewarden.authz.administration import Change
from linewarden.authz.assignments import Assignment
from linewarden.authz.authority import Authority
from linewarden.authz.model import Resource, ResourceType, Verb
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.policies import Loaded, Policies
from linewarden.authz.policy_changes import Outcome, Plan, PolicyChanges
from linewarden.authz.service import Access
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statement_list import parse_id
from linewarden.server.admission import AdmittedRequest
from linewarden.server.messages import policy_version
from linewarden.v1 import core_pb2
from linewarden.v1 import policy_pb2 as pb

_DEFAULT_PAGE_SIZE = 1_000


class PolicyServicer:
    """Serves LoadPolicy, ChangePolicy and GetPolicy."""

    def __init__(self, authority: Authority, changes: PolicyChanges, policies: Policies) -> None:
        self._authority = authority
        self._changes = changes
        self._policies = policies

    async def load_policy(self, admitted: AdmittedRequest, request: pb.LoadPolicyRequest) -> pb.LoadPolicyResponse:
        """Replace all rules and bindings, or all assignments, by a file, or change nothing."""

        def plan(asked: Request, now: Loaded) -> Change:
            return plan_file(asked, now.snapshot, request.document, assignments=request.assignments)

        outcome = await self._change(admitted, request, plan, dry_run=request.dry_run)
        return pb.LoadPolicyResponse(
            policy=policy_version(outcome.revision, outcome.hash),
            statements_added=len(outcome.change.added),
            statements_removed=len(outcome.change.removed),
        )

    async def change_policy(
        self, admitted: AdmittedRequest, request: pb.ChangePolicyRequest
    ) -> pb.ChangePolicyResponse:
        """Add and remove single statements."""

        def plan(asked: Request, now: Loaded) -> Change:
            return plan_amendment(asked, now.snapshot, now.ceiling, request.add, request.remove)

        outcome = await self._change(admitted, request, plan, dry_run=False)
        return pb.ChangePolicyResponse(
            policy=policy_version(outcome.revision, outcome.hash),
            statements_added=len(outcome.change.added),
            statements_removed=len(outcome.change.removed),
        )

    async def get_policy(self, admitted: AdmittedRequest, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
        """Read the policy in force, page by page, from one revision."""
        with shares().admitted(admitted.log) as share:
            access = Access(Verb.READ_POLICY, Resource(ResourceType.POLICY, admitted.tenant))
            await self._authority.authorize(admitted.call._replace(kind=POLICY_READ), access)
            # The record of the read is guarded, so the policy in memory was in force then, or is newer.
            snapshot = self._policies.cached(admitted.log) or await self._policies.load(admitted.log)
            return await share.run(LONG_TIMEOUT_S, _page, snapshot, request)

    async def _change(self, admitted: AdmittedRequest, request: Any, plan: Plan, *, dry_run: bool) -> Outcome:
        expected = request.expected_revision if request.HasField("expected_revision") else None
        asked = Request(admitted.tenant, admitted.call.subject, admitted.now_us, request.allow_lockout)
        act = self._changes.dry_run if dry_run else self._changes.change
        with shares().admitted(admitted.log, request.ByteSize()) as share:
            return await act(admitted.call, asked, plan, share, expected)


def _page(snapshot: Snapshot, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
    """Return a page of the statements in memory. They were verified when they were loaded."""
    size = request.page_size or _DEFAULT_PAGE_SIZE
    after = (0, 0)
    if request.page_token:
        bound, *place = _read_token(request.page_token)
        if bound != snapshot.revision:
            raise PageTokenInvalid("the policy has changed since")
        after = (place[0], place[1])
    assignments = request.assignments
    found = snapshot.in_force.statements.beyond(after, size + 1, lambda one: isinstance(one, Assignment) is assignments)
    shown = found[:size]
    return pb.GetPolicyResponse(
        policy=core_pb2.PolicyVersion(revision=snapshot.revision, hash=snapshot.hash),
        statements=[pb.PolicyStatement(id=id, text=one.text, added_in=parse_id(id)[0]) for id, one in paced(shown)],
        next_page_token=_write_token(snapshot.revision, shown[-1][0]) if len(found) > size else "",
    )


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
