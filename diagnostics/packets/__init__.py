"""The process that holds the raw socket: captures packets, masks them, streams evidence to whoever started it.

It runs as `python -m linewarden.diagnostics.packets` and speaks over inherited pipes only:

    standard input    the signed start ticket, then heartbeats and stop orders   (JSON lines, `control`)
    standard output   states, counters, the final report                         (JSON lines, `status`)
    --key-fd          the key the ticket is signed with, closed after reading
    --evidence-fd     the masked pcapng as it is made, never a regular file
    --input-fd        the capture file, when one is taken into custody
    --disk-fd         an open folder whose free space is watched

Nothing here imports other parts of Linewarden, and nothing but the standard library and scapy: scapy is GPL-2.0-only,
which cannot be combined in one program with the Apache-2.0 libraries of the server. So nothing of scapy may be
imported outside this folder, and inside it only `libpcap` does. `model`, `ticket`, `errors` and the readers are plain
Python and may be imported from outside.

Not read, so that the payload is dropped and counted: SIP over TLS, WebSocket and SCTP, compressed SIP, media over TCP,
everything in tunnels, IPv6 routing and authentication headers. What a capture of these needs is the profile MEDIA.

Two promises bind every file. Below the profile MEDIA a byte leaves this process only when a rule says that it may:
what no rule knows is cut or overwritten. And the process ends by itself: by limit, by lease, or when a pipe closes.
"""
