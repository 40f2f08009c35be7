"""Consent: the terms of a customer, notices and their mailings, attestations."""
