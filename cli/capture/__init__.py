"""Request, approve, run and read packet captures."""
