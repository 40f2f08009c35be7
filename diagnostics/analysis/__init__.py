"""The contents of a capture: calls and their ends, failed registrations, media streams with loss and jitter, and hints.

Reads frames that were masked before they were stored, so payloads may be cut, bodies overwritten and fragments empty.
Parts that cannot be used are counted (`Omission`), parts that are not read by their type (`unread`), never guessed.
Input is hostile: every table has a bound in `Limits`, and entries over the bound are counted too. The losses of the
capture itself stand at the head of each report.

`engine` makes a `Report` of the packets that `decapsulation` finds, each of them once (`copies`). `hints` names what is
wrong. `report` shows a report as JSON, `tables` as text, `ladder` and `picture` one call as a ladder, `timeline_view`
its streams over time.
`apart` runs the analysis in a process of its own, and imports no other module of the package. A report repeats names,
numbers and addresses that were captured: it is evidence like the capture, and belongs in no log.

Standard library only, with the readers of `diagnostics.packets`; no module here may import one that needs scapy.
"""
