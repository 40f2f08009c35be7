"""Who may: rules, role bindings, the compiled snapshot of a policy, decisions and their records.

Casbin is the judge; `judge` is the one file that imports it. A policy is compiled into an immutable snapshot for one
revision; deciding takes no lock. That no decision is stale is not the snapshot's promise but the log's: every record is
guarded by the revision it was made under, and what the guard refuses is decided again.

This package may import `audit`, and none of its siblings.
"""
