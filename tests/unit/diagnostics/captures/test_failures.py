"""Causes: the code of an error decides which text is kept, and no text of the worker process is."""

import pytest

from linewarden.diagnostics.captures.failures import CaptureFailure, failure_of
from linewarden.diagnostics.packets.errors import (
    CaptureError,
    EvidenceLost,
    FailureCode,
    FilterRefused,
    OrderInvalid,
    SourceUnusable,
    TicketRefused,
)


def test_every_code_has_a_text_of_its_own():
    """No two codes are recorded as the same cause."""
    assert len({failure_of(code) for code in FailureCode}) == len(FailureCode)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TicketRefused("the signature does not match"), CaptureFailure.ORDER),
        (FilterRefused("the filter does not compile"), CaptureFailure.FILTER),
        (FilterRefused("scapy is missing", FailureCode.LIBPCAP), CaptureFailure.LIBPCAP),
        (SourceUnusable("the capture file is cut short"), CaptureFailure.FILE),
        (SourceUnusable("No such device", FailureCode.INTERFACE), CaptureFailure.INTERFACE),
        (OrderInvalid("not JSON"), CaptureFailure.CONTROL),
        (EvidenceLost("the pipe is closed"), CaptureFailure.PIPE),
        (CaptureError("unexpected"), CaptureFailure.FAULT),
    ],
)
def test_an_error_carries_its_cause(error: CaptureError, cause: CaptureFailure):
    """The class of an error, or the code that it was raised with, decides the recorded cause."""
    assert failure_of(error.code) is cause


@pytest.mark.parametrize("code", ["", "ValueError", "sip:alice@example.org", "FILTER"])
def test_a_code_that_is_not_ours_is_a_fault(code: str):
    """A worker process cannot bring a text into the log by its code."""
    assert failure_of(code) is CaptureFailure.FAULT
