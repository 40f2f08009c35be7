"""The conditions of a query: persons by pseudonym, and values by term."""

from typing import NamedTuple

from linewarden.audit.directory import Directory
from linewarden.audit.index import fields
from linewarden.audit.index.answers import Query
from linewarden.audit.index.search import Conditions
from linewarden.audit.keyring import Keyring


class Asked(NamedTuple):
    """A query with persons as pseudonyms and an item as a term. `unknown` are filters that name an unknown person."""

    query: Query
    actor: str
    person: str
    conditions: Conditions
    unknown: tuple[str, ...]


def asked_of(log_id: int, query: Query, directory: Directory, keyring: Keyring) -> Asked:
    """Return the conditions of a query of a log.

    Raises:
        LogUnavailable: the database failed.
    """
    sids, unknown = [], []
    for name in ("subject", "data_subject"):
        value = getattr(query, name)
        person = directory.find(log_id, value) if value else None
        sids.append(person.sid if person else "")
        if value and person is None:
            unknown.append(name)
    terms = keyring.terms(log_id)
    stated = [
        (fields.CALLER, query.caller),
        (fields.REQUEST, query.request_id),
        (fields.ACTOR, sids[0]),
        (fields.PERSON, sids[1]),
        (fields.TYPE, "" if query.resource_id else query.resource_type),
        (fields.ITEM, fields.item_value(query.resource_type, query.resource_id) if query.resource_id else ""),
        (fields.PURPOSE, query.purpose),
    ]
    if query.verb and query.effect:
        stated.append((fields.OUTCOME, fields.outcome_value(query.verb, query.effect)))
    else:
        stated += [(fields.ACTION, query.verb), (fields.EFFECT, query.effect)]
    groups: list[tuple[bytes, ...]] = [(terms.of(field, value),) for field, value in stated if value]
    if query.kinds:
        groups.append(tuple(terms.of(fields.KIND, kind) for kind in dict.fromkeys(query.kinds)))
    conditions = Conditions(tuple(groups), query.from_us, query.until_us)
    return Asked(query, sids[0], sids[1], conditions, tuple(unknown))
