"""Translation between the messages that all services share and the values of the model."""

from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.authz.model import Context
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.names import CONSENTS, PURPOSES
from linewarden.v1 import access_pb2, core_pb2


def subject_name(tenant: str, subject: core_pb2.Subject, path: str = "header.subject") -> str:
    """Return the name of a person in the policy of `tenant`. `path` is the place of the subject in the request.

    Raises:
        InvalidRequest: the name is reserved for roles, queues, everyone, or persons of other tenants.
    """
    id, home = subject.id, subject.tenant
    if id[:1] in "/rqe" and (id.startswith(("role:", "queue:", "//")) or id == "everyone"):
        raise InvalidRequest((Violation(f"{path}.id", "subject.id.reserved", "the name is reserved"),))
    return f"//{home}/{id}" if home and home != tenant else id


def context_of(header: core_pb2.RequestHeader | access_pb2.CheckItem, now_us: int) -> Context:
    """Return the context for the rules of the policy, as a request or an item of a batch states it."""
    if not header.HasField("context"):
        return Context(now_us)
    context = header.context
    return Context(
        now_us,
        PURPOSES.get(context.purpose),
        context.case_reference,
        context.network_zone,
        CONSENTS.get(context.consent),
    )


def timestamp(us: int) -> Timestamp:
    """Return microseconds since 1970 UTC as a Timestamp."""
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1_000)


def microseconds(at: Timestamp) -> int:
    """Return the Timestamp as microseconds since 1970 UTC."""
    return at.seconds * 1_000_000 + at.nanos // 1_000


def policy_version(revision: int, hash: bytes) -> core_pb2.PolicyVersion:
    """Return the policy version of an answer."""
    return core_pb2.PolicyVersion(revision=revision, hash=hash)
