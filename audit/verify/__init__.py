"""The verifier of exports, of proofs of single entries, and of the growth of a log. It needs only a verifier key.

All input is hostile until it is verified. A failure is always VerificationFailed, and its text names the file and the
entry. Time and memory are bounded by the real size of the files. This package imports nothing that writes, no database
and no server, so that an auditor who doubts the log can read all of its code.
"""

from linewarden.audit.verify.content import Report
from linewarden.audit.verify.export import verify_export
from linewarden.audit.verify.proof import ProvenEntry, verify_entry, verify_growth

__all__ = ["ProvenEntry", "Report", "verify_entry", "verify_export", "verify_growth"]
