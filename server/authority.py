"""Our own administrative and audit calls, decided by the same policies and recorded in the same log as any access."""

from typing import Any

from linewarden.authz.model import Decision, Resource, ResourceType, Verb
from linewarden.authz.service import Access, AccessControl, Answers
from linewarden.server.access import call_of
from linewarden.server.door import Entrance
from linewarden.server.errors import SubjectNotPermitted


async def authorize(
    control: AccessControl,
    entrance: Entrance,
    request: Any,
    type: ResourceType,
    verb: Verb,
    kind: str,
    extra: dict[str, Any],
) -> tuple[Decision, str]:
    """The permission for the request's subject and the id of its record, which is of `kind` and says `extra`.

    Raises:
        SubjectNotPermitted: policy does not let this person do so; that is recorded.
        RevisionMoved, LogUnavailable: see `AccessControl.check`.
    """
    answers: Answers = await control.check(
        call_of(entrance, request, kind=kind, extra=extra), (own_resource(entrance.tenant, type, verb),)
    )
    if not answers.decisions[0].allowed:
        raise SubjectNotPermitted(answers.ids[0])
    return answers.decisions[0], answers.ids[0]


def own_resource(tenant: str, type: ResourceType, verb: Verb) -> Access:
    """The one policy, log or diagnostics that a tenant has, as an access to it."""
    return Access(verb, Resource(type, tenant))
