"""Messages put together by Call-ID, in the order of time, without those that were only sent again."""

from collections import Counter
from collections.abc import Iterable

from linewarden.diagnostics.analysis.model import Endpoint, Limits, Omission
from linewarden.diagnostics.analysis.sip import SipMessage

_Mark = tuple[Endpoint, Endpoint, str, int, int, str, str, str, int]


class Dialog:
    """All messages of one Call-ID: `messages` as they came, `resent` the places of repetitions among them."""

    __slots__ = ("_seen", "call_id", "messages", "resent")

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.messages: list[SipMessage] = []
        self.resent: set[int] = set()
        self._seen: set[_Mark] = set()

    def add(self, message: SipMessage) -> None:
        """Take the next message in time."""
        mark = _mark(message)
        if mark in self._seen:
            self.resent.add(len(self.messages))
        self._seen.add(mark)
        self.messages.append(message)

    def distinct(self) -> list[SipMessage]:
        """The messages without repetitions."""
        return [message for at, message in enumerate(self.messages) if at not in self.resent]

    def methods(self) -> set[str]:
        """The methods asked for or answered."""
        return {message.method for message in self.messages}


def group(messages: Iterable[SipMessage], limits: Limits, omitted: Counter[Omission]) -> list[Dialog]:
    """The dialogs in the order of their first messages, at most `limits.dialogs`."""
    dialogs: dict[str, Dialog] = {}
    for message in sorted(messages, key=lambda each: each.time_ns):
        dialog = dialogs.get(message.call_id)
        if dialog is None:
            if len(dialogs) >= limits.dialogs:
                omitted[Omission.DIALOG_OVER_LIMIT] += 1
                continue
            dialog = dialogs[message.call_id] = Dialog(message.call_id)
        dialog.add(message)
    return list(dialogs.values())


def _mark(message: SipMessage) -> _Mark:
    """The parts that a retransmission shares with its original (RFC 3261 section 17), on one hop.

    A reliable provisional response has a number of its own (RFC 3262), and a new body makes a new message.
    """
    return (
        message.source,
        message.destination,
        message.method,
        message.status,
        message.cseq,
        message.branch,
        message.to_tag,
        message.rseq,
        message.body_mark,
    )
