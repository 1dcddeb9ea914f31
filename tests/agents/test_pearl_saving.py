"""PEARL saved, resumed, interrupted, and refused where it does not fit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from toy_pearl import MIXED, RESUMED, SMALL, STEPS, bandit, point, weights, without_sampling
from toy_trials import Bandit, StopAt

from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import ContextConfig, PEARLConfig
from metaenv.checkpoints import load_checkpoint, save_checkpoint
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.experiments.settings import preset
from metaenv.runs.training import TrainConfig
from metaenv.trial import VectorTrial


@pytest.mark.parametrize("make", RESUMED)
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, refresh_tasks=1),
        MIXED,
        without_sampling(SMALL),
        replace(SMALL, context=ContextConfig(size=16, episode_ends=True)),
    ],
)
def test_a_resumed_training_ends_bit_for_bit_where_an_unbroken_one_does(
    make: Callable[..., VectorTrial], config: PEARLConfig, tmp_path: Path
) -> None:
    turn = 3 * STEPS[make]
    unbroken = PEARL(make(), config, seed=3).learn(turn * 6)
    broken = PEARL(make(), config, seed=3).learn(turn * 6, callback=StopAt(turn * 4 + 3))
    assert broken.num_timesteps == turn * 4 and broken.iteration == 4
    broken.save(tmp_path / "agent")
    resumed = PEARL.load(tmp_path / "agent", env=make())
    assert resumed.config == config
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert resumed.num_timesteps == unbroken.num_timesteps
    assert torch.equal(weights(resumed), weights(unbroken))
    assert resumed._training_tasks.tasks.ids.tolist() == unbroken._training_tasks.tasks.ids.tolist()


def test_an_interrupted_iteration_is_undone() -> None:
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 6)
    agent = PEARL(bandit(), SMALL, seed=3)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(30 * 6, callback=StopAt(30 * 4 + 7, KeyboardInterrupt))
    assert agent.num_timesteps == 30 * 4 and agent.iteration == 4
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


def test_an_interrupt_in_the_middle_of_an_update_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = PEARL(point(), SMALL, seed=3).learn(120 * 5)
    agent = PEARL(point(), SMALL, seed=3)
    step, calls = agent._optimizers["actor"].step, iter(range(100))

    def interrupted_step() -> None:
        step()
        if next(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(agent._optimizers["actor"], "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(120 * 5)
    monkeypatch.undo()
    assert agent.iteration == 3
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(agent), weights(unbroken))


@pytest.mark.parametrize("at_step", [4, 33, 57, 60])
def test_a_checkpoint_made_during_collection_resumes_exactly(at_step: int, tmp_path: Path) -> None:
    # Iterations of 10 steps; at the 60th step all that was asked for has been played, but not yet been kept.
    callback = CheckpointCallback(save_freq=at_step, save_path=str(tmp_path))
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 6, callback=callback)
    resumed = PEARL.load(tmp_path / f"rl_model_{3 * at_step}_steps.zip", env=bandit())
    assert resumed.num_timesteps == 30 * ((at_step - 1) // 10)
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_an_env_given_after_loading_resumes_exactly_too(tmp_path: Path) -> None:
    unbroken = PEARL(bandit(), SMALL, seed=3).learn(30 * 5)
    PEARL(bandit(), SMALL, seed=3).learn(30 * 5, callback=StopAt(30 * 3)).save(tmp_path / "agent")
    resumed = PEARL.load(tmp_path / "agent")
    resumed.set_env(bandit())
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    assert torch.equal(weights(resumed), weights(unbroken))


def test_what_is_done_elsewhere_does_not_change_training() -> None:
    class Meddler(BaseCallback):
        def _on_step(self) -> bool:
            self.model.predict(np.zeros((4, self.model.dims.observation_size), np.float32))
            torch.rand(3)
            np.random.default_rng(0).random()
            return True

    plain, meddled = (PEARL(bandit(), SMALL, seed=3).learn(30 * 4, callback=c) for c in (None, Meddler()))
    assert torch.equal(weights(plain), weights(meddled))
    for make in (bandit, point):
        before = torch.get_rng_state()
        agent = PEARL(make(), SMALL, seed=4).learn(3 * STEPS[make] * 3)
        agent.predict(np.zeros(agent.dims.observation_size))
        assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_agent_acts_alike(tmp_path: Path) -> None:
    agent = PEARL(point(), SMALL, seed=0).learn(120 * 3)
    agent.save(tmp_path / "agent.pt")
    loaded = PEARL.load(tmp_path / "agent.pt")
    observation = np.ones((5, agent.dims.observation_size), np.float32)
    np.testing.assert_array_equal(agent.predict(observation)[0], loaded.predict(observation)[0])
    np.testing.assert_array_equal(
        agent.posterior(np.stack([observation] * 3))[0], loaded.posterior([observation] * 3)[0]
    )
    assert loaded.config == agent.config and loaded.dims == agent.dims
    with pytest.raises(ValueError, match="Expected an env to learn on"):
        loaded.learn(10)


def test_a_finished_checkpoint_is_small(tmp_path: Path) -> None:
    agent = PEARL(bandit(), replace(SMALL, n_tasks=50, replay_capacity=1000), seed=0)
    agent.learn(30 * 20, callback=StopAt(30 * 18)).save(tmp_path / "half")
    agent.learn(agent.remaining_timesteps, reset_num_timesteps=False).save(tmp_path / "whole")
    assert (tmp_path / "whole.pt").stat().st_size < (tmp_path / "half.pt").stat().st_size
    assert PEARL.load(tmp_path / "whole", env=bandit()).remaining_timesteps == 0


def test_a_checkpoint_is_refused_where_it_does_not_fit(tmp_path: Path) -> None:
    PEARL(bandit(), SMALL, seed=0).save(tmp_path / "agent.pt")
    for other in (point(), bandit(n_arms=4)):
        with pytest.raises(ValueError, match="Expected the environment this agent was made for"):
            PEARL.load(tmp_path / "agent.pt", env=other)
    state = load_checkpoint(tmp_path / "agent.pt", PEARL.checkpoint_kind)
    del state["optimizers"]
    save_checkpoint(tmp_path / "agent.pt", PEARL.checkpoint_kind, state)
    with pytest.raises(ValueError, match="checkpoint of this version"):
        PEARL.load(tmp_path / "agent.pt")


def test_envs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected a VectorTrial"):
        PEARL(Bandit(2), SMALL)
    with pytest.raises(ValueError, match="Expected a VectorTrial"):
        PEARL(bandit().env, SMALL)
    with pytest.raises(ValueError, match="neither"):
        PEARL(None)
    with pytest.raises(ValueError, match=r"at most as many sub-environments .* \(6\), got 7"):
        PEARL(bandit(7), SMALL)
    agent = PEARL(bandit(), SMALL, seed=0)
    with pytest.raises(ValueError, match="Expected the environment this agent was made for"):
        agent.set_env(point())
    with pytest.raises(ValueError, match="at most 5 steps"):
        PEARL(bandit(), replace(SMALL, replay_capacity=5), seed=0).learn(1)


def test_an_agent_asks_for_the_mode_of_autoreset_that_it_needs() -> None:
    trials = VectorTrial(BernoulliBanditVectorEnv(2))
    assert trials.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    PEARL(trials, SMALL, seed=0)
    assert trials.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_settings_survive_json() -> None:
    config = TrainConfig("GridNavi-v0", 10, 5, agent=replace(SMALL, critic_reward="dense_reward", ent_coef=0.1))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.algorithm == "pearl" and config.title == "PEARL"
    for name in ("BernoulliBandit", "metaenv/GridNavi-v0"):
        found = preset(name, "pearl")
        assert isinstance(found.agent, PEARLConfig) and found.env == f"{name.split('/')[-1].removesuffix('-v0')}-v0"
        assert TrainConfig.from_dict(json.loads(json.dumps(found.to_dict()))) == found
