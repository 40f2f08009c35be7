"""Asking a device or server instead of capturing: SIP OPTIONS, DNS for SIP, TLS certificate, reachability, clock.

Every probe is a function that ends within its timeout and gives findings: short texts by name, nothing that the other
side could make arbitrarily long. An answer that does not come is a finding too. Standard library only.
"""
