"""Masking of captured frames before they are stored. Every stored frame has passed `Masker.mask`.

The content of a frame selects the rules, and the profile decides how much of it is kept. Most packets of a capture are
RTP over Ethernet and IPv4, so these have a fast path. It must not keep more than the general path.
"""

from collections import OrderedDict
from typing import NamedTuple

from linewarden.diagnostics.packets.dialogs import Dialogs
from linewarden.diagnostics.packets.dissect import (
    ICMP,
    ICMP6,
    LINKTYPE_ETHERNET,
    TCP,
    UDP,
    Cut,
    Packet,
    find_packet,
    header_end,
    quoted_packet,
    without_checksum,
)
from linewarden.diagnostics.packets.media import (
    RTP_HEADER,
    MediaStreams,
    is_dtls,
    is_stun,
    looks_like_rtp,
    rtcp_header_length,
)
from linewarden.diagnostics.packets.model import UNPARSED, Profile, Rule, Selector
from linewarden.diagnostics.packets.overwrite import covered
from linewarden.diagnostics.packets.sip import Message, mask_message, parse_message, session, starts_message
from linewarden.diagnostics.packets.streams import SipStreams

_MAX_FRAGMENTED = 1_024
_ICMP_ERRORS = {ICMP: frozenset({3, 4, 5, 11, 12}), ICMP6: frozenset({1, 2, 3, 4})}
_QUOTED_PORTS = 8
_SYN_OR_RST = 0x06
_KEEPALIVE = b"\r\n\0"


class _Kept(NamedTuple):
    """The kept bytes of a frame or payload, the applied rules, and whether it belongs to a selected call."""

    data: bytes
    rules: frozenset[Rule]
    selected: bool


_NOTHING: frozenset[Rule] = frozenset()
#: A constant, because access to an enumeration member takes as long as the look-up of a stream.
_RTP_PAYLOAD = Rule.RTP_PAYLOAD


