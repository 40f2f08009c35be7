"""From frames to a report: each frame goes through the layers once, dialogs are followed at the end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from linewarden.diagnostics.analysis import hep, unread
from linewarden.diagnostics.analysis.arrows import Arrow, Ladder
from linewarden.diagnostics.analysis.calls import follow_call, is_call
from linewarden.diagnostics.analysis.caveats import warn_of
from linewarden.diagnostics.analysis.decapsulation import Arrived, Decapsulation
from linewarden.diagnostics.analysis.dialogs import Dialog, group
from linewarden.diagnostics.analysis.hints import find_hints
from linewarden.diagnostics.analysis.media import Announcements
from linewarden.diagnostics.analysis.model import (
    CaptureSource,
    Datagram,
    Endpoint,
    Frame,
    InterfaceCount,
    Limits,
    Omission,
    SipTransport,
)
from linewarden.diagnostics.analysis.network import UDP, IpPacket, packed, read_tcp, read_udp
from linewarden.diagnostics.analysis.registrations import follow_probes, follow_registration, follow_subscription
from linewarden.diagnostics.analysis.report import CaptureSummary, Report
from linewarden.diagnostics.analysis.sip import SipMessage, looks_like_sip, read_message
from linewarden.diagnostics.analysis.streams import RtpStreams
from linewarden.diagnostics.analysis.tcp import SipStreams
from linewarden.diagnostics.analysis.unread import Unread
from linewarden.diagnostics.analysis.voice_reports import VoiceReport


def analyse(source: CaptureSource, limits: Limits | None = None) -> Report:
    """The report of a whole capture. What `source` raises passes through."""
    analyser = Analyser(limits or Limits())
    for frame in source:
        analyser.add(frame)
    return analyser.finish(source.interface_counts(), source.fault())


class Analyser:
    """An analysis under way. Feed it frames in the order of the capture, then call `finish` once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._omitted: Counter[Omission] = Counter()
        self._unread = Unread()
        self._layers = Decapsulation(limits.fragmented, self._omitted, self._unread)
        self._tcp = SipStreams(limits.tcp_streams, self._omitted, self._unread)
        self._announcements = Announcements(limits.announcements, self._omitted)
        self._streams = RtpStreams(limits, self._announcements, self._omitted)
        self._messages: list[SipMessage] = []
        self._voice: list[VoiceReport] = []
        self._described = 0
        self._frames = self._cut = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        self._frames += 1
        self._cut += len(frame.data) < frame.original_length
        if self._first_ns is None or self._last_ns is None:
            self._first_ns = self._last_ns = frame.time_ns
        self._first_ns = min(self._first_ns, frame.time_ns)
        self._last_ns = max(self._last_ns, frame.time_ns)
        for arrived in self._layers.read(frame):
            self._packet(arrived)

    def finish(self, interfaces: Sequence[InterfaceCount], fault: str = "") -> Report:
        """The report of what was fed; the arguments are what a CaptureSource says at its end."""
        for arrived in self._layers.rest():
            self._packet(arrived)
        self._keep_all(self._tcp.rest())
        capture = CaptureSummary(self._frames, self._cut, self._first_ns, self._last_ns, tuple(interfaces), fault)
        dialogs = group(self._messages, self._limits, self._omitted)
        streams = self._streams.reports(capture.has_holes, self._captured_twice)
        ladders = tuple(self._ladder(dialog, capture.dropped) for dialog in dialogs)
        calls = tuple(follow_call(dialog) for dialog in dialogs if is_call(dialog))
        registrations = tuple(filter(None, map(follow_registration, dialogs)))
        requests = Counter(message.method for message in self._messages if message.is_request)
        responses = Counter(message.status for message in self._messages if not message.is_request)
        ordered = sorted(self._messages, key=lambda message: message.time_ns)
        return Report(
            warnings=warn_of(capture, self._omitted, self._layers.copies.warning(), self._unread.may_carry_calls()),
            capture=capture,
            findings=find_hints(
                calls,
                registrations,
                streams,
                ladders,
                {call.call_id: self._announcements.fax_phases(call.call_id) for call in calls},
                self._voice,
                has_holes=capture.has_holes,
            ),
            calls=calls,
            registrations=registrations,
            subscriptions=tuple(filter(None, map(follow_subscription, dialogs))),
            probes=follow_probes(ordered),
            streams=streams,
            voice_reports=tuple(self._voice),
            ladders=ladders,
            sip_requests=tuple(sorted(requests.items())),
            sip_responses=tuple(sorted(responses.items())),
            sip_resent=sum(len(dialog.resent) for dialog in dialogs),
            unread=self._unread.counts(),
            omitted=tuple(sorted((kind, count) for kind, count in self._omitted.items() if count)),
        )

    def _captured_twice(self, source: Endpoint, destination: Endpoint) -> bool:
        return self._layers.copies.twice(packed(source.address), packed(destination.address))

    def _packet(self, arrived: Arrived) -> None:
        time_ns, packet = arrived.time_ns, arrived.packet
        if packet.protocol == UDP:
            self._udp(time_ns, packet, copy=arrived.copy)
            return
        segment = read_tcp(packet)
        if segment is None:
            self._omitted[Omission.PACKET_UNREADABLE] += 1
        else:
            self._keep_all(self._tcp.add(segment, time_ns))

    def _udp(self, time_ns: int, packet: IpPacket, *, copy: bool) -> None:
        read = read_udp(packet)
        if read is None:
            self._omitted[Omission.PACKET_UNREADABLE] += not copy
            return
        datagram = Datagram(time_ns, *read)
        if copy:
            self._streams.add_copy(datagram)
        else:
            self._datagram(datagram)

    def _datagram(self, datagram: Datagram) -> None:
        if looks_like_sip(datagram.data):
            self._keep(datagram, SipTransport.UDP)
        elif datagram.data.startswith(hep.MAGIC):
            self._hep(datagram)
        elif datagram.original_length and not datagram.data:
            # A fax that masking cut is still known by its addresses.
            self._omitted[Omission.PAYLOAD_CUT] += not self._streams.take_fax(datagram)
        elif not self._streams.add(datagram):
            self._omitted[Omission.OTHER_PROTOCOL] += 1
            self._unread.count(unread.udp(datagram.source.port, datagram.destination.port, datagram.data))

    def _hep(self, datagram: Datagram) -> None:
        """Take what a capture agent saw, with its time and its addresses."""
        message = hep.read_hep(datagram.data, datagram.time_ns)
        if message is None:
            self._omitted[Omission.PACKET_UNREADABLE] += 1
        elif message.kind == hep.SIP:
            self._keep(message.datagram, SipTransport.TCP if message.protocol == hep.TCP else SipTransport.UDP)
        elif message.kind == hep.RTP:
            self._datagram(message.datagram)
        else:
            self._omitted[Omission.OTHER_PROTOCOL] += 1
            self._unread.count(hep.kind_name(message.kind))

    def _keep_all(self, datagrams: Sequence[Datagram]) -> None:
        for datagram in datagrams:
            if datagram.data.startswith(hep.MAGIC):
                self._hep(datagram)
            else:
                self._keep(datagram, SipTransport.TCP)

    def _keep(self, datagram: Datagram, transport: SipTransport) -> None:
        if len(self._messages) >= self._limits.messages:
            self._omitted[Omission.SIP_OVER_LIMIT] += 1
            return
        message = read_message(datagram, transport)
        if message is None:
            self._omitted[Omission.SIP_UNREADABLE] += 1
            return
        self._omitted[Omission.SIP_CUT] += message.cut
        self._announcements.learn(message)
        if message.voice:
            self._keep_voice(message.voice)
            message = replace(message, voice=())
        self._messages.append(self._without_media(message) if message.media else message)

    def _keep_voice(self, reports: Sequence[VoiceReport]) -> None:
        room = self._limits.voice_reports - len(self._voice)
        self._voice += reports[:room]
        self._omitted[Omission.VOICE_OVER_LIMIT] += max(0, len(reports) - room)

    def _without_media(self, message: SipMessage) -> SipMessage:
        """Drop the descriptions of a message, its largest part: only the summaries in `sessions` are used later."""
        self._described += 1
        if self._described > self._limits.sessions:
            self._omitted[Omission.SESSION_OVER_LIMIT] += 1
            return replace(message, media=(), sessions=())
        return replace(message, media=())

    def _ladder(self, dialog: Dialog, dropped: int) -> Ladder:
        shown = dialog.messages[: self._limits.messages_per_ladder]
        left_out = len(dialog.messages) - len(shown)
        self._omitted[Omission.LADDER_OVER_LIMIT] += left_out
        arrows = tuple(_arrow(message, at in dialog.resent) for at, message in enumerate(shown))
        return Ladder(dialog.call_id, arrows, left_out, dropped)


def _arrow(message: SipMessage, resent: bool) -> Arrow:
    return Arrow(
        time_ns=message.time_ns,
        source=message.source,
        destination=message.destination,
        label=message.label,
        transport=message.transport,
        resent=resent,
        description=message.described,
        is_request=message.is_request,
        sessions=message.sessions,
    )
