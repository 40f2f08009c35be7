"""Read, prove, export and verify the log."""
