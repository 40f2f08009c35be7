"""The policy and the operator's places, as diagnostics ask them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from linewarden.diagnostics.capture_model import CaptureRight
from linewarden.diagnostics.places import Place


@dataclass(frozen=True, slots=True)
class Requester:
    """A person, and the circumstances in which it acted."""

    name: str
    purpose: str
    case: str
    zone: str


class Rights(Protocol):
    """What the policy in force says, asked again while a capture runs."""

    async def may(self, log: int, capture: str, requester: Requester, rights: Iterable[CaptureRight], /) -> bool:
        """Whether the person has all these rights to this capture now. Nobody has any.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        ...


class Places(Protocol):
    """Where tenants may capture."""

    def of(self, tenant: str, /) -> Place:
        """What is the tenant's; an empty place if nothing is stated."""
        ...
