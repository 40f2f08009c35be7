"""Evidence on disk: sealed for its readers while it is captured, recovered after a crash, deleted in time."""
