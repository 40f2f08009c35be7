"""What can go wrong with a policy.

AuthzError
├── PolicyInvalid           statements that are wrong, each with its line
├── PolicyLockout           no person could change the policy afterwards
├── PolicyRevisionMismatch  the policy is not at the revision the change expects
├── PolicyDiverged          a change removes what the compiled policy does not hold
├── PolicyNotOurs           stored statements are not those that the service wrote
├── SubjectNotPermitted     the policy does not let this person do so
└── CasbinUnsuitable        not the Casbin, or not the model, that decisions can rest on
"""

from dataclasses import dataclass

from linewarden.audit.errors import LogUnavailable

_LOCKOUT = "no person could change the policy: add `allow WHO change_policy policy any`, or allow a lockout"


class AuthzError(Exception):
    """The root of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with one line of a policy file; `line` counts from 1."""

    line: int
    message: str


class PolicyInvalid(AuthzError):
    """The policy was refused whole. `errors` names every wrong line, in their order; of very many, the first."""

    def __init__(self, errors: tuple[LineError, ...]) -> None:
        super().__init__(f"{len(errors)} wrong statement(s)")
        self.errors = errors


class PolicyLockout(AuthzError):
    """After this change no person could change the policy, and the request does not say that this is meant."""

    def __init__(self, text: str = _LOCKOUT) -> None:
        super().__init__(text)


class PolicyRevisionMismatch(AuthzError):
    """The policy is at `revision`, not at the one the change expects."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the policy is at revision {revision}")
        self.revision = revision


class PolicyDiverged(AuthzError):
    """A change removes a statement that the compiled policy does not hold: compile it anew."""


class SubjectNotPermitted(AuthzError):
    """The policy does not let this person do so. `decision` is the id of the recorded denial."""

    def __init__(self, decision: str) -> None:
        super().__init__("the policy does not permit it")
        self.decision = decision


class PolicyNotOurs(AuthzError, LogUnavailable):
    """What is stored as the policy of `log` is not what the service wrote: nothing may be answered by it."""

    def __init__(self, text: str, log: int = -1) -> None:
        super().__init__(text)
        self.log = log


class CasbinUnsuitable(AuthzError):
    """Not the Casbin, or not the model, that decisions can rest on. The text says what to do."""
