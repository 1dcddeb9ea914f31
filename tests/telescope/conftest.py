"""Lets the tests here import astropy_places.py: pytest's importlib mode does not add their folder to the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
