"""RL² with an expert in training: advice in trials of any length, and trials that the expert plays."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from toy_locks import KEYS, OBSERVATION_SIZE, PREVIOUS_ACTION, Locksmith, locks
from toy_trials import StopAt

from metaenv.agents import imitation
from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.policies import RandomPolicy

LOCKSMITH = Teacher("locksmith", rollout_fraction=0.5)
SMALL = RL2Config(
    n_epochs=2, n_minibatches=2, network=Network((16,), 16), task_prediction=TaskPrediction(0.1, feed_to_policy=True)
)
TAUGHT = replace(SMALL, teacher=LOCKSMITH, trials_per_env=2, task_prediction=TaskPrediction(0.1))


class WithoutRestart:
    """A locksmith that cannot begin anew in some rows only."""

    def __init__(self) -> None:
        teacher = Locksmith()
        self.start, self.act, self.observe = teacher.start, teacher.act, teacher.observe


class Forbidden(Locksmith):
    def act(self, observation: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.full(len(observation), KEYS)


@pytest.fixture(autouse=True)
def _policies(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"locksmith": Locksmith(), "random": RandomPolicy(), "old": WithoutRestart(), "forbidden": Forbidden()}
    monkeypatch.setattr(imitation, "baselines_of", lambda env: (known, "random"))


def batches(agent: RL2, steps: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, NDArray[Any]]]:
    """What the agent has collected in each iteration of a training of so many steps."""
    seen: list[dict[str, NDArray[Any]]] = []
    update = agent._update

    def keep(batch: dict[str, NDArray[Any]]) -> dict[str, float]:
        seen.append(dict(batch))
        return update(batch)

    monkeypatch.setattr(agent, "_update", keep)
    agent.learn(steps)
    return seen


def weights(agent: RL2) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()])


def obedience(agent: RL2) -> float:
    """Share of tries with the right key once it was found, in the first four tries."""
    env, state, rewards = locks(2000), None, []
    observation, _ = env.reset(seed=9)
    for _ in range(4):
        action, state = agent.predict(observation, state)
        observation, reward, *_ = env.step(action)
        rewards.append(reward)
    right = np.array(rewards)
    return float(right[np.cumsum(right, 0) - right > 0].mean())


# ---------------------------------------------------------------- a teacher


def test_a_teacher_begins_anew_where_a_trial_does(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batches(RL2(locks(50), replace(TAUGHT, teacher=Teacher("locksmith")), seed=0), 100, monkeypatch)[0]
    assert batch["rewards"].shape == (6, 100) and not batch["valid"].all()
    right, known = batch["task_vectors"].argmax(-1), np.cumsum(batch["rewards"], 0) - batch["rewards"] > 0
    np.testing.assert_array_equal(batch["advice"][batch["valid"]], np.where(known, right, -1)[batch["valid"]])


@pytest.mark.parametrize("rollout_fraction", [0.0, 0.5])
def test_a_teacher_is_enough_to_learn_from_in_trials_of_different_lengths(rollout_fraction: float) -> None:
    # A reward scale of 0 leaves PPO nothing to learn from.
    config = RL2Config(network=Network((32,), 32), learning_rate=5e-3, reward_scale=0.0)
    taught = replace(config, teacher=Teacher("locksmith", 1.0, rollout_fraction))
    assert obedience(RL2(locks(64), taught, seed=0).learn(12_000)) > 0.95
    # An agent that learns nothing keeps to four keys at random.
    assert obedience(RL2(locks(64), config, seed=0).learn(1_000)) == pytest.approx(0.25, abs=0.1)


def test_the_teacher_plays_a_share_of_the_trials_that_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 400
    seen = batches(RL2(locks(n), replace(TAUGHT, trials_per_env=1), seed=0), n * 6 * 8, monkeypatch)
    shares = [batch["assisted"][0].mean() for batch in seen]
    # Half at the start; four standard errors are 4 * sqrt(1 / 4 / 400).
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[2] < shares[0] and shares[-1] == 0
    for batch in seen[:2]:
        going_on = batch["valid"][1:]
        shown = batch["observations"][1:, :, PREVIOUS_ACTION].argmax(-1)
        by_teacher = (batch["assisted"] & (batch["advice"] >= 0))[:-1]
        expected = np.where(by_teacher, batch["advice"][:-1], batch["samples"][:-1])
        np.testing.assert_array_equal(shown[going_on], expected[going_on])
        # Whole trials: whether a row is assisted does not change on the way.
        assert (batch["assisted"] == batch["assisted"][0])[batch["valid"]].all()


def test_all_trials_may_be_the_teachers() -> None:
    agent = RL2(locks(16), replace(TAUGHT, teacher=replace(LOCKSMITH, rollout_fraction=1.0)), seed=0)
    before = agent.policy.value_head[-1].weight.clone()
    agent.learn(16)
    assert torch.isfinite(weights(agent)).all()
    assert torch.equal(agent.policy.value_head[-1].weight, before)  # nobody's value was learned


# ---------------------------------------------------------------- losses


def constant_agent(config: RL2Config) -> RL2:
    """Plays 4 actions with probabilities 0.1, 0.2, 0.3, 0.4, values everything 0; at the start of its training."""
    agent = RL2(locks(2), config, seed=0)
    for head in (agent.policy.policy_head[-1], agent.policy.value_head[-1]):
        torch.nn.init.zeros_(head.weight)
    agent.policy.policy_head[-1].bias.data = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    agent._total_timesteps = 1000
    return agent


def two_trials() -> dict[str, torch.Tensor]:
    """Three steps of two trials."""
    generator = torch.Generator().manual_seed(0)
    batch = {
        "observations": torch.rand(3, 2, OBSERVATION_SIZE, generator=generator),
        "samples": torch.tensor([[0, 1], [1, 2], [3, 3]]),
        "log_probs": torch.full((3, 2), math.log(0.2)),
        "advantages": torch.tensor([[1.0, 5.0], [2.0, 6.0], [-3.0, 7.0]]),
        "returns": torch.tensor([[1.0, 8.0], [2.0, 9.0], [3.0, 10.0]]),
        "task_vectors": torch.eye(KEYS)[torch.tensor([[0, 1]] * 3)],
        "advice": torch.tensor([[-1, 3], [0, 3], [-1, -1]]),
    }
    return batch


def gradient(agent: RL2, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    agent.policy.zero_grad()
    agent._loss(batch, 0.01)[0].backward()
    return torch.cat([p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None])


def test_losses_by_hand() -> None:
    agent = constant_agent(TAUGHT)
    batch = two_trials()
    batch["imitated"] = batch["advice"] >= 0
    batch["on_policy"] = torch.tensor([[True, False]] * 3)
    _, metrics = agent._loss(batch, 0.01)
    # The three pieces of advice have probabilities 0.4, 0.1, 0.4.
    assert metrics["imitation_loss"].item() == pytest.approx(-(2 * math.log(0.4) + math.log(0.1)) / 3)
    # Trial 0 alone: ratios 0.1, 0.2, 0.4 over 0.2; the smaller of ratio * A and clip(ratio, 0.8, 1.2) * A.
    assert metrics["policy_loss"].item() == pytest.approx(-(0.5 * 1 + 1 * 2 - 2 * 3) / 3)
    assert metrics["value_loss"].item() == pytest.approx((1 + 4 + 9) / 3)
    assert metrics["clip_fraction"].item() == pytest.approx(2 / 3)


def test_a_step_without_advice_teaches_nothing() -> None:
    agent, batch = constant_agent(replace(TAUGHT, vf_coef=0.0)), two_trials()
    batch["advantages"].zero_()
    batch["advice"].fill_(-1)
    batch["imitated"] = batch["advice"] >= 0
    agent._loss(batch, 0.0)[0].backward()
    for head in (agent.policy.policy_head, agent.policy.value_head):
        assert all((p.grad == 0).all() for p in head.parameters())


def test_ppo_learns_nothing_from_what_the_teacher_played() -> None:
    agent, batch = constant_agent(TAUGHT), two_trials()
    batch["advice"][:, 1] = -1
    batch["imitated"] = batch["advice"] >= 0
    batch["on_policy"] = torch.tensor([[True, False]] * 3)
    both = gradient(agent, batch)
    other = {name: x.clone() for name, x in batch.items()}
    for name in ("advantages", "returns", "log_probs"):
        other[name][:, 1] = -20.0
    assert torch.equal(gradient(agent, other), both)
    # But for the task's prediction, which is averaged over both trials, it is the gradient of trial 0.
    head = agent.policy.policy_head[-1]
    agent.policy.zero_grad()
    agent._loss({name: x[:, :1] for name, x in batch.items()}, 0.01)[0].backward()
    alone = head.weight.grad.clone()
    gradient(agent, batch)
    torch.testing.assert_close(head.weight.grad, alone)
    assert alone.abs().max() > 0


# ---------------------------------------------------------------- resuming, refusing


@pytest.mark.parametrize("config", [TAUGHT, replace(SMALL, teacher=LOCKSMITH)])
def test_training_with_help_resumes_exactly(config: RL2Config, tmp_path: Path) -> None:
    steps = 32 * 12 * 8
    unbroken = RL2(locks(32), config, seed=3).learn(steps)
    broken = RL2(locks(32), config, seed=3).learn(steps, StopAt(steps // 3))
    assert 0 < broken.num_timesteps < steps // 2
    broken.save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=locks(32))
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "old"}, "restart"),
        ({"name": "forbidden"}, "Expected allowed actions in 0..3"),
        ({"rollout_fraction": 1.5}, "rollout_fraction to be a number from 0 to 1, got 1.5"),
    ],
)
def test_help_that_cannot_be_given_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RL2(locks(4), replace(TAUGHT, teacher=replace(LOCKSMITH, **changes)), seed=0).learn(40)
