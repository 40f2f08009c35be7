"""Persons of a tenant in its own policy: their names stand there without the tenant."""

from collections.abc import Sequence

from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.pseudonyms import persons_of
from linewarden.authz.rules import FOREIGN, Statement


def check_tenant(tenant: str, statements: Sequence[Statement]) -> None:
    """Refuse a person of this tenant who is written as a person of another tenant, because the rule would never match.

    Raises:
        PolicyInvalid: a statement names such a person. The line of an error is the number of the statement.
    """
    own = f"{FOREIGN}{tenant}/"
    errors = [
        LineError(line, f"the name of a person of this tenant begins with {own}: write it without that prefix")
        for line, one in enumerate(statements, 1)
        if any(name.startswith(own) for name in persons_of(one))
    ]
    if errors:
        raise PolicyInvalid(tuple(errors))
