"""Check, load and show policies."""