class Masker:
    """Masks the frames of one capture, in order. `rules` counts the packets for each rule."""

    def __init__(self, profile: Profile, selector: Selector, snaplen: int) -> None:
        """`snaplen` is the maximum number of kept bytes of a masked frame."""
        self.rules: dict[Rule, int] = {}
        self.unparsed = 0
        self._profile = profile
        self._snaplen = snaplen
        self._dialogs = Dialogs(selector)
        self._media = MediaStreams()
        self._streams = SipStreams(self._select)
        self._fragmented: OrderedDict[bytes, bool] = OrderedDict()
        self._short_cut = profile is Profile.SIGNALLING and not selector.by_dialog and snaplen >= 54
        self._blind = profile is not Profile.SIGNALLING and not selector.by_dialog

    def mask(self, link_type: int, data: bytes) -> bytes | None:
        """Return the bytes of a frame that may be stored; None if it belongs to no selected call."""
        if (
            self._short_cut
            and link_type == LINKTYPE_ETHERNET
            and data[12:15] == b"\x08\x00\x45"
            and len(data) >= 54
            and data[23] == UDP
            and data[42] >> 6 == 2
            and not data[20] & 0x3F
            and not data[21]
            and data[39] >= 20
            and data[17] >= 40
            and not 192 <= data[43] <= 223
            and self._media.follows(data[26:38], header := data[42:54])
        ):
            self.rules[_RTP_PAYLOAD] = self.rules.get(_RTP_PAYLOAD, 0) + 1
            return data[:40] + b"\0\0" + header
        return self._mask(link_type, data)

    def _mask(self, link_type: int, data: bytes) -> bytes | None:
        found = find_packet(link_type, data)
        kept = self._cut(found, data) if isinstance(found, Cut) else self._packet(found, data)
        if not kept.selected:
            return None
        self._count(kept.rules)
        if len(kept.data) > self._snaplen:
            self._count(frozenset({Rule.SNAPLEN}))
        return kept.data[: self._snaplen]

    def _count(self, rules: frozenset[Rule]) -> None:
        for rule in rules:
            self.rules[rule] = self.rules.get(rule, 0) + 1
        self.unparsed += not UNPARSED.isdisjoint(rules)

    def _cut(self, cut: Cut, data: bytes) -> _Kept:
        if self._profile is Profile.MEDIA:
            return _Kept(data, _NOTHING, self._dialogs.takes_all)
        rule = Rule.MALFORMED if cut.malformed else Rule.NOT_IP
        return _Kept(data[: cut.at], frozenset({rule}), self._dialogs.takes_all)

    def _packet(self, packet: Packet, data: bytes) -> _Kept:
        at = header_end(packet, data)
        if isinstance(at, Cut):
            return self._cut(at, data)
        if self._blind:
            return self._by_profile(packet, data, at, selected=True)
        payload = self._payload(packet, data, at)
        if self._profile is not Profile.SIGNALLING:
            return self._by_profile(packet, data, at, selected=payload.selected)
        rules, end = payload.rules, at + len(payload.data)
        whole = not (rules or packet.clipped or packet.datagram) and payload.data == data[at : packet.end]
        header = data[:at] if whole else without_checksum(packet, data, at)
        return _Kept(
            header + payload.data,
            rules if rules or end == len(data) else frozenset({Rule.TRAILER}),
            payload.selected,
        )

    def _by_profile(self, packet: Packet, data: bytes, at: int, *, selected: bool) -> _Kept:
        if self._profile is Profile.MEDIA:
            return _Kept(data, _NOTHING, selected)
        rules = frozenset({Rule.BY_PROFILE}) if at < len(data) else _NOTHING
        return _Kept(without_checksum(packet, data, at), rules, selected)

    def _payload(self, packet: Packet, data: bytes, at: int) -> _Kept:
        if not packet.first:
            return self._later_fragment(packet)
        if packet.protocol == UDP:
            return self._udp(packet, data, at)
        if packet.protocol == TCP:
            return self._tcp(packet, data, at)
        if packet.protocol in _ICMP_ERRORS:
            return self._icmp(packet, data, at)
        return self._dropped(Rule.OTHER_TRANSPORT) if at < packet.end else self._dropped()

    def _dropped(self, *rules: Rule) -> _Kept:
        return _Kept(b"", frozenset(rules), self._dialogs.takes_all)

    def _later_fragment(self, packet: Packet) -> _Kept:
        """Keep the length of later fragments of a SIP message, so that a reader can reassemble the message."""
        selected = self._fragmented.get(packet.datagram)
        if selected is None:
            return self._dropped(Rule.FRAGMENT)
        return _Kept(covered(packet.end - packet.transport), frozenset({Rule.FRAGMENT}), selected)

    def _icmp(self, packet: Packet, data: bytes, at: int) -> _Kept:
        if at >= packet.end:
            return self._dropped()
        kept = b""
        if data[packet.transport] in _ICMP_ERRORS[packet.protocol]:
            quoted = quoted_packet(data[: packet.end], at)
            if isinstance(quoted, Packet) and quoted.first and quoted.protocol in {UDP, TCP}:
                end = min(quoted.transport + _QUOTED_PORTS, packet.end)
                kept = without_checksum(quoted, data, end)[at:]
        return self._dropped(Rule.ICMP_QUOTE if kept else Rule.OTHER_TRANSPORT)._replace(data=kept)

    def _udp(self, packet: Packet, data: bytes, at: int) -> _Kept:
        stated = int.from_bytes(data[at - 4 : at - 2], "big")
        end = min(packet.end, packet.transport + stated) if stated else packet.end
        payload = data[at:end]
        if starts_message(payload):
            whole = stated != 0 and packet.transport + stated <= packet.end
            return self._sip(packet, payload, finished=whole)
        ports = data[at - 8 : at - 4]
        kept, rule = self._datagram(packet, payload, ports)
        rules = _NOTHING if rule is None else frozenset({rule})
        selected = self._dialogs.takes_media(packet.source + ports[:2], packet.destination + ports[2:])
        return _Kept(payload[:kept], rules, selected)

    def _sip(self, packet: Packet, payload: bytes, *, finished: bool) -> _Kept:
        message = parse_message(payload)
        if message is None:
            return self._dropped(Rule.UDP_OTHER)
        selected = self._select(message, finished)
        if packet.datagram:
            self._fragmented[packet.datagram] = selected
            if len(self._fragmented) > _MAX_FRAGMENTED:
                self._fragmented.popitem(last=False)
        masked = mask_message(message, finished=finished)
        return _Kept(masked.data, masked.rules, selected)

    def _select(self, message: Message, finished: bool) -> bool:
        if finished:
            self._media.announce(session(message))
        return self._dialogs.takes(message, finished=finished)

    def _datagram(self, packet: Packet, payload: bytes, ports: bytes) -> tuple[int, Rule | None]:
        """Return how many bytes of a datagram other than SIP may be kept, and the rule that removes the rest."""
        if len(payload) <= 4 and not payload.strip(_KEEPALIVE):
            return len(payload), None
        path = packet.source + packet.destination + ports
        if looks_like_rtp(payload) and self._media.follows(path, payload):
            return RTP_HEADER, Rule.RTP_PAYLOAD
        if self._media.no_rtp(packet.source + ports[:2]) or self._media.no_rtp(packet.destination + ports[2:]):
            return 0, Rule.T38
        if looks_like_rtp(payload):
            self._media.begin(path, payload)
            return 0, Rule.RTP_UNPROVEN
        reports = rtcp_header_length(payload)
        return reports, Rule.RTCP_PAYLOAD if reports else _foreign(payload)

    def _tcp(self, packet: Packet, data: bytes, at: int) -> _Kept:
        start = packet.transport
        path = packet.source + packet.destination + data[start : start + 4]
        if data[start + 13] & _SYN_OR_RST:
            self._streams.forget(path)
        payload = data[at : packet.end]
        if not payload:
            return self._dropped()
        segment = self._streams.mask(path, int.from_bytes(data[start + 4 : start + 8], "big"), payload)
        if segment is None:
            return self._dropped(Rule.TCP_OTHER)
        return _Kept(segment.data, segment.rules, segment.selected or self._dialogs.takes_all)


def _foreign(payload: bytes) -> Rule:
    """Return the rule for a datagram of which no byte is kept."""
    if is_stun(payload):
        return Rule.STUN
    return Rule.DTLS if is_dtls(payload) else Rule.UDP_OTHER
