"""The errors of this package.

AuthzError
├── PolicyInvalid           statements are invalid; each has its line
├── AddressInvalid          a text is no address of a telephone system, or a region is unknown
├── PolicyLockout           no person could change the policy afterwards
├── PolicyRevisionMismatch  the policy is not at the revision that the change expects
├── PolicyDiverged          a change removes a statement that the compiled policy does not have
├── PolicyNotOurs           the stored statements are not those that the service wrote
├── SubjectNotPermitted     the policy does not let this person do so
└── CasbinUnsuitable        the installed Casbin, or its model, cannot be used for decisions
"""

from dataclasses import dataclass

from linewarden.audit.errors import LogUnavailable

_LOCKOUT = "no person could change the policy: add `allow WHO change_policy policy any`, or allow a lockout"


class AuthzError(Exception):
    """The base of all errors that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class LineError:
    """An error in one line of a policy file. `line` counts from 1; 0 stands for the whole file."""

    line: int
    message: str


class AddressInvalid(AuthzError):
    """A text is no address of a telephone system. The message says what to write, and never quotes the address."""


class PolicyInvalid(AuthzError):
    """The whole policy was refused. `errors` has every invalid line in order; of very many, the first ones."""

    def __init__(self, errors: tuple[LineError, ...]) -> None:
        super().__init__(f"{len(errors)} invalid statement(s): see `errors`")
        self.errors = errors


class PolicyLockout(AuthzError):
    """No person could change the policy after this change, and the request does not allow a lockout."""

    def __init__(self, text: str = _LOCKOUT) -> None:
        super().__init__(text)


class PolicyRevisionMismatch(AuthzError):
    """The policy is at `revision`, not at the revision that the change expects."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the policy is at revision {revision}: read it again and repeat the change")
        self.revision = revision


class PolicyDiverged(AuthzError):
    """A change removes a statement that the compiled policy does not have. The policy must be compiled again."""


class SubjectNotPermitted(AuthzError):
    """The policy does not let this person do so. `decision` is the id of the recorded denial."""

    def __init__(self, decision: str) -> None:
        super().__init__("the policy does not permit it")
        self.decision = decision


class PolicyNotOurs(AuthzError, LogUnavailable):
    """The stored policy of `log` is not the one that the service wrote. No answer may rest on it."""

    def __init__(self, text: str, log_id: int = -1) -> None:
        super().__init__(text)
        self.log = log_id


class CasbinUnsuitable(AuthzError):
    """The installed Casbin, or its model, cannot be used for decisions. The text says what to do."""
