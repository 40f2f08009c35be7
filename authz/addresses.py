"""Addresses of a telephone system: the kinds, and the one spelling of each address that is stored and compared.

    ext:1001, ext:1001@CONTEXT     an extension, with or without its context
    mailbox:1001@CONTEXT           a mailbox; the context is `default` if there is no other
    tel:+4930123456                a telephone number in E.164, also of a direct dial-in
    sip:user@host                  a SIP address of record (RFC 3261, section 10.3), without parameters
    device:9001                    a device of a hot desk
    agent:1001                     the login of an agent

Two addresses are the same only if their canonical texts are: `ext:1001` is not `ext:1001@internal`. Telephone numbers
are the exception to plain texts. A number can be spelled in many ways, and a national number needs a region.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

import phonenumbers

from linewarden.authz.errors import AddressInvalid

#: Most bytes of an address in UTF-8, before and after it is brought into its canonical form.
MAX_ADDRESS_BYTES = 256

#: Addresses whose canonical texts a process remembers, because parsing a number takes forty microseconds.
_REMEMBERED = 8_192

_PLAIN = re.compile(r"[^\s@]+")
_WITH_CONTEXT = re.compile(r"[^\s@]+(?:@[^\s@]+)?")
#: Some countries have longer numbers than the fifteen digits of E.164.
_E164 = re.compile(r"\+[1-9][0-9]{3,19}")
_SIP = re.compile(r"(?:(?P<user>[^\s@:]+)(?::[^\s@]*)?@)?(?P<host>[^\s@;?]+)(?:[;?]\S*)?")

_FORMS = "ext:1001@CONTEXT, mailbox:1001@CONTEXT, tel:+4930123456, sip:user@host, device:9001 or agent:1001"


class AddressKind(StrEnum):
    """The kind of an address: the word before its colon."""

    EXT = "ext"
    MAILBOX = "mailbox"
    TEL = "tel"
    SIP = "sip"
    DEVICE = "device"
    AGENT = "agent"


@lru_cache(_REMEMBERED)
def canonical_address(text: str, region: str = "") -> str:
    """Return the canonical text of an address.

    `region` is the ISO 3166 code, such as `DE`, of the country whose national numbers have no country code. Without a
    region, a number must begin with `+` and its country code, and one in E.164 is not compared with numbering plans.

    Raises:
        AddressInvalid: the text is no address. The message never quotes it, because a number is personal.
    """
    kind, colon, value = text.strip().partition(":")
    if not colon or kind.lower() not in _CANONICAL:
        raise AddressInvalid(f"the address is of no known kind: write {_FORMS}")
    known = AddressKind(kind.lower())
    if not value.isprintable() or len(text.encode(errors="surrogatepass")) > MAX_ADDRESS_BYTES:
        raise AddressInvalid(f"the address has a control character or more than {MAX_ADDRESS_BYTES} bytes: correct it")
    address = f"{known}:{_CANONICAL[known](value.strip(), region)}"
    if len(address.encode(errors="surrogatepass")) > MAX_ADDRESS_BYTES:
        raise AddressInvalid(f"the canonical text of the address has more than {MAX_ADDRESS_BYTES} bytes: shorten it")
    return address


def check_region(region: str) -> None:
    """Refuse a region of which no numbers are known.

    Raises:
        AddressInvalid: the text is not the ISO 3166 code of a region, in capital letters.
    """
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise AddressInvalid("the region is unknown: write the two capital letters of ISO 3166, such as DE")


def _plain(value: str, _region: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise AddressInvalid("the address is empty, or has a blank or @ in it: write device:9001 or agent:1001")
    return value


def _extension(value: str, _region: str) -> str:
    if not _WITH_CONTEXT.fullmatch(value):
        raise AddressInvalid("the extension is invalid: write ext:1001 or ext:1001@CONTEXT, without blanks")
    return value


def _mailbox(value: str, _region: str) -> str:
    if not _WITH_CONTEXT.fullmatch(value):
        raise AddressInvalid("the mailbox is invalid: write mailbox:1001 or mailbox:1001@CONTEXT, without blanks")
    return value if "@" in value else f"{value}@default"


def _sip(value: str, _region: str) -> str:
    match = _SIP.fullmatch(value)
    if match is None:
        raise AddressInvalid("the SIP address is invalid: write sip:user@host, without blanks")
    host = match["host"].lower()
    return f"{match['user']}@{host}" if match["user"] else host


def _telephone(value: str, region: str) -> str:
    # A stored number must stay what it is, whichever numbering plans the installed version of the library knows.
    if not region and _E164.fullmatch(value):
        return value
    try:
        number = phonenumbers.parse(value, region or None)
    except phonenumbers.NumberParseException as wrong:
        raise AddressInvalid(
            "the telephone number is invalid, or has no country code and no region is set: write tel:+4930123456"
        ) from wrong
    if (
        number.extension
        or phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE
    ):
        raise AddressInvalid("the telephone number has an extension or a wrong length: write tel:+4930123456")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


_CANONICAL: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        AddressKind.EXT: _extension,
        AddressKind.MAILBOX: _mailbox,
        AddressKind.TEL: _telephone,
        AddressKind.SIP: _sip,
        AddressKind.DEVICE: _plain,
        AddressKind.AGENT: _plain,
    }
)
