"""Forms of findings, each made once: equal circumstances share one finding, and its forms live as long as it does."""

from collections.abc import Callable
from typing import Generic, TypeVar

from linewarden.authz.model import Finding

_Form = TypeVar("_Form")


class Kept(Generic[_Form]):
    """A function of findings that is called once for each. Its results are shared: they must not be changed.

    They are kept in the finding itself, whose `cost` counts them. So no memory is bounded apart from that of findings.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Finding], _Form]) -> None:
        self._make = make

    def __call__(self, finding: Finding) -> _Form:
        """The form of a finding."""
        form: _Form | None = finding.forms.get(self)
        if form is None:
            form = finding.forms[self] = self._make(finding)
        return form
