"""How a memory-augmented network learns while it reads: accuracy by how often a class has come so far.

The protocol of Santoro et al. 2016 (Table 1), on kinds of star: 5 classes of 10 samples in random order. Each sample is
asked before its label is read. The first time a class is seen it can only be guessed.

Run: python examples/mann_by_presentation.py [meta-updates]     600 take two minutes
"""

import sys

from metaenv.supervised import frozen_episodes
from metaenv.supervised.families import make_family
from metaenv.supervised.learners.mann import MANN, MANNConfig

updates = int(sys.argv[1]) if len(sys.argv) > 1 else 600
curves = make_family("light-curves")
train, test = (curves.episodes(split, n_shot=9, n_query=1) for split in ("train", "test"))
learner = MANN(train.problem, MANNConfig(lr_decay="linear"))
learner.meta_fit(train, updates, progress_bar=True)
for name, episodes in (("kinds of star of the training", train), ("families never seen", test)):
    shares = learner.by_presentation(frozen_episodes(episodes, 300), at=range(1, 11))
    print(f"{name}: " + ", ".join(f"{n}: {share:.2f}" for n, share in shares.items()))
