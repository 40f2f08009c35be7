"""Call records as items with participants, and the participants of whole calls for their recordings.

- A rung phone is a callee. The phone that talked is the one of the destination channel, also after a pickup.
- In a queue the longest talk of a call is the agent's; a member who dropped the call earlier is a callee.
- After a transfer each party has the interval of its own row.
- A Local channel only says who was dialled. The phone behind it has a row of its own.
"""

import hashlib
import re
from dataclasses import dataclass, replace

from linewarden.connectors.asterisk.cdr_file import Fields
from linewarden.connectors.asterisk.channels import dialled, endpoint, is_local, mailboxes, phone, telephone
from linewarden.connectors.asterisk.times import Clock, instant
from linewarden.connectors.model import Item, ItemType, Participant, Role, merged

_DISPOSITIONS = {"ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"}
_VOICEMAIL = {"VoiceMail", "VoiceMailMain"}
_CONFERENCES = {"ConfBridge", "MeetMe"}
_LISTENERS = {"ChanSpy", "ExtenSpy"}
_SEQUENCE = re.compile(r"[1-9][0-9]{0,18}")
_QUEUE = re.compile(r"[\w.-]{1,128}")


@dataclass(frozen=True, slots=True)
class CallRow:
    """A row with its instants: seconds since 1970, None where they are unknown."""

    fields: Fields
    source: str
    start: int | None
    answer: int | None
    end: int | None

    @property
    def call_id(self) -> str:
        """The id that joins the rows of a call: the linked id, else the unique id."""
        return self.fields.get("linkedid", "") or self.fields.get("uniqueid", "")

    @property
    def talked(self) -> bool:
        """Whether two channels were connected."""
        return self.fields["disposition"] == "ANSWERED" and bool(self.fields["dstchannel"])


def call_row(fields: Fields, source: str, clock: Clock) -> CallRow:
    """Return the row with its instants."""
    offset = clock.offset(fields.get("uniqueid", ""), fields["start"])
    return CallRow(fields, source, *(instant(fields[name], offset) for name in ("start", "answer", "end")))


def items_of_call(rows: list[CallRow]) -> list[Item]:
    """Return the items of the rows of one call, in their order."""
    longest = max((int(row.fields["billsec"]) for row in rows if _is_queue_talk(row)), default=0)
    return [_item(row, longest, rows[:number]) for number, row in enumerate(rows)]


def _item(row: CallRow, longest: int, before: list[CallRow]) -> Item:
    fields = row.fields
    disposition = fields["disposition"]
    return Item(
        type=ItemType.CDR,
        id=_id(fields),
        call_id=row.call_id,
        queue=_queue(fields),
        created=row.start,
        duration_s=int(fields["duration"]),
        participants=merged([*_callers(row), *_called(row, longest, before), *_applications(row)]),
        labels={"disposition": disposition if disposition in _DISPOSITIONS else "other"},
        source=row.source,
    )


def _id(fields: Fields) -> str:
    """Return the unique id with the sequence; without a sequence, with a digest of the row.

    The sequence 0 stands in every row of some installations, so that it distinguishes no rows.
    """
    uniqueid, sequence = fields.get("uniqueid", ""), fields.get("sequence", "")
    if uniqueid and _SEQUENCE.fullmatch(sequence):
        return f"{uniqueid}/{sequence}"
    digest = hashlib.sha256("\0".join(fields.values()).encode("utf-8", "replace")).hexdigest()[:24]
    return f"{uniqueid or 'row'}/{digest}"


def _queue(fields: Fields) -> str:
    name = fields["lastdata"].split(",")[0].split("|")[0] if fields["lastapp"] == "Queue" else ""
    return name if _QUEUE.fullmatch(name) else ""


def _callers(row: CallRow) -> list[Participant]:
    """Return the caller: the phone of the channel, or the telephone number where the channel is no phone."""
    fields = row.fields
    if fields["lastapp"] in _CONFERENCES | _LISTENERS:
        return []
    caller = phone(fields["channel"], fields["src"])
    if not caller and not is_local(fields["channel"]):
        caller = telephone(fields["src"])
    return [Participant(caller, Role.CALLER, row.start, row.end)]


def _called(row: CallRow, longest: int, before: list[CallRow]) -> list[Participant]:
    fields = row.fields
    target = phone(fields["dstchannel"], "" if fields["lastapp"] == "Queue" else _dialled_number(fields))
    rung = dialled(fields["lastdata"]) if fields["lastapp"] == "Dial" else []
    if row.talked and target:
        role = _role(row, longest, before)
        since = row.start if role is Role.CALLEE else row.answer
        found = [Participant(target, role, since, row.end)]
    else:
        found = [Participant(target or _local_target(fields), Role.CALLEE, row.start, row.end)]
    known = {endpoint_of(one.address) for one in found}
    others = [Participant(one, Role.CALLEE, row.start, row.end) for one in rung if endpoint_of(one) not in known]
    outside = "" if target or is_local(fields["dstchannel"]) else telephone(fields["dst"])
    return [*found, *others, Participant(outside, Role.CALLEE, row.start, row.end)]


def endpoint_of(address: str) -> str:
    """Return the value of an address without its kind."""
    return address.partition(":")[2]


def _dialled_number(fields: Fields) -> str:
    """Return the number that was dialled, where the destination rang at another device: hot desking.

    Dial names the device alone. It names several members of a ring group, and not the phone that picks a call up.
    """
    named = [endpoint_of(one) for one in dialled(fields["lastdata"])]
    return fields["dst"] if fields["lastapp"] == "Dial" and named == [endpoint(fields["dstchannel"])] else ""


def _local_target(fields: Fields) -> str:
    channel = fields["dstchannel"]
    return next(iter(dialled(channel)), "") if is_local(channel) else ""


def _role(row: CallRow, longest: int, before: list[CallRow]) -> Role:
    if _is_queue_talk(row):
        return Role.AGENT if int(row.fields["billsec"]) == longest else Role.CALLEE
    channel = row.fields["channel"]
    earlier = [one for one in before if one.talked and one.fields["channel"] == channel and not _is_queue_talk(one)]
    moved = any(one.end is not None and row.start is not None and one.end <= row.start for one in earlier)
    return Role.TRANSFERRED_TO if moved else Role.ANSWERED


def _is_queue_talk(row: CallRow) -> bool:
    return row.talked and row.fields["lastapp"] == "Queue" and not is_local(row.fields["dstchannel"])


def _applications(row: CallRow) -> list[Participant]:
    """Return the participants that an application makes: a mailbox, a conference, a listener."""
    fields = row.fields
    if fields["lastapp"] in _VOICEMAIL:
        return [Participant(box, Role.MAILBOX_HOLDER) for box in mailboxes(fields["lastdata"])]
    role = Role.CONFERENCE if fields["lastapp"] in _CONFERENCES else Role.LISTENER
    if fields["lastapp"] not in _CONFERENCES | _LISTENERS:
        return []
    attending = phone(fields["channel"], fields["src"])
    if not attending and not is_local(fields["channel"]):
        attending = telephone(fields["src"])
    return [Participant(attending, role, row.start, row.end)]


def numbered(items: list[Item]) -> list[Item]:
    """Return the items with `#2`, `#3` after an id that another item has already: equal rows of one file."""
    seen: dict[str, int] = {}
    unique = []
    for item in items:
        count = seen[item.id] = seen.get(item.id, 0) + 1
        unique.append(item if count == 1 else replace(item, id=f"{item.id}#{count}"))
    return unique
