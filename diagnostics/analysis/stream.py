"""One RTP stream: an SSRC from one address to another, measured packet by packet in constant memory."""

from collections import Counter

from linewarden.diagnostics.analysis.jitter import Jitter
from linewarden.diagnostics.analysis.media import Announcement
from linewarden.diagnostics.analysis.model import Datagram
from linewarden.diagnostics.analysis.payload_types import COMFORT_NOISE, EVENT, NOT_SPEECH, STATIC, Codec
from linewarden.diagnostics.analysis.quality import Loss, rate
from linewarden.diagnostics.analysis.rtcp import ReceiverView
from linewarden.diagnostics.analysis.rtp import RtpHeader, SequenceOrder
from linewarden.diagnostics.analysis.stream_report import JitterReport, StreamReport
from linewarden.diagnostics.analysis.timeline import Intervals

#: Packets whose codec is not known yet are kept this long, because media may come before its description.
_MAX_PENDING = 128

_UNNAMED = Codec("", 0)

#: Distances between timestamps that are told apart; a codec has one or two, silence has many.
_MAX_STEPS = 32


class Stream:
    """The running measurement of one stream.

    `copies` counts packets with the identification of one before, `duplicates` those of them that the network made.
    """

    def __init__(self, datagram: Datagram, header: RtpHeader) -> None:
        self.source = datagram.source
        self.destination = datagram.destination
        self.ssrc = header.ssrc
        self.announcement: Announcement | None = None
        self.copies = self.duplicates = 0
        self.first_ns = self.last_ns = datagram.time_ns
        self._order: SequenceOrder | None = None
        self._codecs: dict[int, Codec] = {}
        self._types: Counter[int] = Counter()
        self._wanted: frozenset[int] = frozenset()
        self._steps: Counter[int] = Counter()
        self._other_steps = self._other_step_sum = 0
        self._jitter: Jitter | None = None
        self._pending: list[tuple[int, int]] = []
        self._jitter_reason = ""
        self._last_speech: tuple[int, int] | None = None
        self._last_event = -1
        self._pause_ns = self._markers = self._bytes = self._frame_bytes = 0
        self._intervals = Intervals(datagram.time_ns)
        self._speech_packets = self._comfort = self._event_packets = self._events = 0

    def add(self, datagram: Datagram, header: RtpHeader, announcement: Announcement | None) -> None:
        """Take the next packet in the order of the capture."""
        if self._order is None:
            self._order = SequenceOrder(header.sequence)
            fresh = True
        else:
            restarts = self._order.restarts
            fresh = self._order.add(header.sequence)
            if self._order.restarts > restarts and self._jitter is not None:
                self._jitter.forget()
        self._pause_ns = max(self._pause_ns, datagram.time_ns - self.last_ns)
        self.last_ns = max(self.last_ns, datagram.time_ns)
        if announcement is not None and announcement is not self.announcement:
            self._follow(announcement)
        if fresh:
            self._take(datagram, header)
            self._intervals.add(datagram.time_ns, self._order.reached, self._jitter.current if self._jitter else 0.0)

    def follows(self, sequence: int) -> bool:
        """Tell whether a packet with this number leaves no gap."""
        return self._order is None or self._order.follows(sequence)

    def resume(self, sequence: int, time_ns: int) -> None:
        """Go on with this number at this time after a pause of the sender, which is neither loss nor jitter."""
        if self._order is not None:
            self._order.resume(sequence)
        if self._jitter is not None:
            self._jitter.forget()
        self._last_speech, self.last_ns = None, max(self.last_ns, time_ns)

    def _take(self, datagram: Datagram, header: RtpHeader) -> None:
        kind = header.payload_type
        size = datagram.original_length - header.header_length
        self._types[kind] += 1
        self._bytes += size
        self._markers += header.marker
        codec = self._codec(kind)
        if codec is not None and codec.name in NOT_SPEECH:
            self._take_signal(codec.name, header.timestamp)
            return
        self._speech_packets += 1
        self._frame_bytes = max(self._frame_bytes, size)
        if self._measure_jitter(datagram.time_ns, header, codec):
            self._measure_step(header)
        else:
            self._last_speech = (header.sequence, header.timestamp)

    def _codec(self, kind: int) -> Codec | None:
        codec = self._codecs.get(kind)
        if codec is None:
            named = self.announcement.codecs.get(kind) if self.announcement else None
            codec = named or STATIC.get(kind)
            if codec is not None:
                self._codecs[kind] = codec
        return codec

    def _take_signal(self, name: str, timestamp: int) -> None:
        if name == COMFORT_NOISE:
            self._comfort += 1
        elif name == EVENT:
            self._event_packets += 1
            self._events += timestamp != self._last_event
            self._last_event = timestamp

    def _measure_step(self, header: RtpHeader) -> None:
        before, self._last_speech = self._last_speech, (header.sequence, header.timestamp)
        if before is None or (header.sequence - before[0]) & 0xFFFF != 1:
            return
        step = (header.timestamp - before[1]) & 0xFFFFFFFF
        if step in self._steps or len(self._steps) < _MAX_STEPS:
            self._steps[step] += 1
        else:
            self._other_steps += 1
            self._other_step_sum += step

    def _measure_jitter(self, time_ns: int, header: RtpHeader, codec: Codec | None) -> bool:
        """Feed the estimate. Return whether the timestamp continues those before, as far as can be told."""
        if codec is None:
            if len(self._pending) < _MAX_PENDING:
                self._pending.append((time_ns, header.timestamp))
            else:
                self._jitter_reason = "the clock rate was announced too late or never"
            return True
        if self._jitter is None and not self._jitter_reason:
            self._start_jitter(codec)
        if self._jitter is None:
            return True
        if self._jitter.clock != codec.clock:
            self._jitter, self._jitter_reason = None, "the clock rate changed"
            return True
        late = self._last_speech is not None and (header.sequence - self._last_speech[0]) & 0xFFFF > 1 << 15
        return self._jitter.add(time_ns, header.timestamp, late=late)

    def _start_jitter(self, codec: Codec) -> None:
        self._jitter = Jitter(codec.clock)
        for time_ns, timestamp in self._pending:
            self._jitter.add(time_ns, timestamp)
        self._pending.clear()

    def report(
        self,
        announcement: Announcement | None,
        receiver: ReceiverView | None,
        capture_lost: bool,
        named: frozenset[int] | None = None,
    ) -> StreamReport:
        """The measurement; `announcement` is what is known of the addresses at the end.

        `named` are the payload types of both ends; None where one of them announced nothing.
        """
        order = self._order or SequenceOrder(0)
        order.close()
        if self.announcement is None:
            self._follow(announcement)
        codec = self._main_codec()
        if self._pending and codec is not None and self._jitter is None and not self._jitter_reason:
            self._start_jitter(codec)
        loss = Loss(order.received + order.lost, order.lost, order.bursts)
        known = self.announcement
        frame = self._frame_ms(codec)
        silences, silent = self._silence(codec)
        return StreamReport(
            source=self.source,
            destination=self.destination,
            ssrc=self.ssrc,
            call_id=known.call_id if known else "",
            announced=known is not None,
            encrypted=known.encrypted if known else False,
            codec=codec.name if codec else None,
            clock=codec.clock if codec else None,
            payload_types=tuple(sorted(self._types.items())),
            unasked_types=self._unasked(self._wanted),
            unnamed_types=self._unasked(named | self._wanted) if named is not None else (),
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            packets=order.received + order.duplicates + self.duplicates,
            payload_bytes=self._bytes,
            expected=loss.expected,
            lost=loss.lost,
            lost_percent=round(loss.percent, 2),
            bursts=order.bursts,
            longest_burst=order.longest_burst,
            duplicates=order.duplicates + self.duplicates,
            out_of_order=order.late,
            restarts=order.restarts,
            timestamp_restarts=self._jitter.restarts if self._jitter else 0,
            strays=order.strays,
            longest_pause_ms=round(self._pause_ns / 1e6, 3),
            markers=self._markers,
            frame_ms=frame,
            talk_ms=None if frame is None else round(frame * self._speech_packets, 3),
            silences=silences,
            silent_ms=silent,
            comfort_noise=self._comfort,
            event_packets=self._event_packets,
            events=self._events,
            jitter=self._jitter_report(),
            jitter_reason="" if self._jitter else self._jitter_reason or "the clock rate is not known",
            receiver=receiver,
            quality=rate(codec.name if codec else None, loss, self._frame_bytes, capture_lost=capture_lost),
            timeline=self._intervals.timeline(
                codec.name if codec and not capture_lost else None, 1000 / self._jitter.clock if self._jitter else None
            ),
        )

    def _follow(self, announcement: Announcement | None) -> None:
        self.announcement = announcement
        if announcement is not None and announcement.at == self.destination:
            self._wanted |= announcement.formats

    def _unasked(self, wanted: frozenset[int]) -> tuple[int, ...]:
        # Comfort noise is sent unasked by many devices, and does no harm.
        kinds = sorted(self._types.keys() - wanted) if self._wanted else []
        return tuple(kind for kind in kinds if STATIC.get(kind, _UNNAMED).name != COMFORT_NOISE)

    def _main_codec(self) -> Codec | None:
        """The codec of most packets that carry speech."""
        for kind, _ in self._types.most_common():
            codec = self._codec(kind)
            if codec is None or codec.name not in NOT_SPEECH:
                return codec
        return None

    def _frame_step(self) -> int | None:
        return self._steps.most_common(1)[0][0] if self._steps else None

    def _frame_ms(self, codec: Codec | None) -> float | None:
        step = self._frame_step()
        return None if codec is None or step is None else round(step * 1000 / codec.clock, 3)

    def _silence(self, codec: Codec | None) -> tuple[int | None, float | None]:
        """Pauses longer than one and a half frames, and the time in them beyond the frame."""
        step = self._frame_step()
        if codec is None or step is None:
            return None, None
        # A step beyond half the range is a timestamp that ran back, and no pause.
        long = {units: count for units, count in self._steps.items() if step * 1.5 < units < 1 << 31}
        count = sum(long.values()) + self._other_steps
        units = sum(units * times for units, times in long.items()) + self._other_step_sum - step * count
        return count, round(max(0, units) * 1000 / codec.clock, 3)

    def _jitter_report(self) -> JitterReport | None:
        jitter = self._jitter
        if jitter is None:
            return None
        values = (jitter.current, jitter.mean, jitter.highest)
        last, mean, highest = (round(jitter.milliseconds(value), 3) for value in values)
        return JitterReport(last, mean, highest)
