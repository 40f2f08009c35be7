"""Module path of the benchmarks: they are plain scripts, so their folder is on it as when they run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
