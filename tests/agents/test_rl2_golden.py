"""Short trainings of RL² end with the weights that they have always ended with.

The numbers are those of the version that they were written with. They differ in their last digits on another processor,
whose kernels sum in another order; a draw more or less, or another order of draws, changes them wholly. When a training
is meant to change, write them anew and say so in CHANGELOG.md.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from toy_trials import Bandit, HiddenPoint, MaskedBandit, ToyTrials, VaryingRecall

from metaenv.agents.config import TaskPrediction
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config

CONFIG = RL2Config(n_epochs=2, n_minibatches=2)
SMALL = Network((16,), 16)
PREDICTION = TaskPrediction(1.0, feed_to_policy=True)

CASES: dict[str, tuple[Callable[[], ToyTrials], RL2Config, float, float]] = {
    "lstm": (lambda: Bandit(32), CONFIG, -18.038663, 22.956060),
    "gru, continuous": (
        lambda: HiddenPoint(32),
        replace(CONFIG, network=replace(SMALL, cell="gru")),
        -22.794752,
        10.714028,
    ),
    "attention": (lambda: Bandit(32), replace(CONFIG, network=replace(SMALL, cell="attention")), 73.478355, 14.228415),
    "masked": (lambda: MaskedBandit(32), CONFIG, -18.012665, 22.956175),
    "trials of several lengths": (
        lambda: VaryingRecall(32),
        replace(CONFIG, trials_per_env=2, network=replace(SMALL, head_sizes=(8,), shared=False, skip=False)),
        22.005571,
        17.691882,
    ),
    "prediction of the task": (lambda: Bandit(32), replace(CONFIG, task_prediction=PREDICTION), 54.245652, 23.172360),
    "no memory": (lambda: Bandit(32), replace(CONFIG, network=Network(recurrent=False)), -18.004409, 22.956372),
}
"""Environment, settings, and the sum and the norm of the weights after two iterations."""


@pytest.mark.parametrize("name", CASES)
def test_a_short_training_ends_where_it_did(name: str) -> None:
    make, config, total, norm = CASES[name]
    agent = RL2(make(), config, seed=3).learn(32 * 10 + 1)
    weights = torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()]).double()
    assert float(weights.sum()) == pytest.approx(total, rel=1e-5, abs=1e-3)
    assert float(weights.norm()) == pytest.approx(norm, rel=1e-6)
