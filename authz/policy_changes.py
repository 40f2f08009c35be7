"""Changing a policy on request: the policy in force decides who may, and decision and change are one append."""

from collections.abc import Callable
from typing import NamedTuple

from linewarden.audit.blocking import LOAD_TIMEOUT_S, LONG_TIMEOUT_S
from linewarden.audit.directory import Directory, People
from linewarden.audit.model import Guard
from linewarden.audit.shares import Share
from linewarden.authz.administration import Change, Recorded, record
from linewarden.authz.authority import Authority, Draft, Refused
from linewarden.authz.errors import PolicyInvalid, PolicyLockout, PolicyRevisionMismatch
from linewarden.authz.model import Resource, ResourceType, Verb
from linewarden.authz.planning import Request
from linewarden.authz.policies import Loaded, Policies
from linewarden.authz.service import Access, Call

#: Makes the change out of the policy in force. It runs in a thread, and may raise PolicyInvalid or PolicyLockout.
Plan = Callable[[Request, Loaded], Change]


class Outcome(NamedTuple):
    """What a request changes, and the revision and hash of the policy afterwards."""

    change: Change
    revision: int
    hash: bytes


class PolicyChanges:
    """The changes of policies that persons ask for."""

    def __init__(self, authority: Authority, policies: Policies, directory: Directory) -> None:
        self._authority = authority
        self._policies = policies
        self._directory = directory

    async def change(
        self, call: Call, request: Request, plan: Plan, share: Share, expected_revision: int | None = None
    ) -> Outcome:
        """Change the policy. Where the plan changes nothing, only the decision is recorded.

        Raises:
            SubjectNotPermitted: the policy does not let this person change it. The denial is recorded.
            PolicyInvalid, PolicyLockout, PolicyRevisionMismatch: the change cannot be made. The attempt is recorded.
            RevisionMoved, LogUnavailable: see `Authority.commit`.
        """

        async def make(people: People) -> Draft[Outcome]:
            try:
                planned = await self._planned(call.log, request, plan, share, expected_revision)
                if not planned.added and not planned.removed:
                    # No revision is made that every process would have to load.
                    return Draft(_outcome(planned, planned), (), people, guards=(Guard(call.log, planned.revision),))
                recorded = await record(
                    self._directory,
                    call.log,
                    planned,
                    request.now_us,
                    call.caller,
                    call.subject,
                    people,
                    work=lambda encode: share.run(LONG_TIMEOUT_S, encode),
                )
            except (PolicyInvalid, PolicyLockout, PolicyRevisionMismatch) as error:
                raise Refused(error, (), people) from None
            # Decision and change rest on two looks at the policy; both must be at what is in force.
            guards = (Guard(call.log, planned.revision),)
            outcome = _outcome(planned, recorded)
            return Draft(outcome, recorded.entries, recorded.people, recorded.apply, guards, moves_revision=True)

        return await self._authority.commit(call, (change_of(request.tenant),), make)

    async def dry_run(
        self, call: Call, request: Request, plan: Plan, share: Share, expected_revision: int | None = None
    ) -> Outcome:
        """Say what a change would lead to. The decision is recorded, and says that it is for a dry run.

        Raises:
            SubjectNotPermitted, PolicyInvalid, PolicyLockout, PolicyRevisionMismatch: see `change`.
        """
        await self._authority.authorize(call._replace(extra={"dry_run": True}), change_of(request.tenant))
        planned = await self._planned(call.log, request, plan, share, expected_revision)
        return _outcome(planned, planned)

    async def _planned(
        self, log: int, request: Request, plan: Plan, share: Share, expected_revision: int | None
    ) -> Change:
        """The change, made from the newest policy."""
        now = await self._policies.refreshed(log)
        if expected_revision is not None and expected_revision != now.snapshot.revision:
            raise PolicyRevisionMismatch(now.snapshot.revision)
        return await share.run(LOAD_TIMEOUT_S, plan, request, now)


def change_of(tenant: str) -> Access:
    """The access that changing the policy of a tenant is."""
    return Access(Verb.CHANGE_POLICY, Resource(ResourceType.POLICY, tenant))


def _outcome(change: Change, made: Change | Recorded) -> Outcome:
    return Outcome(change, made.revision, made.hash)
