"""A capture file that someone brings into custody. It is read once, from a stream, and never stored as it came."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from linewarden.diagnostics.capture.bpf import BpfProgram
from linewarden.diagnostics.capture.dissect import LINKTYPE_ETHERNET
from linewarden.diagnostics.capture.errors import SourceUnusable
from linewarden.diagnostics.capture.filters import with_vlan
from linewarden.diagnostics.capture.libpcap import compile_filter
from linewarden.diagnostics.capture.model import Frame, Interface, SourceCounters
from linewarden.diagnostics.capture.pcap_file import PcapReader, read_exactly
from linewarden.diagnostics.capture.pcapng_file import MAGIC, PcapngReader

_BATCH = 512


def open_capture(file: BinaryIO) -> PcapReader | PcapngReader:
    """A reader for pcap or pcapng, whichever it is. Raises SourceUnusable for anything else."""
    magic = read_exactly(file, 4)
    if magic == MAGIC:
        return PcapngReader(file)
    if PcapReader.knows(magic):
        return PcapReader(file, magic)
    raise SourceUnusable("not a capture file")


class FileSource:
    """The packets of a file that pass the filter. Those that do not are not counted, as on an interface."""

    def __init__(self, file: BinaryIO, filter_text: str) -> None:
        """Raises SourceUnusable."""
        self._reader = open_capture(file)
        self._filter_text = filter_text
        self._programs: dict[int, BpfProgram] = {}
        self._frames: Iterator[Frame] = iter(self._reader)
        self._passed: dict[int, int] = {}
        self._stopped = False

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces that the file named so far."""
        return self._reader.interfaces

    def read(self, timeout: float) -> list[Frame] | None:  # noqa: ARG002 - a file never makes wait
        """The next packets, or None at the end. Raises SourceUnusable, FilterRefused."""
        if self._stopped:
            return None
        batch = list(islice(self._frames, _BATCH))
        if not batch:
            return None
        passed = [frame for frame in batch if self._passes(frame)] if self._filter_text else batch
        for frame in passed:
            self._passed[frame.interface] = self._passed.get(frame.interface, 0) + 1
        return passed

    def stop(self) -> None:
        """Reads no further."""
        self._stopped = True

    def counters(self) -> list[SourceCounters]:
        """What passed the filter, and what the file says was lost before."""
        lost = [counted.dropped for counted in self._reader.counters()]
        return [SourceCounters(self._passed.get(number, 0) + drops, drops) for number, drops in enumerate(lost)]

    def close(self) -> None:
        """Nothing is held; the file is the caller's."""

    def _passes(self, frame: Frame) -> bool:
        link_type = self.interfaces[frame.interface].link_type
        program = self._programs.get(link_type)
        if program is None:
            text = with_vlan(self._filter_text) if link_type == LINKTYPE_ETHERNET else self._filter_text
            program = self._programs[link_type] = BpfProgram(compile_filter(text, link_type))
        return program.takes(frame.data, frame.original_length)
