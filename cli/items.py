"""Items as JSON lines, as the connectors write them: one object a line, with the fields of the message Resource.

Enums are written as words: `"type": "recording"`, `"role": "caller"`. Times are those of RFC 3339.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click
from google.protobuf.json_format import ParseDict, ParseError

from linewarden.cli.enum_words import number_of
from linewarden.v1 import core_pb2

#: The kinds of addresses.
KINDS = frozenset(("ext", "mailbox", "tel", "sip", "device", "agent"))


def read_items(lines: Iterable[str]) -> Iterator[core_pb2.Resource]:
    """Yield the items of the lines; blank lines are skipped.

    Raises:
        click.UsageError: a line is not an item. The text names the line, and quotes nothing of it.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _item(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ParseError) as error:
                raise click.UsageError(f"line {number} is not an item: {_fault(error)}") from None


def participant(text: str) -> core_pb2.Participant:
    """Return a participant written as ROLE=WHO. WHO is an address if it begins with the name of a kind and a colon.

    Raises:
        click.BadParameter: the text is not ROLE=WHO with a role of the contract.
    """
    role, separator, who = text.partition("=")
    try:
        number = number_of(core_pb2.ParticipantRole, role)
    except ValueError:
        number = 0
    if not (separator and who and number):
        roles = ", ".join(
            name.removeprefix("PARTICIPANT_ROLE_").lower() for name in core_pb2.ParticipantRole.keys()[1:]
        )
        raise click.BadParameter(f"a participant is ROLE=WHO, with one of {roles}", param_hint="--participant")
    if who.partition(":")[0] in KINDS:
        return core_pb2.Participant(role=number, address=who)
    return core_pb2.Participant(role=number, person=who)


def _item(stated: Any) -> core_pb2.Resource:
    stated = dict(stated)
    kind = number_of(core_pb2.ResourceType, stated.pop("type"))
    participants = [dict(one) for one in stated.pop("participants", ())]
    roles = [number_of(core_pb2.ParticipantRole, one.pop("role")) for one in participants]
    resource: core_pb2.Resource = ParseDict(stated | {"participants": participants}, core_pb2.Resource(type=kind))
    for one, role in zip(resource.participants, roles, strict=True):
        one.role = role
    return resource


def _fault(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"it is no JSON from its character {error.pos + 1} on"
        case KeyError():
            return f"it has no {error}"
        case _:
            return "a field is unknown, or has a value of another form; see the message Resource in core.proto"
