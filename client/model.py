"""The nouns of the client: the question and the decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from linewarden.v1 import access_pb2


@dataclass(frozen=True, slots=True)
class Participant:
    """A person, or an address such as `ext:1001@internal`, that took part in a call in a role of the contract.

    Exactly one of person and address is stated. The stretch is that in which it took part, if it is known.
    """

    role: str
    person: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One access: may the subject do the verb with the item `id` of `type`?

    Verbs, types, purposes and consents are the words of the contract, such as `play` and `voicemail`. A subject
    `//tenant/id` is a person of another tenant, and `home` the tenant of an item if it is another one. Empty values are
    not stated. The `call_id` joins the items of one call. Persons and items are left out of the text form, which may
    end up in a log.
    """

    subject: str = field(repr=False)
    verb: str
    type: str
    id: str = field(repr=False)
    owner: str = field(default="", repr=False)
    queue: str = ""
    parties: tuple[str, ...] = field(default=(), repr=False)
    created_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    home: str = ""
    purpose: str = ""
    case: str = field(default="", repr=False)
    zone: str = ""
    consent: str = ""
    participants: tuple[Participant, ...] = ()
    call_id: str = field(default="", repr=False)
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The recorded answer to one question.

    `id` is its id in the log. `effect` is `allow` or `deny`, `reason` one word. `obligations` are duties that come with
    a permission. The decision stands for one access before `expires_at`. `message` is the full explanation.
    """

    id: str
    effect: str
    reason: str
    obligations: frozenset[str]
    policy_revision: int
    expires_at: datetime
    message: access_pb2.Decision = field(repr=False)

    def allows(self, *fulfilled: str, now: datetime | None = None) -> bool:
        """Return whether the access may be given, once, by a backend that fulfils these obligations.

        An obligation that is not named, or that this version does not know, is a denial. So is an expired decision by
        the clock of this host.
        """
        if self.effect != "allow" or not self.obligations.issubset(fulfilled):
            return False
        return (now or datetime.now(UTC)) < self.expires_at

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has no truth value, because a deny is a decision too: call allows()")
