"""RL² on toys whose best and blind scores are known; see toy_trials.py."""

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EveryNTimesteps, ProgressBarCallback
from stable_baselines3.common.logger import KVWriter, Logger
from toy_batches import first_batch
from toy_trials import Bandit, HiddenPoint, MaskedBandit, Recall, StopAt, ToyTrials, VaryingRecall, rewards_per_step

from metaenv.agents.config import TaskPrediction
from metaenv.agents.numerics import gae
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.checkpoints import load_checkpoint, save_checkpoint

SMALL = RL2Config(n_epochs=2, n_minibatches=2, network=Network((16,), 16, cell="gru"))


# ---------------------------------------------------------------- learning


def test_learns_to_explore_a_bandit() -> None:
    agent = RL2(Bandit(128), RL2Config(learning_rate=4e-3), seed=0).learn(80_000)
    score = rewards_per_step(agent, Bandit(10_000), seed=1).sum()
    # Random play earns 5.0, the best play 6.66; the standard error of the score is 0.02.
    assert 6.1 < score < 6.66 + 4 * 0.022


def test_remembers_what_the_control_without_memory_cannot() -> None:
    scores = []
    for recurrent in (True, False):
        config = RL2Config(learning_rate=5e-3, network=Network((32,), 32, recurrent=recurrent))
        agent = RL2(Recall(256), config, seed=0).learn(12_000)
        scores.append(rewards_per_step(agent, Recall(5_000), seed=1).sum())
    # Best of 6 pulls on 4 arms: 1/4 + 5 with a memory, 1 + 5/4 without.
    assert scores[0] > 4.9
    assert scores[1] < 1 + 5 / 4 + 0.05


def test_finds_a_hidden_point_within_a_trial() -> None:
    agent = RL2(HiddenPoint(64), RL2Config(learning_rate=8e-3), seed=0).learn(40_000)
    rewards = rewards_per_step(agent, HiddenPoint(2_000), seed=1)
    # The best blind guess earns 0.388 at every step.
    assert rewards[0] < 0.388 + 0.03
    assert rewards[-3:].mean() > 0.6


def test_learns_from_trials_of_different_lengths() -> None:
    agent = RL2(VaryingRecall(128), RL2Config(learning_rate=5e-3), seed=0).learn(12_000)
    score = rewards_per_step(agent, Recall(5_000), seed=1).sum()
    # 5.25 at best, 2.25 without a memory.
    assert score > 4.9


def test_task_prediction_is_learned_and_needs_an_env_that_offers_it() -> None:
    config = replace(SMALL, task_prediction=TaskPrediction(1.0), learning_rate=5e-3)
    agent, losses = RL2(Bandit(64), config, seed=0), Losses("train/task_prediction_loss")
    agent.set_logger(Logger(None, [losses]))
    agent.learn(64 * 10 * 60)
    # The variance of p ~ U[0, 1] is 1/12: the loss of a predictor that knows nothing.
    assert losses.seen[-1] < 1 / 12 < losses.seen[0]
    with pytest.raises(ValueError, match="task_vector"):
        RL2(HiddenPoint(4), config)


# ---------------------------------------------------------------- the update


def first_loss(agent: RL2, batch: dict[str, np.ndarray], ent_coef: float) -> tuple[torch.Tensor, dict]:
    trained_on = {name: torch.as_tensor(x) for name, x in batch.items() if name not in ("rewards", "values")}
    return agent._loss(trained_on, ent_coef)


def test_advantages_have_mean_0_and_standard_deviation_1() -> None:
    advantages = first_batch(RL2(Bandit(8), SMALL, seed=0))["advantages"]
    assert advantages.mean() == pytest.approx(0, abs=1e-5)
    assert advantages.std() == pytest.approx(1, rel=1e-3)


