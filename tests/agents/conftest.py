"""Leaves the tests of this folder out where what they need is not installed."""

from importlib.util import find_spec

# Without the agents extra there is nothing here to test; the environments' own tests still run.
collect_ignore_glob = [] if find_spec("torch") and find_spec("tyro") else ["test_*.py"]
