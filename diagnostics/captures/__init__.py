"""The life of one capture: request, approval, run, end, deletion; its preconditions and what it relies on."""
