"""Errors of calls. Each means that there is no decision, so nothing is allowed.

    ClientError
    ├── QuestionInvalid     a field breaks its rule; `fields` are the paths
    ├── KeyRefused          the API key is unknown, expired, revoked, or not bound to this tenant and method
    ├── Untrusted           there is no TLS connection to a server that can be trusted
    ├── Unavailable         the server cannot be reached or cannot record; ask again later with the same request id
    ├── DeadlineExceeded    no answer arrived in time; a record may exist
    ├── AnswerInvalid       the answer does not belong to the request
    └── ClientUnusable      the client is closed, or belongs to another process

Texts are fixed, or those of the server, which are fixed too. They hold no value of a request and no address.
"""

from collections.abc import Mapping
from types import MappingProxyType


class ClientError(Exception):
    """There is no decision.

    `code` is the name of the gRPC status, and `reason` and `metadata` are those of its ErrorInfo; they are empty if the
    error did not come from a Linewarden. `fields` are the fields that break their rules, each with its rule.
    `retry_after_s` is the delay that the server asks for, seconds. `request_id` is the one to repeat.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        fields: tuple[tuple[str, str], ...] = (),
        retry_after_s: float = 0.0,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = metadata
        self.fields = fields
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def allows(self, *_fulfilled: str) -> bool:
        """Return False, so that an error among the answers of a stream is no permission."""
        return False

    def with_fields(self, fields: tuple[tuple[str, str], ...], request_id: str) -> "ClientError":
        """Return the same error for one question of several."""
        return type(self)(
            _text(self.args[0].partition("\n")[0], fields),
            code=self.code,
            reason=self.reason,
            metadata=self.metadata,
            fields=fields,
            retry_after_s=self.retry_after_s,
            request_id=request_id,
        )


class QuestionInvalid(ClientError, ValueError):
    """A field of the question breaks its rule."""


class KeyRefused(ClientError):
    """The API key is unknown, expired, revoked, or not bound to this tenant and method."""


class Untrusted(ClientError):
    """There is no TLS connection to a server that can be trusted."""


class Unavailable(ClientError):
    """The server cannot be reached, or cannot record an answer now."""


class DeadlineExceeded(ClientError):
    """No answer arrived in time. Whether a record exists is not known."""


class AnswerInvalid(ClientError):
    """The answer does not belong to the request."""


class ClientUnusable(ClientError):
    """The client is closed, or belongs to another process."""


def _text(first: str, fields: tuple[tuple[str, str], ...]) -> str:
    return "\n  ".join((first, *(f"{field}: {rule}" for field, rule in fields)))
