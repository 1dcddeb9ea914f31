"""The memory that looks back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_trials import Bandit, StopAt, VaryingRecall

from metaenv.agents.attention import AttentionMemory
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config

SMALL = RL2Config(n_epochs=2, n_minibatches=2, network=Network((16,), 16, cell="attention"))


def memory(span: int = 12) -> AttentionMemory:
    torch.manual_seed(0)
    made = AttentionMemory(5, 16, span)
    made.initialise()
    return made


def test_no_step_sees_a_later_one() -> None:
    cell, x = memory(), torch.randn(12, 3, 5)
    found, _ = cell(x, None)
    changed = x.clone()
    changed[7:] = torch.randn(5, 3, 5)
    again, _ = cell(changed, None)
    torch.testing.assert_close(found[:7], again[:7])
    assert (found[7:] - again[7:]).abs().amax(-1).min() > 1e-3


def test_the_first_step_is_seen_at_the_last() -> None:
    cell, x = memory(), torch.randn(12, 1, 5, requires_grad=True)
    cell(x, None)[0][-1, 0, 0].backward()
    assert x.grad is not None and x.grad[0].abs().max() > 0


@torch.no_grad()
def test_trials_at_different_places_can_be_stepped_together() -> None:
    cell, x = memory(), torch.randn(12, 2, 5)
    whole, _ = cell(x, None)
    _, early = cell(x[:3, :1], None)
    _, late = cell(x[:8, 1:], None)
    found, state = cell(torch.stack([x[3, 0], x[8, 1]])[None], torch.cat([early, late]))
    torch.testing.assert_close(found[0], torch.stack([whole[3, 0], whole[8, 1]]))
    assert state[:, -1].tolist() == [4, 9]


def test_more_steps_than_the_span_are_refused() -> None:
    cell = memory(4)
    with pytest.raises(ValueError, match="at most 4 steps"):
        cell(torch.randn(5, 1, 5), None)
    with pytest.raises(ValueError, match="at most 4 steps"):
        cell(torch.randn(1, 1, 5), cell(torch.randn(4, 1, 5), None)[1])


def test_trials_of_varying_length_are_refused() -> None:
    with pytest.raises(ValueError, match="fixed length"):
        RL2(VaryingRecall(4), SMALL, seed=0)


def test_it_learns_a_bandit() -> None:
    # 10 pulls of 5 arms: random play earns 5, the Bayes optimum 6.66.
    agent = RL2(
        Bandit(128), RL2Config(learning_rate=4e-3, network=Network(cell="attention", hidden_size=32)), seed=0
    ).learn(64_000)
    env, returns, state = Bandit(2000), np.zeros(2000), None
    observation, _ = env.reset(seed=9)
    for _ in range(10):
        action, state = agent.predict(observation, state, deterministic=True)
        observation, reward, *_ = env.step(action)
        returns += reward
    assert returns.mean() > 5.5


def test_predicting_leaves_the_state_it_was_given_alone() -> None:
    agent = RL2(Bandit(4), SMALL, seed=0)
    observation, _ = Bandit(4).reset(seed=0)
    _, state = agent.predict(observation)
    before = state.copy()
    first, second = (agent.predict(observation, state, deterministic=True) for _ in range(2))
    np.testing.assert_array_equal(state, before)
    np.testing.assert_array_equal(first[1], second[1])


def test_training_resumes_exactly(tmp_path: Path) -> None:
    unbroken = RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 5)
    RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 5, StopAt(32 * 10 * 3)).save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=Bandit(32))
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    for a, b in zip(resumed.policy.parameters(), unbroken.policy.parameters(), strict=True):
        assert torch.equal(a, b)
