"""The stream of the text log: order, what it loses, and that it makes nothing wait."""

import errno
import fcntl
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.server import log_stream
from linewarden.server.log_stream import Descriptor, LossyStream
from tests.deadlines import HANG_S


class Sink:
    """A file that can be held, can fail, and keeps what was written."""

    def __init__(self) -> None:
        self.taken = b""
        self.fault: OSError | None = None
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()

    def __call__(self, data: bytes) -> None:
        """Take data, once the file is open."""
        self.entered.set()
        self.open.wait()
        if self.fault:
            raise self.fault
        self.taken += data


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A sink that holds no thread at the end of a test."""
    made = Sink()
    yield made
    made.open.set()


def streaming(sink: Sink) -> LossyStream:
    """A stream into the sink with a notice that can be counted."""
    return LossyStream(sink, lambda lost: f"lost {lost}\n")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=50)))
def test_what_fits_is_written_in_order(texts: list[str]) -> None:
    """Text comes out as it went in."""
    sink = Sink()
    stream = streaming(sink)
    for text in texts:
        stream.write(text)
    stream.end()
    assert sink.taken == "".join(texts).encode("utf-8", "backslashreplace")


def test_a_file_that_takes_nothing_makes_no_writer_wait(sink: Sink) -> None:
    """Beyond the bound lines are lost, and the next line that is written comes after the number of lost ones."""
    sink.open.clear()
    stream = streaming(sink)
    stream.write("held\n")
    assert sink.entered.wait(HANG_S)
    line = "x" * 1023 + "\n"
    for _ in range(2 * log_stream.MAX_WAITING_BYTES // len(line)):
        stream.write(line)
    sink.open.set()
    assert stream.drain(HANG_S)
    stream.write("later\n")
    stream.end()
    lines = sink.taken.decode().splitlines(keepends=True)
    kept = lines.count(line)
    assert kept <= log_stream.MAX_WAITING_BYTES // len(line)
    lost = 2 * log_stream.MAX_WAITING_BYTES // len(line) - kept
    assert lines == ["held\n", *[line] * kept, f"lost {lost}\n", "later\n"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_a_file_that_fails_costs_lines_that_are_counted(sink: Sink, number: int) -> None:
    """While writing fails nothing is raised; the first line that is written again says how many are missing."""
    stream = streaming(sink)
    sink.fault = OSError(number, "no")
    stream.write("one\ntwo\n")
    stream.write("three")
    assert stream.drain(HANG_S)
    sink.fault = None
    stream.write("four\n")
    stream.end()
    assert sink.taken == b"lost 3\nfour\n"


def test_an_end_is_not_waited_for_longer_than_it_may_take(sink: Sink) -> None:
    """A process ends although its text log is held; what is written afterwards is dropped."""
    sink.open.clear()
    stream = streaming(sink)
    stream.write("held\n")
    stream.end(0.01)
    assert stream.write("late\n") == 5
    sink.open.set()


def test_what_is_collected_while_the_stream_works_may_speak(sink: Sink) -> None:
    """A finalizer that writes to the stream, wherever it is run, blocks nothing."""
    stream = streaming(sink)

    class Odd:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            stream.write("collected\n")

    for _ in range(3000):
        Odd()
        stream.write("line\n")
    stream.end(HANG_S)
    assert sink.taken.count(b"line\n") == 3000


def test_a_python_text_file_can_be_replaced_by_it(sink: Sink) -> None:
    """Every way to print to stderr works with the stream."""
    stream = streaming(sink)
    print("printed", file=stream, flush=True)
    stream.writelines(["a\n", "b\n"])
    assert not stream.isatty()
    assert stream.writable()
    stream.end()
    assert sink.taken == b"printed\na\nb\n"


def test_a_pipe_of_another_process_that_does_not_block_is_waited_for() -> None:
    """A description that another process made non-blocking keeps that flag, and no line is lost or cut."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    stream = LossyStream(Descriptor(write_end), lambda _lost: "")
    sent = "".join(f"{n:>100}\n" for n in range(1000))
    for line in sent.splitlines(keepends=True):
        stream.write(line)
    read = b""
    while len(read) < len(sent):
        read += os.read(read_end, 65536)
    stream.end()
    assert read.decode() == sent
    assert not os.get_blocking(write_end)
    os.close(read_end)
    os.close(write_end)


@pytest.mark.skipif(sys.platform != "linux", reason="run on Linux, which has /dev/full")
def test_a_full_device_costs_lines() -> None:
    """/dev/full takes nothing, and nothing is raised."""
    device = os.open("/dev/full", os.O_WRONLY)
    stream = LossyStream(Descriptor(device), lambda _lost: "")
    stream.write("line\n")
    assert stream.drain(HANG_S)
    stream.end()
    os.close(device)


def test_the_notice_stands_where_the_lines_are_missing() -> None:
    """A line that fits again while others still wait comes after them, and after the number of those lost between."""
    permits, taken = threading.Semaphore(0), []

    def write(data: bytes) -> None:
        permits.acquire()
        taken.append(data)

    stream = LossyStream(write, lambda lost: f"lost {lost}\n")
    half = "x" * (log_stream.MAX_WAITING_BYTES // 2 - 1) + "\n"
    for _ in range(3):  # the third does not fit
        stream.write(half)
    permits.release()
    while stream._waiting > len(half):
        threading.Event().wait(0.001)
    stream.write("later\n")
    for _ in range(3):
        permits.release()
    stream.end(HANG_S)
    assert taken == [half.encode(), half.encode(), b"lost 1\n", b"later\n"]
