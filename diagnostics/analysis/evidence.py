"""An opened capture as a source of frames: pcapng as the capture worker writes it, and pcap as others do."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from linewarden.diagnostics.analysis.model import Frame, InterfaceCount
from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.pcap_file import PcapReader, read_exactly
from linewarden.diagnostics.packets.pcapng_file import MAGIC, PcapngReader


class EvidenceFile:
    """The frames of one file, read once as a stream; the file stays the caller's.

    A file that ends early or is damaged in the middle yields the frames before that; `fault` then states the damage.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Raise SourceUnusable if the file is not a capture."""
        magic = read_exactly(file, 4)
        if magic != MAGIC and not PcapReader.knows(magic):
            raise SourceUnusable("not a capture file")
        self._reader = PcapngReader(file) if magic == MAGIC else PcapReader(file, magic)
        self._fault = ""

    def __iter__(self) -> Iterator[Frame]:
        interfaces = self._reader.interfaces
        try:
            for time_ns, data, original_length, number in self._reader:
                yield Frame(time_ns, interfaces[number].link_type, data, original_length, number)
        except SourceUnusable as error:
            self._fault = str(error)

    def interface_counts(self) -> Sequence[InterfaceCount]:
        """The counts that the file states for each interface. A pcap file states no losses."""
        reader, counts = self._reader, self._reader.counters()
        if not isinstance(reader, PcapngReader):
            return [
                InterfaceCount(one.name, counted.received)
                for one, counted in zip(reader.interfaces, counts, strict=True)
            ]
        return [
            InterfaceCount(one.name, counted.received, counted.dropped, paused)
            for one, counted, paused in zip(reader.interfaces, counts, reader.pauses(), strict=True)
        ]

    def fault(self) -> str:
        """The reason why reading stopped before the end of the file; empty if it did not."""
        return self._fault
