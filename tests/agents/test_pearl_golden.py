"""Short trainings of PEARL end with the weights that they have always ended with.

As `test_rl2_golden` for RL²: the numbers are those of the version that they were written with, and each case departs
from the paper's algorithm in other settings. When a training is meant to change, write them anew and say so in
CHANGELOG.md.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from toy_pearl import ENDS, MIXED, SMALL, STEPS, SUMMED, bandit, masked, materials, point, weights, with_exploration

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import ContextConfig, PEARLConfig
from metaenv.trial import VectorTrial

PREDICTION = TaskPrediction(0.7, feed_to_policy=True)
ITERATIONS = 5

CASES: dict[str, tuple[Callable[[], VectorTrial], PEARLConfig, float, float]] = {
    "the paper's, discrete": (bandit, SMALL, -10.242186, 8.642421),
    "the paper's, continuous": (point, SMALL, -10.236271, 8.229839),
    "masked, a fixed weight of the entropy": (masked, replace(SMALL, ent_coef=0.3), -14.338975, 8.695559),
    "sum pooling": (bandit, SUMMED, -2.398236, 7.901074),
    "a mixture": (point, MIXED, -6.011672, 9.670291),
    "ends of episodes": (materials, replace(SMALL, context=ENDS, target_entropy=-0.5, tau=0.02), -3.960795, 8.015128),
    "the mean of the belief, and its divergence annealed": (
        bandit,
        replace(SMALL, belief=replace(SMALL.belief, sample=False, kl_coef=0.5, kl_coef_final=0.02)),
        -10.299398,
        8.645949,
    ),
    "rewards decoded": (
        bandit,
        replace(SMALL, belief=replace(SMALL.belief, reward_coef=2.0), reward_scale=3.0, gamma=0.5),
        -10.203677,
        8.642599,
    ),
    "a predicted task": (bandit, replace(SMALL, task_prediction=PREDICTION), -11.165758, 8.365649),
    "a teacher, and new tasks": (
        bandit,
        replace(SMALL, teacher=Teacher("Gittins index", rollout_fraction=0.5), refresh_tasks=2),
        -10.248293,
        8.642960,
    ),
    "long contexts of several trials, and z drawn anew": (
        point,
        with_exploration(
            replace(SMALL, context=ContextConfig(16, latest_trials=2, min_fraction=0.5)),
            random_action_repeat=5,
            prior_episodes=0,
            resample_every=7,
        ),
        -10.277762,
        8.229241,
    ),
}
"""Environment, settings, and the sum and the norm of the weights after five iterations."""


@pytest.mark.parametrize("name", CASES)
def test_a_short_training_ends_where_it_did(name: str) -> None:
    make, config, total, norm = CASES[name]
    env = make()
    agent = PEARL(env, config, seed=3).learn(ITERATIONS * env.num_envs * STEPS[make])
    found = weights(agent).double()
    assert agent.iteration == ITERATIONS
    assert (float(found.sum()), float(found.norm())) == (
        pytest.approx(total, rel=1e-5, abs=2e-3), pytest.approx(norm, rel=1e-5)
    )  # fmt: skip
