"""Lets benchmarks of several modules import one another here as they do when run as commands."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
