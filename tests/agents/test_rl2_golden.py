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

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config, VariationalBelief
from metaenv.trial import VectorTrial, make_trials

CONFIG = RL2Config(n_epochs=2, n_minibatches=2)
SMALL = Network((16,), 16)
PREDICTION = TaskPrediction(1.0, feed_to_policy=True)

CASES: dict[str, tuple[Callable[[], ToyTrials | VectorTrial], RL2Config, float, float]] = {
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
    "hypernetwork": (
        lambda: Bandit(32),
        replace(CONFIG, network=replace(SMALL, heads="hypernetwork")),
        10.900332,
        11.958284,
    ),
    "a variational belief": (
        lambda: Bandit(32),
        replace(CONFIG, belief=VariationalBelief(3, kl_coef=0.5, outcome_coef=2.0, decoder_sizes=(16,))),
        4.077528,
        23.216039,
    ),
    "a teacher": (
        lambda: make_trials("BernoulliBandit", 32, episodes=10, n_arms=5),
        replace(CONFIG, teacher=Teacher("Gittins index", 0.8, rollout_fraction=0.5)),
        -27.991498,
        23.043126,
    ),
    "all coefficients": (
        lambda: HiddenPoint(32),
        RL2Config(
            n_epochs=3,
            learning_rate_final=1e-3,
            gamma=0.9,
            gamma_final=0.5,
            gae_lambda=0.7,
            clip_range=0.05,
            ent_coef=0.2,
            ent_coef_final=0.1,
            vf_coef=2.0,
            max_grad_norm=0.1,
            normalize_advantage=False,
            reward_scale=0.5,
            network=replace(SMALL, head_sizes=(8,), log_std_init=0.2),
        ),
        14.494665,
        13.019069,
    ),
}
"""Environment, settings, and the sum and the norm of the weights after two iterations."""


@pytest.mark.parametrize("name", CASES)
def test_a_short_training_ends_where_it_did(name: str) -> None:
    make, config, total, norm = CASES[name]
    agent = RL2(make(), config, seed=3).learn(32 * 10 + 1)
    weights = torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()]).double()
    assert float(weights.sum()) == pytest.approx(total, rel=1e-5, abs=1e-3)
    assert float(weights.norm()) == pytest.approx(norm, rel=1e-6)
