"""What can go wrong in a capture. No text repeats captured bytes or addresses.

    CaptureError
    ├── TicketRefused     the start ticket is unsigned, stale, or asks for what may not be asked
    ├── FilterRefused     the filter cannot be compiled, or libpcap is missing
    ├── SourceUnusable    the interface or the capture file cannot be read
    ├── OrderInvalid      a line on the control pipe is no order
    └── EvidenceLost      nobody takes the evidence any more

The worker turns each of them into one final state; none crosses the pipe as a traceback.
"""


class CaptureError(Exception):
    """The root of everything this package raises on purpose."""


class TicketRefused(CaptureError):
    """The start ticket is unsigned, stale, or asks for what may not be asked. The text names the field."""


class FilterRefused(CaptureError):
    """The filter cannot be compiled, or libpcap is missing."""


class SourceUnusable(CaptureError):
    """The interface or the capture file cannot be read. The text says where."""


class OrderInvalid(CaptureError):
    """A line on the control pipe is no order."""


class EvidenceLost(CaptureError):
    """The pipe for the evidence was closed, or nobody read from it for the length of the lease."""
