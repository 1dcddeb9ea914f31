"""Lets the tests here import building.py: pytest's importlib mode does not add their folder to the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
