"""RL² with its own prediction of the hidden task as an input, and with the truth in its place early in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from toy_locks import locks
from toy_trials import Bandit, Peek, StopAt, ToyTrials, rewards_per_step

from metaenv.agents.networks import Categorical
from metaenv.agents.rl2 import RL2, RL2Config
from metaenv.trial import VectorTrial

LEARNER = RL2Config(hidden_size=32, embedding_sizes=(32,), learning_rate=5e-3, gamma=1.0)
BELIEF = replace(LEARNER, task_prediction_coef=1.0, belief=True)
REVEALED = replace(BELIEF, reveal_share=0.5)
BINARY = replace(REVEALED, task_prediction_loss="bce", trials_per_env=2, shared=False)


class Batches(RL2):
    """Keeps what it has collected, and with it what the policy says of it before it learns."""

    def _update(self, batch: dict[str, NDArray[Any]]) -> dict[str, float]:
        kept = dict(batch)
        tensors = {name: torch.from_numpy(x) for name, x in batch.items()}
        given = {name: tensors[name] for name in ("masks", "contexts", "revealed") if name in tensors}
        with torch.no_grad():
            for name, inputs in (("again", given), ("unaided", {**given, "revealed": None})):
                law = self.policy(tensors["observations"], keep_state=False, **inputs)[0]
                kept[name] = law.log_prob(tensors["samples"]).numpy()
        self.kept = [*getattr(self, "kept", []), kept]
        self.logged = [*getattr(self, "logged", []), metrics := super()._update(batch)]
        return metrics


def weights(agent: RL2) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()])


def test_a_revealed_task_teaches_what_its_discovery_is_good_for() -> None:
    def score(config: RL2Config) -> float:
        agent = RL2(Peek(128), config, seed=0).learn(20_000)
        return float(rewards_per_step(agent, Peek(2_000), seed=1).sum())

    # 4.9 at best, 0 for those who do nothing.
    assert score(REVEALED) > 4.7
    assert score(LEARNER) < 3


def test_a_belief_learns_without_being_told() -> None:
    agent = RL2(Peek(128), BELIEF, seed=0).learn(40_000)
    assert rewards_per_step(agent, Peek(2_000), seed=1).sum() > 4.5


def test_the_share_of_revealed_trials_falls_and_the_update_knows_them() -> None:
    n = 400
    agent = Batches(locks(n), replace(BINARY, trials_per_env=1), seed=0)
    agent.learn(n * 6 * 8)
    shares = [batch["revealed"][0].mean() for batch in agent.kept]
    # Half at the start; four standard errors are 4 * sqrt(1 / 4 / 400).
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert 0 < shares[2] < shares[0] and shares[-1] == 0
    first = agent.kept[0]
    valid, revealed = first["valid"], first["revealed"]
    assert (revealed == revealed[0])[valid].all()
    np.testing.assert_allclose(first["again"][valid], first["log_probs"][valid], atol=1e-5)
    differs = np.abs(first["unaided"] - first["log_probs"]) > 1e-5
    assert differs[valid & revealed].mean() > 0.9 and not differs[valid & ~revealed].any()


def test_the_log_tells_how_the_policy_does_without_help() -> None:
    agent = Batches(locks(64), replace(BINARY, epochs=1, minibatches=1), seed=0)
    agent.learn(64)
    batch, logged = agent.kept[0], agent.logged[0]
    unaided = ~batch["revealed"][0]
    assert logged["rollout/return"] == pytest.approx(batch["rewards"][:, unaided].sum(0).mean())
    assert logged["rollout/trial_length"] == pytest.approx(batch["valid"][:, unaided].sum(0).mean())
    # The one update begins with the policy that played, which knew as much.
    assert abs(logged["train/approx_kl"]) < 1e-6


@pytest.mark.parametrize("config", [BELIEF, REVEALED, BINARY])
def test_predict_does_as_training_does_without_help(config: RL2Config, monkeypatch: pytest.MonkeyPatch) -> None:
    env = Peek(64)
    agent = RL2(env, config, seed=0).learn(64 * 6 * 2)
    monkeypatch.setattr(Categorical, "sample", lambda law, generator: law.mode())
    observation, state, memory, ends = env.reset(seed=2)[0], None, None, np.zeros(64, np.bool_)
    for _ in range(6):
        step = {"observations": observation, "contexts": env.task_vector(), "revealed": ends}
        trained, state = agent._act(step, state, ends)
        action, memory = agent.predict(observation, memory, deterministic=True)
        np.testing.assert_array_equal(action, trained)
        observation, *_ = env.step(action)
    assert state is not None
    np.testing.assert_array_equal(memory, state.numpy())


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (lambda: Peek(32), REVEALED),
        (lambda: Peek(32), replace(REVEALED, cell="attention", head_sizes=(8,))),
        (lambda: locks(32), BINARY),
    ],
)
def test_training_with_a_revealed_task_resumes_exactly(make: Any, config: RL2Config, tmp_path: Path) -> None:
    steps = 32 * 6 * 8
    unbroken = RL2(make(), config, seed=3).learn(steps)
    broken = RL2(make(), config, seed=3).learn(steps, StopAt(steps // 3))
    assert 0 < broken.num_timesteps < steps // 2
    broken.save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=make())
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_a_checkpoint_from_before_these_settings_loads(tmp_path: Path) -> None:
    RL2(Bandit(4), seed=0).save(tmp_path / "agent.pt")
    content = torch.load(tmp_path / "agent.pt", weights_only=True)
    for name in ("belief", "task_prediction_loss", "reveal_share", "reveal_until", "teacher_acts"):
        del content["state"]["config"][name]
    torch.save(content, tmp_path / "agent.pt")
    assert RL2.load(tmp_path / "agent.pt").config == RL2Config()


@pytest.mark.parametrize(
    ("make", "config", "message"),
    [
        (lambda: locks(4, scale=2.0), BINARY, r"contexts in \[0, 1\].* got 0 to 2"),
        (lambda: Peek(4), RL2Config(belief=True), "task_prediction_coef > 0"),
        (lambda: Peek(4), replace(REVEALED, belief=False), "belief=True"),
        (lambda: Peek(4), replace(REVEALED, reveal_share=-0.1), r"reveal_share in \[0, 1\]"),
    ],
)
def test_contradictions_are_refused(make: Any, config: RL2Config, message: str) -> None:
    env: ToyTrials | VectorTrial = make()
    with pytest.raises(ValueError, match=message):
        RL2(env, config, seed=0).learn(40)
