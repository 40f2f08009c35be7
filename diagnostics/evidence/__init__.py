"""Evidence on disk: sealed for its readers while it is captured, found again after a crash, deleted in time."""
