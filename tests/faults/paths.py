"""Adds the folders whose helpers the runs use to the path."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent

for folder in ("integration", "differential"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))
