"""Renderings of explanations, such as messages and records, each computed once.

Equal circumstances share one explanation, and the renderings of an explanation live as long as it does.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from linewarden.authz.model import Explanation

_Form = TypeVar("_Form")


class MemoizedRendering(Generic[_Form]):
    """A function of explanations that is called once for each of them. Its results are shared and must not be changed.

    The result is stored in the explanation, whose `cost` counts it. So the cache of explanations bounds it too.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Explanation], _Form]) -> None:
        self._make = make

    def __call__(self, explanation: Explanation) -> _Form:
        """Return the rendering of an explanation."""
        form: _Form | None = explanation.renderings.get(self)
        if form is None:
            form = explanation.renderings[self] = self._make(explanation)
        return form
