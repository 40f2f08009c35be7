"""Capture workers of other hosts: enrolled by the operator, run at their host."""
