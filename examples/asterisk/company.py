"""Acme, a company of seven with two queues: its people, and the configuration files its Asterisk has for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person with an extension and a mailbox of the same number. Without e-mail: a place, such as a reception."""

    extension: str
    name: str
    email: str


PEOPLE = (
    Colleague("1001", "Alice Adams", "alice@acme.example"),
    Colleague("1002", "Bob Brown", "bob@acme.example"),
    Colleague("1003", "Carol Chen", "carol@acme.example"),
    Colleague("1004", "Chloë Müller-Ørsted", "chloe@acme.example"),
    Colleague("1005", "Dave O'Neil", "dave@acme.example"),
    Colleague("1006", "Priya Nair", "priya@acme.example"),
    Colleague("1099", "Reception", ""),
)
QUEUES = {"600": ("sales", ("1002", "1003")), "601": ("support", ("1004", "1005"))}
DID = "15550100"
FAX_EXTENSION = "1006"


def configuration() -> dict[str, str]:
    """Return the text of each configuration file by name."""
    return {
        "voicemail.conf": _voicemail(),
        "pjsip.conf": "".join(_endpoint(person) for person in PEOPLE),
        "queues.conf": _queues(),
        "extensions.conf": _dialplan(),
    }


def _voicemail() -> str:
    lines = [f"{p.extension} => {4000 + i * 37},{p.name},{p.email},,tz=utc|attach=no" for i, p in enumerate(PEOPLE)]
    return "\n".join(
        [
            "[general]",
            "format=wav",
            "maxmsg=100 ; per folder",
            "",
            "[zonemessages]",
            "utc=UTC|'vm-received' R",
            "",
            "[default]",
            *lines,
            "",
        ]
    )


def _endpoint(person: Colleague) -> str:
    return (
        f"[{person.extension}]\ntype=endpoint\ncontext=from-internal\ndisallow=all\nallow=alaw\n"
        f'callerid="{person.name}" <{person.extension}>\nmailboxes={person.extension}@default\n\n'
    )


def _queues() -> str:
    text = "[general]\npersistentmembers = yes\n\n"
    for name, members in QUEUES.values():
        text += f"[{name}]\nstrategy = ringall\n" + "".join(f"member => PJSIP/{one}\n" for one in members) + "\n"
    return text


def _dialplan() -> str:
    text = "[from-internal]\n"
    for number, (name, _) in QUEUES.items():
        text += f"exten => {number},1,Answer()\n same => n,Queue({name},t,,,60)\n same => n,Hangup()\n"
    return text + "exten => _1XXX,1,Dial(PJSIP/${EXTEN},20)\n same => n,VoiceMail(${EXTEN}@default,u)\n"