def test_the_loss_is_the_sum_of_its_parts() -> None:
    agent = RL2(Bandit(8), replace(SMALL, vf_coef=0.3), seed=0)
    loss, parts = first_loss(agent, first_batch(agent), ent_coef=0.7)
    expected = parts["policy_loss"] + 0.3 * parts["value_loss"] - 0.7 * parts["entropy"]
    torch.testing.assert_close(loss.detach(), expected)
    assert parts["value_loss"] > 1e-4 and parts["entropy"] > 1


def test_before_the_first_update_the_policy_is_the_one_that_played() -> None:
    """Also in the second and third trial of an environment, whose memory begins empty."""
    agent = RL2(VaryingRecall(8), replace(SMALL, trials_per_env=3), seed=0)
    agent.policy.policy_head[-1].weight.data *= 300  # the first policy is nearly uniform: let its memory matter
    _, metrics = first_loss(agent, first_batch(agent), ent_coef=0.0)
    assert metrics["approx_kl"].item() == pytest.approx(0, abs=1e-6)


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, norms = RL2(Bandit(8), replace(SMALL, max_grad_norm=1e-3), seed=0), list[float]()
    step = agent.optimizer.step

    def watched_step() -> None:
        gradients = [p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
        step()

    monkeypatch.setattr(agent.optimizer, "step", watched_step)
    agent.learn(8 * 10)
    assert norms == pytest.approx([1e-3] * 4, rel=1e-3)


# ---------------------------------------------------------------- acting


def test_predicting_step_by_step_is_the_whole_sequence() -> None:
    agent = RL2(Bandit(3), SMALL, seed=0)
    observations = np.random.default_rng(0).normal(size=(10, 3, 7)).astype(np.float32)
    state = None
    for step in observations:
        _, state = agent.predict(step, state)
    with torch.no_grad():
        expected = agent.policy(torch.from_numpy(observations))[3].numpy()
    assert state is not None
    np.testing.assert_allclose(state, expected, atol=1e-5)


def test_episode_start_clears_the_rows_it_names() -> None:
    agent = RL2(Bandit(2), SMALL, seed=0)
    first, second = np.random.default_rng(0).normal(size=(2, 2, 7)).astype(np.float32)
    _, state = agent.predict(first)
    _, mixed = agent.predict(second, state, episode_start=np.array([True, False]))
    _, fresh = agent.predict(second)
    _, carried = agent.predict(second, state)
    np.testing.assert_array_equal(mixed, np.stack([fresh[0], carried[1]]))


def test_predict_takes_one_observation_or_many() -> None:
    observation = np.zeros(7, np.float32)
    action, state = RL2(Bandit(2), SMALL, seed=0).predict(observation)
    assert action.shape == () and state.shape == (1, 17)
    agent = RL2(HiddenPoint(2), SMALL, seed=0)
    action, state = agent.predict(np.zeros((3, 4)))
    assert action.shape == (3, 2) and action.dtype == np.float32 and state.shape == (3, 17)
    assert (np.abs(action) < 1).all()
    for deterministic in (True, False):
        twice = [agent.predict(np.ones(4), deterministic=deterministic)[0] for _ in range(2)]
        assert np.array_equal(*twice) == deterministic


def test_what_is_no_observation_is_refused_and_leaves_the_memory_alone() -> None:
    agent = RL2(HiddenPoint(2), SMALL, seed=0)
    _, state = agent.predict(np.zeros((2, 4)))
    bad = np.zeros((2, 4))
    bad[1, 3] = np.nan
    with pytest.raises(ValueError, match="expected a finite observation, got nan in column 3 of row 1"):
        agent.predict(bad, state)
    with pytest.raises(ValueError, match="expected a finite state, got inf in column 0 of row 0"):
        agent.predict(np.zeros((2, 4)), np.full_like(state, np.inf))
    for shape in ((2, 3), (2, 5), 3):
        with pytest.raises(ValueError, match=r"expected observations \(n, 4\) of trials"):
            agent.predict(np.zeros(shape), state)
    assert np.isfinite(agent.predict(np.zeros((2, 4)), state)[0]).all()


def test_masked_actions_are_never_chosen() -> None:
    env = MaskedBandit(64)
    agent = RL2(env, SMALL, seed=0).learn(64 * 10 * 5)
    assert env.forbidden == 0
    masks = np.tile(np.array([0, 1, 0, 0, 1], np.int8), (1000, 1))
    for deterministic in (True, False):
        actions, _ = agent.predict(np.zeros((1000, 7)), action_masks=masks, deterministic=deterministic)
        assert set(actions.tolist()) <= {1, 4}


# ---------------------------------------------------------------- saving and resuming


def weights(agent: RL2) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()])


