"""The forms of output and the exit statuses of the process of an analysis, for that process and its parent."""

from enum import StrEnum

#: Exit statuses beside 0.
NO_CAPTURE = 2
NO_CALL = 3


class Form(StrEnum):
    """The form of an analysis. SVG is for ladders only."""

    TEXT = "text"
    JSON = "json"
    SVG = "svg"
