"""The people and queues of Asterisk, read from its configuration files.

- voicemail.conf: `<mailbox> => <pin>,<name>,<email>,...`; the section is the voicemail context. The pin is not kept.
- pjsip.conf, sip.conf, users.conf: `mailboxes=1001@default` (or `mailbox=`) ties an extension to a mailbox.
- queues.conf: the section is the queue, `member => PJSIP/1001,...` an agent.
- extensions.conf and extensions_additional.conf (FreePBX): `exten => 600,1,Queue(sales)` ties a number to a queue.

Every file may be missing. `#include` is not followed and templates are not expanded: name the files that hold the
entries. An address is taken as it is written, because people's ids are compared case by case.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spool_files import read_head
from spool_item import OWNER_BYTES, QUEUE_BYTES, Problem, plain, text_of

_LIMIT = 4 << 20
_PHONES = ("pjsip.conf", "sip.conf", "users.conf")
_DIALPLANS = ("extensions.conf", "extensions_additional.conf")
_NOT_A_CONTEXT = {"general", "zonemessages"}
_SECTION = re.compile(r"\[([^\]]+)\]")
_ADDRESS = re.compile(r"[^\s@:/|,;]+@[^\s@:/|,;]+")
_QUEUE_CALL = re.compile(r"Queue\(\s*([^,)\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Person:
    """The holder of a mailbox. `email` is empty when the configuration has none."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Directory:
    """The people, extensions and queues of one Asterisk. Mailboxes are keyed by (context, number)."""

    people: Mapping[tuple[str, str], Person] = field(default_factory=dict)
    mailboxes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def owner_of_mailbox(self, context: str, number: str) -> str:
        """Return the e-mail address of the mailbox's holder, else `ext:<number>`."""
        person = self.people.get((context, number))
        return person.email if person and person.email else plain(f"ext:{number}", OWNER_BYTES)

    def owner_of_extension(self, number: str) -> str:
        """Return the e-mail address of the extension's user, else `ext:<number>`.

        Without a line in pjsip.conf an extension has the mailbox of its number: the one in the context `default`, else
        the only one. Where two contexts have that number, as with two customers on one machine, the owner stays
        `ext:<number>`.
        """
        return self.owner_of_mailbox(*self._mailbox(number))

    def knows(self, number: str) -> bool:
        """Return whether a file names this extension."""
        return number in self.mailboxes or self._mailbox(number) in self.people

    def queue_of(self, number: str) -> str:
        """Return the name of the queue that the number dials, else the number itself."""
        return plain(self.queues.get(number, number), QUEUE_BYTES)

    def _mailbox(self, number: str) -> tuple[str, str]:
        if number in self.mailboxes:
            return self.mailboxes[number]
        having = [context for context, mailbox in self.people if mailbox == number]
        return (having[0] if len(having) == 1 and "default" not in having else "default", number)


def read_directory(folder: Path, *, root: Path | None = None) -> tuple[Directory, list[Problem]]:
    """Return the directory of a configuration folder, and a problem for each file that cannot be read.

    With `root`, a file that is a link to somewhere outside of it cannot be read. FreePBX keeps links in /etc/asterisk.
    """
    problems: list[Problem] = []

    def entries(name: str) -> Iterator[tuple[str, str, str]]:
        return _parsed(_content(folder / name, root, problems))

    directory = Directory(
        people=dict(_people(entries("voicemail.conf"))),
        mailboxes={extension: box for name in _PHONES for extension, box in _mailboxes(entries(name))},
        queues={number: queue for name in _DIALPLANS for number, queue in _queues(entries(name))},
        members=_members(entries("queues.conf")),
    )
    return directory, problems


def _content(path: Path, root: Path | None, problems: list[Problem]) -> bytes:
    if root and not path.resolve().is_relative_to(root.resolve()):
        problems.append(Problem(path.name, "link out of the tree not followed"))
        return b""
    try:
        data = read_head(path, _LIMIT + 1, follow=True)
    except FileNotFoundError:
        return b""
    except OSError:
        problems.append(Problem(path.name, "configuration file cannot be read"))
        return b""
    if len(data) > _LIMIT:
        problems.append(Problem(path.name, "configuration file too long, its end was not read"))
    return data[:_LIMIT]


def _parsed(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of each line."""
    section = ""
    for raw in data.splitlines():
        line = re.split(r"(?<!\\);", text_of(raw), maxsplit=1)[0].replace("\\;", ";").strip()
        if header := _SECTION.match(line):
            section = header[1].strip()
        elif "=" in line:
            key, value = line.split("=", 1)
            yield section, key.strip(), value.removeprefix(">").strip()


def _people(entries: Iterator[tuple[str, str, str]]) -> Iterator[tuple[tuple[str, str], Person]]:
    for context, number, value in entries:
        if context and context not in _NOT_A_CONTEXT:
            _, name, email, *_ = [*map(str.strip, value.split(",")), "", "", ""]
            yield (context, number), Person(plain(name, OWNER_BYTES), _address(email))


def _address(text: str) -> str:
    """Return the first of the addresses, which `|` separates; empty where it is not an address."""
    first = plain(text.split("|", maxsplit=1)[0], OWNER_BYTES)
    return first if _ADDRESS.fullmatch(first) else ""


def _mailboxes(entries: Iterator[tuple[str, str, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    for extension, key, value in entries:
        if key.lower() in {"mailbox", "mailboxes"}:
            number, _, context = value.split(",")[0].strip().partition("@")
            yield extension, (context or "default", number)


def _queues(entries: Iterator[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    number = ""
    for _, key, value in entries:
        if key.lower() != "same":
            number = value.split(",", 1)[0].strip() if key.lower() == "exten" else ""
        if number and (call := _QUEUE_CALL.search(value)):
            yield number, call[1]


def _members(entries: Iterator[tuple[str, str, str]]) -> dict[str, tuple[str, ...]]:
    members: dict[str, tuple[str, ...]] = {}
    for queue, key, value in entries:
        if key.lower() == "member":
            interface = value.split(",")[0].strip()
            members[queue] = (*members.get(queue, ()), endpoint_of(interface))
    return members


def endpoint_of(channel: str) -> str:
    """Return the endpoint in a channel's name: `1001` for `PJSIP/1001-0000002a` and `Local/1001@from-queue-2a;1`."""
    _, _, rest = channel.partition("/")
    rest = rest.split(";")[0].split("@")[0].split("/n")[0]
    return re.sub(r"-[0-9a-f]{1,8}$", "", rest)
