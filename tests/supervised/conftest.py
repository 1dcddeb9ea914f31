"""Lets the tests here import toy_problems.py: pytest's importlib mode does not add their folder to the path."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Without the agents extra there is nothing here to test; without scikit-learn nothing to compare with.
collect_ignore_glob = [] if find_spec("torch") and find_spec("sklearn") else ["test_*.py"]
