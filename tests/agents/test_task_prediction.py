"""The prediction of the task vector, its losses by hand, and RL² with it as an input of the policy."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_locks import locks
from toy_trials import Peek, StopAt, rewards_per_step

from metaenv.agents.config import TaskPrediction
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.agents.task_prediction import TaskHead

FED = RL2Config(
    learning_rate=5e-3, gamma=1.0, network=Network((32,), 32), task_prediction=TaskPrediction(1.0, feed_to_policy=True)
)
BINARY = replace(
    FED,
    trials_per_env=2,
    network=replace(FED.network, shared=False),
    task_prediction=TaskPrediction(1.0, "bce", feed_to_policy=True),
)
OUTPUT, TRUTH = [0.8, -0.3, 0.0], [1.0, 0.0, 1.0]


def constant_head(loss: str) -> TaskHead:
    """Puts out the same for all features."""
    head = TaskHead(4, 3, loss)  # type: ignore[arg-type]
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor(OUTPUT)
    return head


def test_errors_by_hand() -> None:
    features, vectors = torch.zeros(1, 2, 4), torch.tensor(TRUTH).expand(1, 2, 3)
    squares = (0.2**2 + 0.3**2 + 1) / 3
    assert constant_head("mse").error(features, vectors)[0].tolist() == pytest.approx([squares] * 2)
    # -log of the probability given to what is so: 1 / (1 + exp(-0.8)), 1 - 1 / (1 + exp(0.3)), 1 / 2.
    entropies = -(math.log(0.6899745) + math.log(1 - 0.4255575) + math.log(0.5)) / 3
    assert constant_head("bce").error(features, vectors)[0].tolist() == pytest.approx([entropies] * 2, rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_mean_error_is_the_mean_over_the_rows(loss: str) -> None:
    head, generator = TaskHead(4, 3, loss), torch.Generator().manual_seed(0)  # type: ignore[arg-type]
    features, vectors = torch.randn(5, 4, generator=generator), torch.rand(5, 3, generator=generator)
    torch.testing.assert_close(head.mean_error(features, vectors), head.error(features, vectors).mean())


def test_predictions_are_vectors_or_probabilities_without_gradient() -> None:
    features = torch.zeros(4, requires_grad=True)
    for loss, expected in (("mse", OUTPUT), ("bce", [0.6899745, 0.4255575, 0.5])):
        predicted = constant_head(loss).predict(features)
        assert predicted.tolist() == pytest.approx(expected, rel=1e-6) and not predicted.requires_grad


def test_indicators_must_lie_between_0_and_1() -> None:
    constant_head("bce").check(np.array([[0.0, 0.5, 1.0]], np.float32))
    constant_head("mse").check(np.array([[-1.0, 2.0, 0.0]], np.float32))
    with pytest.raises(ValueError, match=r"task vectors in \[0, 1\].* got 0 to 2"):
        constant_head("bce").check(np.array([[0.0, 2.0, 1.0]], np.float32))


def test_a_policy_that_sees_its_prediction_learns() -> None:
    agent = RL2(Peek(128), FED, seed=0).learn(16_000)
    # 4.9 at best, 0 for those who do nothing.
    assert rewards_per_step(agent, Peek(2_000), seed=1).sum() > 4.5


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (lambda: Peek(32), FED),
        (lambda: Peek(32), replace(FED, network=replace(FED.network, cell="attention", head_sizes=(8,)))),
        (lambda: locks(32), BINARY),
    ],
)
def test_training_with_a_prediction_resumes_exactly(make: Any, config: RL2Config, tmp_path: Path) -> None:
    steps = 32 * 6 * 8
    unbroken = RL2(make(), config, seed=3).learn(steps)
    broken = RL2(make(), config, seed=3).learn(steps, StopAt(steps // 3))
    assert 0 < broken.num_timesteps < steps // 2
    broken.save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=make())
    assert resumed.config == config
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    for a, b in zip(resumed.policy.parameters(), unbroken.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rl2_refuses_vectors_that_are_no_indicators() -> None:
    with pytest.raises(ValueError, match=r"task vectors in \[0, 1\].* got 0 to 2"):
        RL2(locks(4, scale=2.0), BINARY, seed=0).learn(40)
    with pytest.raises(ValueError, match="expected coef to be a number above 0, got 0"):
        TaskPrediction(0.0)
