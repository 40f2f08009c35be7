"""Errors of a capture. No text repeats captured bytes or addresses.

    CaptureError
    ├── TicketRefused     the start ticket is unsigned, stale, or asks for something that is not permitted
    ├── FilterRefused     the filter does not compile, or libpcap is missing
    ├── SourceUnusable    the interface or the capture file cannot be read
    ├── OrderInvalid      a line on the control pipe is not an order
    └── EvidenceLost      the evidence can no longer be written into its pipe

Each error has a code, which the worker sends together with the text. The server keeps only the code, because the
worker reads bytes of strangers and its texts are not trusted. No error crosses the pipe as a traceback.
"""

from enum import StrEnum


class FailureCode(StrEnum):
    """The cause of a failure, as it crosses the status pipe."""

    ORDER = "order"
    FILTER = "filter"
    LIBPCAP = "libpcap"
    RIGHTS = "rights"
    CONFINED = "confined"
    INTERFACE = "interface"
    FILE = "file"
    CONTROL = "control"
    PIPE = "pipe"
    FAULT = "fault"


class CaptureError(Exception):
    """The root of all errors that this package raises on purpose. A subclass has a code that an instance may narrow."""

    code = FailureCode.FAULT

    def __init__(self, text: str, code: FailureCode | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code


class TicketRefused(CaptureError):
    """The start ticket is unsigned, stale, or asks for something that is not permitted. The text names the field."""

    code = FailureCode.ORDER


class FilterRefused(CaptureError):
    """The filter does not compile, or libpcap is missing."""

    code = FailureCode.FILTER


class SourceUnusable(CaptureError):
    """The interface or the capture file cannot be read. The text says where."""

    code = FailureCode.FILE


class OrderInvalid(CaptureError):
    """A line on the control pipe is not an order."""

    code = FailureCode.CONTROL


class EvidenceLost(CaptureError):
    """The pipe for the evidence was closed, or was not read for the length of the lease."""

    code = FailureCode.PIPE
