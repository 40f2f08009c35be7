"""Warnings at the head of a report: reasons why its figures may be too low."""

from collections.abc import Mapping, Sequence

from linewarden.diagnostics.analysis.model import Omission
from linewarden.diagnostics.analysis.report import CaptureSummary

#: Omissions of every healthy capture, which belong to the counts at the end and not to the head.
_ORDINARY = frozenset(
    {
        *(Omission.FRAME_NOT_IP, Omission.OTHER_PROTOCOL, Omission.RTP_UNPROVEN, Omission.RTCP_UNREADABLE),
        # Named by type, and in a sentence of its own.
        Omission.COPY,
    }
)
#: The most types named in the warning; the table has all.
_MOST_TYPES = 8


def warn_of(
    capture: CaptureSummary,
    omitted: Mapping[Omission, int],
    twice: str = "",
    may_carry_calls: Sequence[tuple[str, int]] = (),
) -> tuple[str, ...]:
    """One sentence for each reason why figures are too low, the losses of the capture itself first.

    `twice` is the sentence about packets captured twice, `may_carry_calls` the types that were not read and may be SIP.
    """
    warnings = [
        f"The capture lost {interface.dropped} packets on {interface.name or 'an interface'}:"
        " the report is incomplete, and media loss may be the capture's own."
        for interface in capture.interfaces
        if interface.dropped
    ]
    warnings += [
        f"The capture was paused on {interface.name or 'an interface'}: packets in between were not lost."
        for interface in capture.interfaces
        if interface.pauses
    ]
    if capture.fault:
        warnings.append(f"The capture could not be read to its end: {capture.fault}.")
    if capture.frames and not any(interface.dropped is not None for interface in capture.interfaces):
        warnings.append("The capture does not say whether it lost packets.")
    warnings += [twice] if twice else []
    if may_carry_calls:
        named = ", ".join(f"{count} of {kind}" for kind, count in may_carry_calls[:_MOST_TYPES])
        more = f", {len(may_carry_calls) - _MOST_TYPES} more types" if len(may_carry_calls) > _MOST_TYPES else ""
        warnings.append(f"Not read, so calls may be missing: {named}{more}.")
    warnings += [
        f"Not used: {count} {kind}." for kind, count in sorted(omitted.items()) if count and kind not in _ORDINARY
    ]
    return tuple(warnings)
