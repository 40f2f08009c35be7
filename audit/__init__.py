"""Who did: the log of one tenant. Append, query, prove, export, verify, erase.

One log per tenant carries everything in one total order; its head row is the only lock. An entry is bytes that are
hashed as they are stored. What can be searched is a projection behind the log that can be rebuilt at any time, and is
therefore kept in a database of its own: filling it must never hold the lock an answer waits for.

This package imports no other room of Linewarden. SQLAlchemy appears in `store` only; `verify` imports nothing that
writes.
"""
