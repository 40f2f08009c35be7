"""The kinds of entries of all packages, for filters of queries."""

from collections.abc import Iterable

from linewarden.audit import entry
from linewarden.diagnostics import kinds
from linewarden.server.errors import InvalidRequest, Violation

#: The kinds that this service records.
KINDS = entry.KINDS | kinds.KINDS

_UNKNOWN = Violation("filter.kinds", "filter.kinds.known", f"must be of these kinds: {', '.join(sorted(KINDS))}")


def check_kinds(stated: Iterable[str]) -> None:
    """Check that kinds are recorded at all, because the empty answer to a misspelt kind looks like a finding.

    Raises:
        InvalidRequest: a kind is unknown. The violation lists all kinds.
    """
    if not KINDS.issuperset(stated):
        raise InvalidRequest((_UNKNOWN,))
