"""gRPC over HTTP/2: frames in any pieces, deadlines, statuses."""

import asyncio
import zlib
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.server.errors import CredentialsInvalid, InvalidRequest, Violation
from linewarden.server.grpc_status import PlainStatus, grpc_status_of
from linewarden.server.transports.framing import DRAIN_BYTES, CallerGone, Frames, frame, seconds_of, trailers_of

MOST = 1_000


class Body:
    """The events of a request whose bytes come in these pieces; without an end the caller goes away after them."""

    def __init__(self, pieces: Sequence[bytes], *, ends: bool = True) -> None:
        self._events: list[dict[str, Any]] = [
            {"type": "http.request", "body": one, "more_body": True} for one in pieces
        ]
        self._events.append({"type": "http.request"} if ends else {"type": "http.disconnect"})

    @property
    def left(self) -> int:
        """The number of events that were not received."""
        return len(self._events)

    async def receive(self) -> dict[str, Any]:
        """Return the next event."""
        return self._events.pop(0)


async def read(body: Body, encoding: bytes = b"identity") -> list[bytes]:
    """Return all messages."""
    frames, found = Frames(body.receive, encoding, MOST), []
    while (message := await frames.next()) is not None:
        found.append(message)
    return found


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at these places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(min_value=0), max_size=12))
def test_messages_come_whole_however_they_are_cut(messages: list[bytes], places: list[int]) -> None:
    """Each message is returned as it was sent, whatever pieces its bytes come in."""
    assert asyncio.run(read(Body(cut(b"".join(map(frame, messages)), places)))) == messages


@given(st.binary(max_size=MOST), st.sampled_from([b"gzip", b"deflate"]))
def test_compressed_messages_are_read(message: bytes, encoding: bytes) -> None:
    """A message that is compressed in a known way is returned as it was."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == b"gzip" else 15)
    packed = packer.compress(message) + packer.flush()
    if len(packed) <= MOST:
        assert asyncio.run(read(Body([b"\1" + frame(packed)[1:]]), encoding)) == [message]


@given(st.binary(min_size=1, max_size=60), st.sampled_from([b"identity", b"gzip", b"deflate"]))
def test_any_bytes_are_read_or_refused(data: bytes, encoding: bytes) -> None:
    """Bytes that are no frames end in a status, and in no other error."""
    refused: list[str] = []
    try:
        messages = asyncio.run(read(Body([data]), encoding))
    except PlainStatus as error:
        refused.append(error.status.code.name)
        messages = []
    assert set(refused) <= {"INTERNAL", "RESOURCE_EXHAUSTED"}
    assert all(len(one) <= MOST for one in messages)


def test_a_caller_that_goes_away_is_told_from_one_that_ends() -> None:
    """A message whose caller has gone is no message, and no fault of the caller."""
    with pytest.raises(CallerGone):
        asyncio.run(read(Body([frame(b"whole")[:-1]], ends=False)))


async def test_the_rest_of_a_request_is_dropped_within_bounds() -> None:
    """What a caller still sends after its answer is read to its end, or as far as the bound."""
    body = Body([b"x" * 1_000] * 50)
    await Frames(body.receive, b"identity", MOST).drain()
    assert body.left == 0
    endless = Body([b"x" * (1 << 20)] * 50)
    await Frames(endless.receive, b"identity", MOST).drain()
    assert endless.left == 50 + 1 - (DRAIN_BYTES >> 20)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"30S", 30), (b"250m", 0.25), (b"99999999u", 99.999999), (b"0n", 0)],
)
def test_a_deadline_is_read_in_each_unit(header: bytes, seconds: float) -> None:
    """The header `grpc-timeout` has at most eight digits and a unit."""
    assert seconds_of(header) == pytest.approx(seconds)


@given(st.binary(max_size=12))
def test_other_deadlines_are_refused_or_read(header: bytes) -> None:
    """A header of any form is a number of seconds, or ends in a status."""
    seconds = 0.0
    with suppress(PlainStatus):
        seconds = seconds_of(header)
    assert seconds >= 0


@given(st.text(max_size=60))
def test_a_text_comes_back_from_its_trailer(text: str) -> None:
    """The text of a status is printable ASCII in its trailer, and decodes to what it was."""
    error = PlainStatus(grpc.StatusCode.INTERNAL, text)
    sent = dict(trailers_of(error.status)).get(b"grpc-message", b"")
    assert all(0x20 <= byte < 0x7F for byte in sent)
    assert unquote(sent.decode("ascii")) == text


def test_details_are_sent_in_base64() -> None:
    """The details of an error are in `grpc-status-details-bin`, and its code is a number."""
    for error in (CredentialsInvalid(), InvalidRequest((Violation("header", "required", "must be set"),))):
        trailers = dict(trailers_of(grpc_status_of(error)))
        coded = trailers[b"grpc-status-details-bin"]
        assert b64decode(coded + b"=" * (-len(coded) % 4))
        assert trailers[b"grpc-status"].isdigit()
