"""The life of a capture: request, approval, run, end, deletion, with its preconditions and prerequisites."""
