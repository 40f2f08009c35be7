"""The benchmarks are plain scripts: their folder stands on the module path, as it does when they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
