"""Few-shot classification of one's own samples: learn on many classes, then tell new ones apart from three of each.

Run: python examples/few_shot_own_data.py [data.npz]     with arrays x (samples, features…) and y (samples,)
"""

import sys

import numpy as np

from metaenv.supervised import Episodes, evaluate, frozen_episodes, make_learner
from metaenv.supervised.data.datasets import Dataset

if len(sys.argv) > 1:
    with np.load(sys.argv[1]) as file:  # never unpickles
        data = Dataset(file["x"], file["y"])
else:  # 60 kinds of spectrum, 30 of each: the distances of three lines tell the kind; shifts and noise do not
    rng = np.random.default_rng(0)
    kind, place = np.repeat(np.arange(60), 30), np.arange(64)
    lines = rng.uniform(10, 54, (60, 3))[kind] + rng.uniform(-8, 8, (1800, 1))
    heights = rng.lognormal(0, 0.5, (1800, 3, 1))
    spectra = (heights * np.exp(-0.5 * ((place - lines[:, :, None]) / 2) ** 2)).sum(axis=1)
    data = Dataset(spectra + rng.normal(0, 0.3, spectra.shape), kind)

parts = data.split_by_class({"train": 0.7, "test": 0.3}, np.random.default_rng(0))  # no class is in both
train, test = (Episodes(parts[name], n_shot=3, n_query=5, n_way=5) for name in ("train", "test"))
learners = {name: make_learner(name, train.problem) for name in ("prototypical", "nearest-centroid", "linear")}
for learner in learners.values():
    learner.meta_fit(train, iterations=800)
print(evaluate(learners, frozen_episodes(test, 500)).markdown())

# One problem: three labelled samples of each of five new kinds, and samples to be told apart.
episode = test.draw(1)
predicted = learners["prototypical"].adapt(episode.support_x[0], episode.support_y[0])(episode.query_x[0])
print("predicted:", predicted.output.argmax(-1).tolist())
print("true:", episode.query_y[0].tolist())
