"""Runs captures on a host, local or remote: worker processes, signed orders, the connection to the server.

The one room of diagnostics that knows gRPC: at a branch host it dials in to the server.
It imports no database, no Casbin and no settings library.
"""
