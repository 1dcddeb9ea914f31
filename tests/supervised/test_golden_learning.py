"""What each learner and baseline predicts after three meta-updates is what it has always predicted.

The predictions of each are held as two weighted sums; the weights differ from number to number, so that two queries or
classes that change places show. After a change that is meant, write the file anew and say so in CHANGELOG.md:
python tests/supervised/test_golden_learning.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from toy_problems import episodes_of

from metaenv.supervised.data.episodes import frozen_episodes
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner

FILE = Path(__file__).with_name("golden_learning.json")
SETTINGS = {
    "maml": {"inner_lr": 0.2, "tasks_per_batch": 4},
    "mann": {"slots": 20, "heads": 2, "controller": 32},
    "meta-lstm": {"hidden": 4},
    "neural-process": {"learning_rate": 1e-3},
    "reptile": {"test_steps": 20, "inner_lr": 0.02},
    "transformer-process": {"width": 32, "layers": 2},
    "snail": {"embedding": 24, "filters": 16, "keys": (16, 16), "values": (16, 16), "span": 16},
}
VARIANTS = {
    "maml with learned rates": ("maml", {"learn_rates": True, "inner_steps": 2}),
    "maml of first order": ("maml", {"first_order": True}),
    "anil": ("maml", {"anil": True, "inner_steps": 5}),
    "matching with full context": ("matching", {"full_context": True, "reads": 2}),
    "reptile by gradient descent": ("reptile", {"inner_optimizer": "sgd", "inner_batch": 4}),
    "reptile beside its support set": ("reptile", {"normalize": "support"}),
    "meta-lstm without an LSTM": ("meta-lstm", {"hidden": 0, "inner_steps": 2}),
    "meta-lstm beside its support set": ("meta-lstm", {"hidden": 4, "normalize": "support"}),
}
"""Other settings of some."""
NAMES = {**{name: (name, {}) for name in [*LEARNERS, *BASELINES]}, **VARIANTS}
CASES = [(name, kind) for name, (base, _) in NAMES.items() for kind in learner_class(base).kinds]
# Builds of torch for other devices ("2.13.0+cpu") compute the same on a CPU.
VERSIONS = {name: version(name).split("+")[0] for name in ("numpy", "torch", "scikit-learn")}
UPDATES, EPISODES = 3, 4
TOLERANCE = 2e-3  # of sums of size 1: other processors sum in another order, and training makes more of it


def sums(name: str, kind: str) -> list[float]:
    """Of predictions for four episodes after three meta-updates."""
    base, more = NAMES[name]
    episodes = episodes_of(kind)
    settings = {"sizes": (16, 16), "learning_rate": 0.01, **SETTINGS.get(base, {}), **more}
    if not learner_class(base).trained:
        settings = {}
    elif base == "reptile":
        settings["learning_rate"] = 0.8
    learner = make_learner(base, episodes.problem, seed=2, **settings)
    learner.meta_fit(episodes, UPDATES)
    test = next(frozen_episodes(episodes_of(kind, seed=5), EPISODES).batches())
    output = np.asarray(learner.adapt(test.support_x, test.support_y)(test.query_x).output, np.float64)
    weights = np.random.default_rng(0).standard_normal((2, *output.shape))
    scale = np.sqrt(np.square(output).sum()) + 1e-9
    return [round(float(x), 6) for x in [*(weights * output).reshape(2, -1).sum(1) / scale, scale / output.size**0.5]]


GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_learner_has_golden_predictions():
    assert list(GOLDEN["cases"]) == [f"{name} {kind}" for name, kind in CASES], "write the file anew"


@pytest.mark.skipif(GOLDEN["versions"] != VERSIONS, reason=f"the file was written with {GOLDEN['versions']}")
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_short_training_predicts_what_it_did(name, kind):
    assert sums(name, kind) == pytest.approx(GOLDEN["cases"][f"{name} {kind}"], rel=TOLERANCE, abs=TOLERANCE)


if __name__ == "__main__":
    cases = {f"{name} {kind}": sums(name, kind) for name, kind in CASES}
    FILE.write_text(json.dumps({"versions": VERSIONS, "cases": cases}, indent=1) + "\n", encoding="utf-8")
