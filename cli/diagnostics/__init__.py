"""The terms, notices, attestations and probes of a tenant."""
