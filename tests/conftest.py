"""What all tests share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

try:
    import torch

    torch.set_num_threads(1)  # with small networks two threads on a busy machine are ten times slower
except ImportError:  # the environments' tests run without torch
    pass
