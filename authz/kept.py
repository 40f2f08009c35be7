"""What is made of findings, made once for each: equal circumstances share one finding."""

from collections.abc import Callable
from typing import Generic, TypeVar

from linewarden.authz.model import Finding

#: Findings whose forms are kept; a full memory begins anew.
LIMIT = 4_096

_Form = TypeVar("_Form")


class Kept(Generic[_Form]):
    """A function of findings that remembers its results. They are shared: nobody may change them."""

    __slots__ = ("_forms", "_make")

    def __init__(self, make: Callable[[Finding], _Form]) -> None:
        self._make = make
        # By identity, which costs less than comparing; the finding is kept too, so that its identity stays its own.
        self._forms: dict[int, tuple[Finding, _Form]] = {}

    def __call__(self, finding: Finding) -> _Form:
        """The form of a finding."""
        known = self._forms.get(id(finding))
        if known is not None:
            return known[1]
        form = self._make(finding)
        if len(self._forms) >= LIMIT:
            self._forms = {}
        self._forms[id(finding)] = (finding, form)
        return form
