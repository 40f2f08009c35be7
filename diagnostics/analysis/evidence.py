"""An opened capture as a source of frames: pcapng as the capture worker writes it, and pcap as others do."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from linewarden.diagnostics.analysis.model import Frame, InterfaceCount
from linewarden.diagnostics.capture.errors import SourceUnusable
from linewarden.diagnostics.capture.pcap_file import PcapReader, read_exactly
from linewarden.diagnostics.capture.pcapng_file import MAGIC, PcapngReader


class EvidenceFile:
    """The frames of one file, read once as a stream; the file stays the caller's.

    A file that ends early or goes wrong in the middle gives what came before; `fault` then says what is wrong.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Raises SourceUnusable where the file is no capture."""
        magic = read_exactly(file, 4)
        self._counts_losses = magic == MAGIC
        if not self._counts_losses and not PcapReader.knows(magic):
            raise SourceUnusable("not a capture file")
        self._reader = PcapngReader(file) if self._counts_losses else PcapReader(file, magic)
        self._fault = ""

    def __iter__(self) -> Iterator[Frame]:
        interfaces = self._reader.interfaces
        try:
            for time_ns, data, original_length, number in self._reader:
                yield Frame(time_ns, interfaces[number].link_type, data, original_length, number)
        except SourceUnusable as error:
            self._fault = str(error)

    def interface_counts(self) -> Sequence[InterfaceCount]:
        """What the file says of each interface. A pcap file says nothing of losses."""
        return [
            InterfaceCount(interface.name, counted.received, counted.dropped if self._counts_losses else None)
            for interface, counted in zip(self._reader.interfaces, self._reader.counters(), strict=True)
        ]

    def fault(self) -> str:
        """Why the reading ended before the end of the file, or nothing."""
        return self._fault
