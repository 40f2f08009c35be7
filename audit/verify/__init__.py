"""Checking what others hand over, with a verifier key alone: exports, proofs of single entries, growth of a log.

Everything read here is hostile until it is checked: a failure is always VerificationFailed with a text that says which
file and which entry, and neither time nor memory grows beyond what the files really hold. This package imports nothing
that writes, no database and no server, so that whoever doubts the log can read all of what judges it.
"""

from linewarden.audit.verify.content import Report
from linewarden.audit.verify.export import verify_export
from linewarden.audit.verify.proof import ProvenEntry, verify_entry, verify_growth

__all__ = ["ProvenEntry", "Report", "verify_entry", "verify_export", "verify_growth"]
