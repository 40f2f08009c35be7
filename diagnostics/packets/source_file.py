"""A capture file as a source. It is read once, from a stream, and is never stored unmasked."""

from collections.abc import Iterator, Sequence
from itertools import islice

from linewarden.diagnostics.packets.bpf import BpfProgram
from linewarden.diagnostics.packets.dissect import LINKTYPE_ETHERNET
from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.input_stream import InputStream
from linewarden.diagnostics.packets.libpcap import compile_filter, compile_on_ethernet
from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters
from linewarden.diagnostics.packets.pcap_file import PcapReader, Readable, read_exactly
from linewarden.diagnostics.packets.pcapng_file import MAGIC, PcapngReader

_BATCH = 512


def open_capture(file: Readable) -> PcapReader | PcapngReader:
    """Return a reader for pcap or pcapng. Raise SourceUnusable for any other format."""
    magic = read_exactly(file, 4)
    if magic == MAGIC:
        return PcapngReader(file)
    if PcapReader.knows(magic):
        return PcapReader(file, magic)
    raise SourceUnusable("not a capture file")


class FileSource:
    """The packets of a file that pass the filter. The others are not counted, as on an interface."""

    def __init__(self, file: InputStream, filter_text: str) -> None:
        """Open the file. Raise SourceUnusable, FilterRefused.

        The filter is compiled once here, because libpcap must be loaded before the process drops its rights.
        """
        if filter_text:
            compile_on_ethernet(filter_text)
        self._file = file
        self._reader = open_capture(file)
        self._filter_text = filter_text
        self._programs: dict[int, BpfProgram] = {}
        self._frames: Iterator[Frame] = iter(self._reader)
        self._passed: dict[int, int] = {}
        self._stopped = self._paused = False
        self._broken: SourceUnusable | None = None

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces that the file has named so far."""
        return self._reader.interfaces

    def read(self, timeout: float) -> list[Frame] | None:
        """Return the next packets; None at the end. Raise SourceUnusable, FilterRefused."""
        if self._stopped:
            return None
        if self._paused:
            return []
        batch = self._batch(timeout)
        if not batch:
            return None
        passed = [frame for frame in batch if self._passes(frame)] if self._filter_text else batch
        for frame in passed:
            self._passed[frame.interface] = self._passed.get(frame.interface, 0) + 1
        return passed

    def pause(self) -> None:
        """Stop reading until `resume`. The rest of the file waits."""
        self._paused = True

    def resume(self) -> None:
        """Continue reading."""
        self._paused = False

    def stop(self) -> None:
        """Stop reading."""
        self._stopped = True

    def counters(self) -> list[SourceCounters]:
        """Return the packets that passed the filter, and those that the file records as lost."""
        lost = [counted.dropped for counted in self._reader.counters()]
        return [SourceCounters(self._passed.get(number, 0) + drops, drops) for number, drops in enumerate(lost)]

    def close(self) -> None:
        """Do nothing: the caller closes the file."""

    def _batch(self, timeout: float) -> list[Frame]:
        """Return the next packets. Raise a fault of the file only after all packets before it are returned."""
        if self._broken is not None:
            raise self._broken
        batch: list[Frame] = []
        self._file.start_waiting()
        try:
            for frame in islice(self._frames, _BATCH):
                batch.append(frame)
                if self._file.waited() > timeout:
                    break
        except SourceUnusable as error:
            if not batch:
                raise
            self._broken = error
        return batch

    def _passes(self, frame: Frame) -> bool:
        link_type = self.interfaces[frame.interface].link_type
        program = self._programs.get(link_type)
        if program is None:
            program = self._programs[link_type] = BpfProgram(self._compiled(link_type))
        return program.takes(frame.data, frame.original_length)

    def _compiled(self, link_type: int) -> bytes:
        if link_type == LINKTYPE_ETHERNET:
            return compile_on_ethernet(self._filter_text)
        return compile_filter(self._filter_text, link_type)
