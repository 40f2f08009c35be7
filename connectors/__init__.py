"""Connectors: the records of a PBX as items with participants.

A connector reads files that a PBX wrote, and writes nothing there. It states facts of the switch: which extension,
mailbox, agent or number took part, in which role and when. The server resolves who held an address at that time.
A caller id never becomes an extension, because a caller can show any number.

The package imports the standard library only.
"""
