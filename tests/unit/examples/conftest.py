"""Module path of the examples: they are plain scripts, so their folder is on it as when they run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "asterisk"))
