"""Rows of an answer, made of the entries that were found."""

from collections.abc import Iterator, Mapping
from typing import Any

from linewarden.audit.entry import request_id_of, requester_of
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.index.answers import Row
from linewarden.audit.index.asked import Asked
from linewarden.audit.index.search import Place
from linewarden.audit.keyring import Person


def opened(entry: Mapping[str, Any], persons: Mapping[str, Person]) -> dict[str, str]:
    """Return the personal values of an entry by field. Values of erased persons are left out."""
    values: dict[str, str] = {}
    for sealed in entry.get("enc", ()):
        person = persons.get(sealed["sid"])
        if person is not None:
            try:
                values |= person.open(sealed["ct"], sealed["commit"])
            except VerificationFailed:  # sealed by a process that did not know of the erasure and new introduction
                continue
    return values


def row_of(place: Place, entry: Mapping[str, Any], persons: Mapping[str, Person], names: Mapping[str, str]) -> Row:
    """Return the row of an item. `persons` and `names` are by pseudonym."""
    items = entry.get("items")
    item = items[place.item] if items else {}
    resource = item.get("resource", {})
    asked = requester_of(entry, place.item)
    actor, owner = asked.get("actor", {}).get("sid", ""), resource.get("owner", "")
    keeper = [sealed for sealed in entry.get("enc", ()) if sealed["sid"] == resource.get("keeper")]
    return Row(
        index=place.entry,
        item=place.item,
        time_us=entry["time"],
        kind=entry["kind"],
        request_id=request_id_of(entry, place.item),
        caller=entry.get("caller", ""),
        subject_sid=actor,
        subject=names.get(actor, ""),
        owner_sid=owner,
        owner=names.get(owner, ""),
        resource_type=resource.get("type", ""),
        resource_ref=resource.get("ref", ""),
        resource_id=opened({"enc": keeper}, persons).get(f"items.{place.item}.id", ""),
        verb=item.get("action", ""),
        effect=item.get("effect", ""),
        reason=item.get("reason", entry.get("reason", "")),
        purpose=asked.get("purpose", ""),
        policy_revision=entry.get("policy", 0),
        stated=entry,
    )


def fits(row: Row, asked: Asked) -> bool:
    """Return whether a row is what was asked for. Two values may have the same term by chance."""
    query = asked.query
    resource = row.stated["items"][row.item]["resource"] if row.stated.get("items") else {}
    concerned = {row.owner_sid, *resource.get("parties", ()), row.stated.get("person", {}).get("sid")}
    stated = (
        (query.caller, row.caller),
        (query.request_id, row.request_id),
        (asked.actor, row.subject_sid),
        (query.resource_type, row.resource_type),
        (query.resource_id, row.resource_id or query.resource_id),
        (query.verb, row.verb),
        (query.effect, row.effect),
        (query.purpose, row.purpose),
    )
    return (
        all(not wanted or wanted == found for wanted, found in stated)
        and (not asked.person or asked.person in concerned)
        and (not query.kinds or row.kind in query.kinds)
    )


def persons_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pseudonyms of the persons whom an entry names."""
    if "actor" in entry:
        yield entry["actor"]["sid"]
    for sealed in entry.get("enc", ()):
        yield sealed["sid"]
    for item in entry.get("items", ()):
        if "actor" in item:
            yield item["actor"]["sid"]
        yield from item["resource"].get("parties", ())
