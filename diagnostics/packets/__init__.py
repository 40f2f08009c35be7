"""The packet process: it holds the raw socket, captures packets, masks them, and streams evidence to its starter.

It runs as `python -m linewarden.diagnostics.packets` and communicates over inherited pipes only:

    standard input    the signed start ticket, then heartbeats and stop orders   (JSON lines, `control`)
    standard output   states, counters, the final report                         (JSON lines, `status`)
    --key-fd          the key the ticket is signed with, closed after reading
    --evidence-fd     the masked pcapng as it is made, never a regular file
    --input-fd        the capture file to import
    --disk-fd         an open folder whose free space is watched

The package imports the standard library and scapy, and no other part of Linewarden. scapy is GPL-2.0-only, which cannot
be combined in one program with the Apache-2.0 libraries of the server. Therefore scapy is not imported outside this
folder, and inside it only by `libpcap`. `model`, `ticket`, `errors` and the readers are plain Python and may be
imported from outside.

Some protocols are not read, so that their payload is dropped and counted: SIP over TLS, WebSocket and SCTP, compressed
SIP, media over TCP, tunnels, IPv6 routing and authentication headers. A capture of these needs the profile MEDIA.

Two promises bind every file. Below the profile MEDIA a byte leaves this process only if a rule permits it; all other
bytes are cut or overwritten. The process ends without an order too: at a limit, without a lease, or when a pipe closes.
"""
