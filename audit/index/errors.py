"""The error of the index."""

from linewarden.audit.errors import LogUnavailable


class IndexDamaged(LogUnavailable):
    """A row of the index is not one that the service wrote, or is missing. The index of the log is to be made anew."""
