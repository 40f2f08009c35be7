"""Probes: questions to a device or server instead of a capture.

They are SIP OPTIONS, DNS for SIP, TLS certificate, reachability and clock. Every probe is a function that ends within
its timeout and returns findings: short texts by name, of bounded length whatever the other side sends. A missing answer
is a finding too. Standard library only.
"""
