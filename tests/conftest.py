"""What all tests share, and which are left out where what they need is not installed."""

import os
from importlib.util import find_spec

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["METAENV_DEVICE"] = "cpu"  # on which results are the same bit for bit; tests of a GPU ask for it

# The environments' tests run without the agents extra.
collect_ignore = []
if not (find_spec("torch") and find_spec("tyro")):
    collect_ignore += ["agents", "experiments", "runs", "supervised", "test_checkpoints.py"]
elif not find_spec("sklearn"):  # the baselines of few-shot learning are compared with scikit-learn's
    collect_ignore += ["supervised"]

if find_spec("torch"):
    import pytest
    import torch

    torch.set_num_threads(1)  # with small networks two threads on a busy machine are ten times slower

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """Leave out the tests of a GPU where there is none."""
        without = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(without)
