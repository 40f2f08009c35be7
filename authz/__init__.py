"""Who may: rules, role bindings, the compiled snapshot of a policy, decisions and their records.

Casbin is the judge; only `casbin_model` imports it. A policy is compiled into an immutable snapshot of one revision.
Deciding takes no lock. The snapshot alone does not promise that a decision is current; the log does. Each record is
guarded by the revision under which it was made. A record that the guard refuses is decided again.

This package may import `audit`, and none of its siblings.
"""
