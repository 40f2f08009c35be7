"""Make the Asterisk tree of a small company: the same seed and moment give the same bytes.

    python examples/asterisk/spool_generator.py DIR [--seed 7] [--now 2026-11-24T12:00:00+00:00]

Four months of calls end at `--now`: calls to and from extensions, queue calls, voicemail, faxes. Each leaves the files
of a real machine, linked by the unique id of the call. Some lines are hard to read: quotes and commas in the caller's
name, names in UTF-8 and in Latin-1, no caller at all, missed calls.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import cdr_writer
import company
import media_writer
from cdr_writer import Call
from voicemail_folder import delete_message

DEFAULT_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_DAYS = 120
_CALLS = 96
_CALLERS = (
    ("Nora Fuchs", "4930555021"),
    ("Łukasz Żak", "48225550187"),
    ("", "15557700142"),
    ("ACME Ltd, Paris", "33155550199"),
)
# unique id, user field, the three newer columns: settings this company tried before it had all of them
_ERAS = (
    (False, False, False), (True, False, False), (True, False, False), (False, True, False),
    (True, True, False), (False, False, True), (True, False, True), (False, True, True),
)  # fmt: skip


_TRUNK = "PJSIP/provider-0000001f"


class _Texts(TypedDict, total=False):
    """The textual columns of a call."""

    src: str
    dst: str
    channel: str
    clid: str
    dstchannel: str
    lastapp: str
    lastdata: str
    context: str
    disposition: str


@dataclass(slots=True)
class _Spool:
    """The tree so far. Paths are relative to its root."""

    chance: random.Random
    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    messages: dict[str, int] = field(default_factory=dict)

    def add_call(self, call: Call) -> None:
        self.calls.append(replace(call, sequence=len(self.calls)))

    def add_recording(self, kind: str, called: str, caller: str, call: Call) -> None:
        moment = datetime.fromtimestamp(call.start, UTC)
        name = f"{kind}-{called}-{caller}-{moment:%Y%m%d-%H%M%S}-{call.uniqueid}.wav"
        self.files[f"monitor/{moment:%Y/%m/%d}/{name}"] = self.speech()

    def add_message(self, mailbox: str, folder: str, call: Call, *, urgent: bool = False) -> None:
        place = f"voicemail/default/{mailbox}/{folder}"
        number = self.messages[place] = self.messages.get(place, -1) + 1
        msg_id = f"{call.end}-{sum(self.messages.values()) + len(self.messages):08x}"
        text = _description(mailbox, call, msg_id, urgent=urgent)
        self.files[f"{place}/msg{number:04d}.txt"] = text.encode()
        self.files[f"{place}/msg{number:04d}.wav"] = self.speech()

    def speech(self) -> bytes:
        return media_writer.speech(self.chance.randrange(200, 900), self.chance.randrange(60, 240))


def generate(root: Path, *, seed: int, now: datetime = DEFAULT_NOW) -> None:
    """Write the tree below `root`, which is made if it is missing. Files of the same names are replaced.

    At the end the second new message of mailbox 1002 is deleted, so that those behind it have moved up.
    """
    for name, data in sorted(tree(seed, now).items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    delete_message(root / "voicemail/default/1002/INBOX", 1)


def tree(seed: int, now: datetime = DEFAULT_NOW) -> dict[str, bytes]:
    """Return path and content of each file, before any message is deleted."""
    spool = _Spool(random.Random(seed))
    kinds = (_to_extension, _to_queue, _outward, _voicemail, _between, _by_route, _voicemail_of_bob, _fax)
    for number, start in enumerate(_starts(spool.chance, int(now.timestamp()))):
        kinds[number % len(kinds)](spool, start, f"{start}.{2 * number}")
    for call in _edge_calls(int(now.timestamp()) - 900):
        spool.add_call(call)
    for person in company.PEOPLE:
        spool.files[f"voicemail/default/{person.extension}/unavail.wav"] = spool.speech()
    spool.files["cdr-csv/Master.csv"] = cdr_writer.file(spool.calls, _ERAS)
    spool.files |= {f"etc/asterisk/{name}": text.encode() for name, text in company.configuration().items()}
    return spool.files


def _starts(chance: random.Random, now: int) -> Iterator[int]:
    step = _DAYS * 86400 // _CALLS
    for number in range(_CALLS):
        yield now - (_CALLS - number) * step + chance.randrange(step // 2)


def _answered(spool: _Spool, start: int, uniqueid: str, texts: _Texts) -> Call:
    ring, talk = spool.chance.randrange(2, 12), spool.chance.randrange(5, 600)
    answer = start + ring
    call = Call(start=start, answer=answer, end=answer + talk, uniqueid=uniqueid, **_from_outside(texts))
    spool.add_call(call)
    return call


def _from_outside(texts: _Texts) -> _Texts:
    """Return the texts of a call that came in by the trunk; `texts` replaces some of them."""
    return {"channel": _TRUNK, "dst": company.DID, **texts}


def _caller(spool: _Spool) -> _Texts:
    name, number = spool.chance.choice(_CALLERS)
    return {"src": number, "clid": f'"{name}" <{number}>' if name else number}


def _inside(spool: _Spool, person: company.Colleague) -> _Texts:
    number = person.extension
    return {"src": number, "clid": f'"{person.name}" <{number}>', "channel": _phone(spool, number)}


def _phone(spool: _Spool, extension: str) -> str:
    return f"PJSIP/{extension}-{spool.chance.randrange(1 << 32):08x}"


def _extension(spool: _Spool) -> str:
    return spool.chance.choice(company.PEOPLE).extension


def _to_extension(spool: _Spool, start: int, uniqueid: str) -> None:
    called = _extension(spool)
    caller = _caller(spool)
    texts: _Texts = {**caller, "dst": called, "dstchannel": _phone(spool, called), "lastdata": f"PJSIP/{called},20"}
    call = _answered(spool, start, uniqueid, texts)
    spool.add_recording("external", called, call.src, call)


def _to_queue(spool: _Spool, start: int, uniqueid: str) -> None:
    """Let all agents ring, a line each, and one of them answer."""
    number, (name, members) = spool.chance.choice(sorted(company.QUEUES.items()))
    answering = spool.chance.choice(members)
    shared: _Texts = {**_caller(spool), "dst": number, "lastapp": "Queue", "lastdata": f"{name},t,,,60"}
    for member in members:
        if member != answering:
            missed: _Texts = {**shared, "dstchannel": _phone(spool, member), "disposition": "NO ANSWER"}
            spool.add_call(Call(start=start, end=start + 9, uniqueid=uniqueid, **_from_outside(missed)))
    call = _answered(spool, start, uniqueid, {**shared, "dstchannel": _phone(spool, answering)})
    spool.add_recording("q", number, call.src, call)


def _outward(spool: _Spool, start: int, uniqueid: str) -> None:
    person = spool.chance.choice(company.PEOPLE)
    number = spool.chance.choice(_CALLERS)[1]
    texts: _Texts = {**_inside(spool, person), "dst": number, "dstchannel": _TRUNK}
    call = _answered(spool, start, uniqueid, {**texts, "lastdata": f"PJSIP/{number}@provider,300"})
    spool.add_recording("out", number, person.extension, call)


def _between(spool: _Spool, start: int, uniqueid: str) -> None:
    one, other = spool.chance.sample(company.PEOPLE, 2)
    texts: _Texts = {**_inside(spool, one), "dst": other.extension, "dstchannel": _phone(spool, other.extension)}
    call = _answered(spool, start, uniqueid, texts)
    spool.add_recording("internal", other.extension, one.extension, call)


def _by_route(spool: _Spool, start: int, uniqueid: str) -> None:
    texts: _Texts = {**_caller(spool), "dstchannel": _phone(spool, _extension(spool)), "context": "from-trunk"}
    call = _answered(spool, start, uniqueid, texts)
    spool.add_recording("in", company.DID, call.src, call)


def _voicemail(spool: _Spool, start: int, uniqueid: str) -> None:
    folder = spool.chance.choice(("INBOX", "INBOX", "Old", "Urgent"))
    _leave_message(spool, start, uniqueid, _extension(spool), folder)


def _voicemail_of_bob(spool: _Spool, start: int, uniqueid: str) -> None:
    """Leave enough messages in one mailbox, under any seed, to delete one from its middle."""
    _leave_message(spool, start, uniqueid, "1002", "INBOX")


def _leave_message(spool: _Spool, start: int, uniqueid: str, mailbox: str, folder: str) -> None:
    texts: _Texts = {**_caller(spool), "dst": mailbox, "lastapp": "VoiceMail", "lastdata": f"{mailbox}@default,u"}
    call = _answered(spool, start, uniqueid, texts)
    spool.add_message(mailbox, folder, call, urgent=folder == "Urgent")


def _fax(spool: _Spool, start: int, uniqueid: str) -> None:
    path = f"fax/{uniqueid}.tif"
    received: _Texts = {"lastapp": "ReceiveFAX", "lastdata": f"/var/spool/asterisk/{path},f"}
    _answered(spool, start, uniqueid, {**_caller(spool), **received, "dst": company.FAX_EXTENSION})
    spool.files[path] = media_writer.fax_page()


def _edge_calls(start: int) -> Iterator[Call]:
    """Add valid lines that careless readers misread."""
    rows: tuple[_Texts, ...] = (
        {"clid": '"Smith, "Bob" Jr." <15557700143>', "src": "15557700143", "dst": "1001"},
        {"clid": '"Zoë, Ørsted & Søn" <4533555012>', "src": "4533555012", "dst": "1004"},
        {"clid": '"J\udcf6rg M\udcfcller" <4989555013>', "src": "4989555013", "dst": "1003"},
        {"clid": '"" <>', "dst": "1002", "disposition": "NO ANSWER"},
        {"dst": "s", "disposition": "FAILED", "lastapp": ""},
        {"clid": '"anonymous" <anonymous>', "src": "anonymous", "dst": "600", "disposition": "BUSY"},
        {"clid": "+49 (30) 555-014", "src": "+49 (30) 555-014", "dst": "1005", "disposition": "CONGESTION"},
    )
    for number, row in enumerate(rows):
        length = 0 if row.get("disposition") == "FAILED" else 20
        answer = None if "disposition" in row else start + 5
        yield Call(
            start=start, answer=answer, end=start + length, uniqueid=f"{start}.{9000 + number}", **_from_outside(row)
        )
        start += 60


def _description(mailbox: str, call: Call, msg_id: str, *, urgent: bool) -> str:
    moment = datetime.fromtimestamp(call.end, UTC)
    pairs = {
        "origmailbox": mailbox,
        "context": call.context,
        "macrocontext": "",
        "exten": mailbox,
        "rdnis": "unknown",
        "priority": "2",
        "callerchan": call.channel,
        "callerid": call.clid or "Unknown",
        "origdate": f"{moment:%a %b} {moment.day:2d} {moment:%I:%M:%S %p} UTC {moment.year}",
        "origtime": str(call.end),
        "category": "",
        "msg_id": msg_id,
        "flag": "Urgent" if urgent else "",
        "duration": str(min(call.end - call.start, 180)),
    }
    return ";\n; Message Information file\n;\n[message]\n" + "".join(f"{key}={value}\n" for key, value in pairs.items())


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main(arguments: list[str] | None = None) -> int:
    """Make the tree named on the command line."""
    parser = argparse.ArgumentParser(description="Make the Asterisk tree of a small company.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write; made if it is missing")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes; default 7")
    parser.add_argument(
        "--now", type=_moment, default=DEFAULT_NOW, metavar="TIME", help="time of the last call, ISO 8601"
    )
    asked = parser.parse_args(arguments)
    generate(asked.folder, seed=asked.seed, now=asked.now)
    print(f"wrote {sum(1 for path in asked.folder.rglob('*') if path.is_file())} files", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
