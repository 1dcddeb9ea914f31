"""PEARL with privileged help in training: a predicted task, and an expert that plays some of the trials."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger
from toy_locks import Locksmith, locks
from toy_pearl import ENDS, SMALL, Losses, bandit

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import BeliefConfig, ContextConfig

PREDICTING = replace(SMALL, task_prediction=TaskPrediction(1.0, "bce", feed_to_policy=True))


TAUGHT = replace(SMALL, teacher=Teacher("locksmith", anneal_fraction=1e6, rollout_fraction=1.0))


def test_the_task_is_predicted_from_what_was_seen() -> None:
    """Keys are tried at random: after the first that opens, the lock is known; before, only what it is not."""
    config = replace(
        PREDICTING,
        n_tasks=40,
        gradient_steps=60,
        meta_batch=40,
        gamma=0.0,
        learning_rate=1e-2,
        context=ContextConfig(size=8),
        belief=BeliefConfig(latent_size=8, encoder_sizes=(32,), sample=False),
    )
    agent = PEARL(locks(40), config, seed=0)
    losses = Losses()
    agent.set_logger(Logger(None, [losses]))
    agent.learn(40 * 6 * 6)
    # Knowing nothing of a one-hot vector of 4 costs -(log(1/4) + 3 log(3/4)) / 4 = 0.562 nats a coordinate.
    seen = [loss["train/task_prediction_loss"] for loss in losses.seen if "train/task_prediction_loss" in loss]
    assert seen[-1] < 0.35 < 0.5 < seen[0]


def test_the_prediction_is_no_path_for_the_gradients_of_critics_and_actor() -> None:
    agent = PEARL(locks(3), PREDICTING, seed=0)
    assert agent.task_head is not None and agent.dims.task_dim == 4
    z = torch.zeros(2, SMALL.belief.latent_size, requires_grad=True)
    policy_input = agent._policy_input(z)
    assert (
        policy_input.shape == (2, SMALL.belief.latent_size + 4)
        and ((policy_input[:, -4:] > 0) & (policy_input[:, -4:] < 1)).all()
    )
    policy_input[:, -4:].sum().backward()
    assert z.grad is not None and (z.grad == 0).all() and agent.task_head.weight.grad is None


def test_task_vectors_that_are_no_indicators_are_refused() -> None:
    with pytest.raises(ValueError, match="task vectors in"):
        PEARL(locks(3, scale=3.0), PREDICTING, seed=0).learn(1_000)


def give_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaenv.agents.imitation.baselines_of", lambda env: ({"locksmith": Locksmith()}, None))


def test_a_teacher_plays_a_share_of_the_trials_that_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    give_teacher(monkeypatch)
    agent = PEARL(locks(300), replace(SMALL, n_tasks=300, teacher=Teacher("locksmith", 0.5, 0.6)), seed=0)
    agent._total_timesteps = 1000
    for played_steps, share in ((0, 0.6), (250, 0.3), (500, 0.0), (900, 0.0)):
        agent.num_timesteps = played_steps
        found = agent._draw_assistance(300, np.random.default_rng(0)).mean()
        assert abs(found - share) <= 3 * (share * (1 - share) / 300) ** 0.5


def test_contexts_hold_a_teachers_trials_and_critics_the_agents_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has found the right key the locksmith tries no other; random play does, 3 times out of 4."""
    give_teacher(monkeypatch)
    agent = PEARL(locks(40), replace(TAUGHT, n_tasks=40, context=ENDS), seed=0)
    agent.learn(40 * 6 + 1)
    assert agent.iteration == 2, "a trial of each task at random, and one that the teacher plays"
    kept, tasks, rng = agent._training_tasks.replay, np.arange(40), np.random.default_rng(0)
    steps, own = kept.sample(tasks, 50, rng), list[float]()
    assert not steps["assisted"].any()
    for task in tasks:
        taught = kept._tensors["assisted"][task, : kept.written[task]].numpy()
        rewards = kept._tensors["rewards"][task, : kept.written[task]].numpy()
        assert (np.diff(taught.astype(int)) >= 0).all() and {*taught.tolist()} == {False, True}
        for played_by, after in ((taught, None), (~taught, own)):
            found = np.flatnonzero(rewards[played_by] > 0)[:1]
            later = rewards[played_by][found[0] + 1 :] if len(found) else []
            if after is None:
                assert all(reward == 1 for reward in later)
            else:
                after.extend(later)
    assert 0.1 < np.mean(own) < 0.4
    assert kept.ends(tasks, 4, rng)[0]["assisted"].any()


def test_an_unknown_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match="no baseline 'locksmith'"):
        PEARL(bandit(), TAUGHT)
