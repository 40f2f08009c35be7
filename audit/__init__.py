"""Who did: the log of one tenant. Append, query, prove, export, verify, erase.

Each tenant has one log with all its records in one total order. The head row of the log is the only lock. An entry is
a byte string that is hashed as it is stored. Searches use an index behind the log that can be rebuilt at any time. The
index has a database of its own, because filling it must never hold a lock that an answer waits for.

This package imports no other package of Linewarden. Only `store` imports SQLAlchemy. `verify` imports nothing that
writes.
"""