MAKE: list[Callable[[], ToyTrials]] = [
    lambda: Bandit(32),
    lambda: HiddenPoint(32),
    lambda: MaskedBandit(32),
    lambda: VaryingRecall(32),
]


@pytest.mark.parametrize("make", MAKE)
def test_a_resumed_training_ends_bit_for_bit_where_an_unbroken_one_does(
    make: Callable[[], ToyTrials], tmp_path: Path
) -> None:
    unbroken = RL2(make(), SMALL, seed=3).learn(32 * 10 * 6)
    broken = RL2(make(), SMALL, seed=3).learn(32 * 10 * 6, callback=StopAt(32 * 10 * 3 + 50))
    assert 0 < broken.num_timesteps < unbroken.num_timesteps and broken.iteration > 1
    broken.save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=make())
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert resumed.num_timesteps == unbroken.num_timesteps
    assert torch.equal(weights(resumed), weights(unbroken))


def test_resuming_in_a_fresh_process_is_exact_too(tmp_path: Path) -> None:
    unbroken = RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 4)
    RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 4, callback=StopAt(32 * 10 * 2)).save(tmp_path / "half")
    script = (
        "import sys; from toy_trials import Bandit; from metaenv.agents.rl2 import RL2\n"
        "agent = RL2.load(sys.argv[1], env=Bandit(32))\n"
        "agent.learn(agent.remaining_timesteps, reset_num_timesteps=False).save(sys.argv[2])\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "half", tmp_path / "whole"],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert torch.equal(weights(RL2.load(tmp_path / "whole")), weights(unbroken))


def test_an_interrupted_iteration_is_undone() -> None:
    unbroken = RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 4)
    agent = RL2(Bandit(32), SMALL, seed=3)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(32 * 10 * 4, callback=StopAt(32 * 10 * 2 + 64, KeyboardInterrupt))
    assert agent.num_timesteps == 32 * 10 * 2 and agent.iteration == 2
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


