"""The examples are plain scripts: their folder stands on the module path, as it does when one of them is run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "asterisk"))
