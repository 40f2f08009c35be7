"""The ports of diagnostics to the policy and to the operator's places."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from linewarden.diagnostics.capture_model import CaptureRight
from linewarden.diagnostics.places import Place


@dataclass(frozen=True, slots=True)
class Requester:
    """A person, and the circumstances of their act."""

    name: str
    purpose: str
    case: str
    zone: str


class Rights(Protocol):
    """The rights that the policy in force gives. They are checked again while a capture runs."""

    async def may(self, log_id: int, capture: str, requester: Requester, rights: Iterable[CaptureRight], /) -> bool:
        """Return whether the person has all these rights to this capture now. The empty name has no rights.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        ...


class Places(Protocol):
    """The places where tenants may capture."""

    def of(self, tenant: str, /) -> Place:
        """Return the tenant's place; an empty place if none is configured."""
        ...