def test_an_interrupt_in_the_middle_of_an_update_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 4)
    agent = RL2(Bandit(32), SMALL, seed=3)
    step, calls = agent.optimizer.step, iter(range(100))

    def interrupted_step() -> None:
        step()
        if next(calls) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(agent.optimizer, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(32 * 10 * 4)
    monkeypatch.undo()
    assert agent.iteration == 2
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


def test_a_checkpoint_made_during_collection_resumes_exactly(tmp_path: Path) -> None:
    callback = CheckpointCallback(save_freq=27, save_path=str(tmp_path))
    unbroken = RL2(Bandit(32), SMALL, seed=3).learn(32 * 10 * 5, callback=callback)
    resumed = RL2.load(tmp_path / f"rl_model_{27 * 32}_steps.zip", env=Bandit(32))
    assert resumed.num_timesteps == 2 * 10 * 32
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_predicting_and_seeding_elsewhere_do_not_change_training() -> None:
    class Meddler(BaseCallback):
        def _on_step(self) -> bool:
            self.model.predict(np.zeros((4, 7), np.float32))
            torch.rand(3)
            np.random.default_rng(0).random()
            return True

    plain, meddled = (RL2(Bandit(32), SMALL, seed=3).learn(32 * 30, callback=c) for c in (None, Meddler()))
    assert torch.equal(weights(plain), weights(meddled))
    before = torch.get_rng_state()
    RL2(Bandit(32), SMALL, seed=4).learn(32 * 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_agent_acts_alike(tmp_path: Path) -> None:
    agent = RL2(HiddenPoint(32), SMALL, seed=0).learn(32 * 10)
    agent.save(tmp_path / "agent.pt")
    loaded = RL2.load(tmp_path / "agent.pt")
    observation = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(agent.predict(observation)[0], loaded.predict(observation)[0])
    assert loaded.config == agent.config
    with pytest.raises(ValueError, match="Expected an env to learn on"):
        loaded.learn(10)


def test_a_checkpoint_is_refused_where_it_does_not_fit(tmp_path: Path) -> None:
    RL2(Bandit(4), SMALL, seed=0).save(tmp_path / "agent.pt")
    with pytest.raises(ValueError, match="Expected the environment this agent was made for"):
        RL2.load(tmp_path / "agent.pt", env=HiddenPoint(4))
    state = load_checkpoint(tmp_path / "agent.pt", RL2.checkpoint_kind)
    del state["optimizer"]
    save_checkpoint(tmp_path / "agent.pt", RL2.checkpoint_kind, state)
    with pytest.raises(ValueError, match="checkpoint of this version"):
        RL2.load(tmp_path / "agent.pt")


# ---------------------------------------------------------------- Stable-Baselines3's surface, and errors


class Losses(KVWriter):
    def __init__(self, name: str) -> None:
        self.name, self.seen, self.names = name, [], set[str]()

    def write(self, key_values: dict[str, float], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.seen.append(key_values[self.name])
        self.names |= set(key_values)


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_log_and_callbacks() -> None:
    calls: list[str] = []

    class Recorder(BaseCallback):
        def _on_training_start(self) -> None:
            assert self.training_env.num_envs == 32
            calls.append("start")

        def _on_rollout_start(self) -> None:
            calls.append("rollout")

        def _on_step(self) -> bool:
            assert self.locals["rewards"].shape == (32,)
            return True

        def _on_rollout_end(self) -> None:
            calls.append("rolled")

        def _on_training_end(self) -> None:
            calls.append("end")

    class Count(BaseCallback):
        def _on_step(self) -> bool:
            steps.append(self.num_timesteps)
            return True

    steps: list[int] = []
    every = EveryNTimesteps(100, Count())
    agent, log = RL2(Bandit(32), SMALL, seed=0), Losses("rollout/return")
    agent.set_logger(Logger(None, [log]))
    assert agent.learn(32 * 10 * 2, callback=[Recorder(), every], progress_bar=True) is agent
    assert calls == ["start", "rollout", "rolled", "rollout", "rolled", "end"]
    assert steps == [128, 256, 384, 512, 640]
    # A mean of 32 returns with standard deviation below 2.4 around 5.
    assert len(log.seen) == 2 and all(abs(value - 5) < 4 * 2.4 / math.sqrt(32) for value in log.seen)
    losses = {"policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"}
    others = {"time/fps", "time/total_timesteps", "train/explained_variance", "train/learning_rate"}
    assert others | {f"train/{name}" for name in losses} <= log.names


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_an_error_closes_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is left open has Python print a traceback of its own when it ends."""

    class Broken(BaseCallback):
        def _on_step(self) -> bool:
            raise RuntimeError("broken")

    closed: list[bool] = []
    close = ProgressBarCallback._on_training_end
    monkeypatch.setattr(ProgressBarCallback, "_on_training_end", lambda bar: (close(bar), closed.append(True)))
    with pytest.raises(RuntimeError, match="broken"):
        RL2(Bandit(32), SMALL, seed=0).learn(320, callback=Broken(), progress_bar=True)
    assert closed == [True]


def test_the_log_tells_steps_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 4)
    monkeypatch.setattr("metaenv.agents.base.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    agent, log = RL2(Bandit(32), SMALL, seed=0), Losses("time/fps")
    agent.set_logger(Logger(None, [log]))
    agent.learn(32 * 10 * 2)
    assert log.seen == [80, 80]  # 320 steps in 4 s


def test_step_size_is_annealed_over_the_whole_training() -> None:
    config = replace(SMALL, learning_rate=1.0, learning_rate_final=0.0)
    agent, log = RL2(Bandit(32), config, seed=0), Losses("train/learning_rate")
    agent.set_logger(Logger(None, [log]))
    agent.learn(32 * 10 * 4)
    assert log.seen == pytest.approx([0.75, 0.5, 0.25, 0.0])


@pytest.mark.parametrize(("final", "expected"), [(1.0, [0.625, 0.75, 0.875, 1.0]), (None, [0.5] * 4)])
def test_the_discount_changes_over_the_whole_training_or_stays(
    final: float | None, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []

    def recording(*args: Any) -> Any:
        seen.append(args[-2:])
        return gae(*args)

    monkeypatch.setattr("metaenv.agents.rl2.gae", recording)
    RL2(Bandit(32), replace(SMALL, gamma=0.5, gamma_final=final, gae_lambda=0.25), seed=0).learn(32 * 10 * 4)
    assert seen[0] == (0.5, 1.0), "rewards are scaled by the returns at the first discount"
    assert seen[1:] == [(gamma, 0.25) for gamma in expected]


def test_compressed_rewards_are_learned_from_and_plain_ones_reported() -> None:
    config = replace(SMALL, reward_scale=10.0, normalize_advantage=False)
    plain, squeezed = (
        first_batch(RL2(Bandit(32), replace(config, compress_rewards=size), seed=0)) for size in (None, 0.5)
    )
    np.testing.assert_array_equal(plain["rewards"], squeezed["rewards"])
    assert set(np.unique(plain["rewards"])) == {0.0, 1.0}
    # A reward is 0 or 1 here, so that each counts as 0.5 ln 3; the first values are those of the same weights.
    rewards, values = np.float32(0.5 * np.log(3) * 10) * plain["rewards"], plain["values"]
    nothing = np.zeros(32, np.float32)
    expected = gae(rewards, values, np.zeros_like(rewards, np.bool_), nothing, config.gamma, config.gae_lambda)
    np.testing.assert_allclose(squeezed["returns"], expected[1], rtol=1e-5)
    np.testing.assert_allclose(squeezed["advantages"], expected[0], rtol=1e-4, atol=1e-5)
    for size in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="expected compress_rewards to be a number above 0 or None, got"):
            replace(config, compress_rewards=size)


def test_every_iteration_has_a_seed_of_its_own() -> None:
    seeds: list[int | None] = []

    class Counting(Bandit):
        def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> object:
            seeds.append(seed)
            return super().reset(seed=seed, options=options)

    RL2(Counting(8), SMALL, seed=5).learn(8 * 10 * 3)
    assert len(seeds) == len(set(seeds)) == 3 and None not in seeds


def test_wrapped_envs_keep_their_trial_length_and_masks() -> None:
    env = MaskedBandit(16)
    agent = RL2(gym.wrappers.vector.RecordEpisodeStatistics(env), SMALL, seed=0).learn(160)
    assert agent.dims.trial_length == 10 and env.forbidden == 0


def test_envs_that_do_not_fit_are_refused() -> None:
    env = Bandit(2)
    env.metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
    with pytest.raises(ValueError, match="SAME_STEP"):
        RL2(env)
    wide = HiddenPoint(2)
    wide.single_action_space = gym.spaces.Box(-2, 2, (2,))
    with pytest.raises(ValueError, match="RescaleAction"):
        RL2(wide)
    image = Bandit(2)
    image.single_observation_space = gym.spaces.Box(0, 1, (4, 4))
    with pytest.raises(ValueError, match="flat Box"):
        RL2(image)
    with pytest.raises(ValueError, match="neither"):
        RL2(None)
    with pytest.raises(ValueError, match="total_timesteps >= 1"):
        RL2(Bandit(2), SMALL).learn(0)
