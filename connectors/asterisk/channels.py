"""Addresses in the names of channels and in the arguments of dialplan applications.

The channel of an extension is an authenticated phone, so that its name is a fact. A channel whose name does not look
like an extension is a trunk. A Local channel only says who was dialled, because another phone may have answered.
"""

import re

from linewarden.connectors.model import address

_SUFFIX = re.compile(r"-[0-9a-f]{1,8}$")
_EXTENSION = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*[-_])?\d{2,6}")
_DIALLED = re.compile(r"(?:PJSIP|SIP|IAX2|SCCP|Local)/([^@&,|/]+)")
_TELEPHONE = re.compile(r"\+?\d{7,15}|\+\d{3,15}")
_PUNCTUATION = str.maketrans("", "", " .()-/")


def endpoint(channel: str) -> str:
    """Return the endpoint in a channel's name: `1001` for `PJSIP/1001-0000002a`."""
    _, _, rest = channel.partition("/")
    return _SUFFIX.sub("", rest.split(";")[0].split("@")[0])


def phone(channel: str, shown: str = "") -> str:
    """Return the address of the phone behind a channel; empty for a trunk, a Local channel or no channel.

    `shown` is the number that the record gives for this channel. Where it is an extension other than the endpoint, a
    person has logged in at a device of another number, and the address is that of the device.
    """
    name = endpoint(channel)
    if channel.startswith("Agent/"):
        return address("agent", name)
    if is_local(channel) or not _EXTENSION.fullmatch(name):
        return ""
    number = re.split(r"[-_]", name)[-1]
    is_hot_desk = bool(shown) and shown != number and _EXTENSION.fullmatch(shown) is not None
    return address("device" if is_hot_desk else "ext", name)


def is_local(channel: str) -> bool:
    """Return whether a channel is a Local channel."""
    return channel.startswith("Local/")


def telephone(number: str) -> str:
    """Return the address of a telephone number; empty for anything as short as an extension."""
    shrunk = number.translate(_PUNCTUATION)
    return address("tel", shrunk) if shrunk.isascii() and _TELEPHONE.fullmatch(shrunk) else ""


def dialled(arguments: str) -> list[str]:
    """Return the extensions that the arguments of Dial name."""
    names = (match[1] for match in _DIALLED.finditer(re.split(r"[,|]", arguments)[0]))
    return [address("ext", name.removeprefix("FMPR-").removeprefix("FMGL-")) for name in names if _is_phone(name)]


def mailboxes(arguments: str) -> list[str]:
    """Return the mailboxes in the arguments of VoiceMail: `1002@office&1003,u`, or `1002|u` of old dialplans."""
    names = re.split(r"[,|]", arguments)[0].split("&")
    parts = (name.strip().partition("@") for name in names)
    return [address("mailbox", f"{number}@{context or 'default'}") for number, _, context in parts if number]


def _is_phone(name: str) -> bool:
    return _EXTENSION.fullmatch(name.removeprefix("FMPR-").removeprefix("FMGL-")) is not None
