"""Evaluations in the course of training: they change nothing, they tell the truth, and they keep the best policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import EvalCallback

from metaenv import make_trials
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.evaluation import first_tasks
from metaenv.policies import AgentPolicy, play_trials
from metaenv.runs.evaluation_callback import EvaluationCallback
from metaenv.sb3 import SB3VecEnv

SMALL = {
    "rl2": lambda env: RL2(env, RL2Config(network=Network((8,), 8)), seed=4),
    "pearl": lambda env: PEARL(env, PEARLConfig(n_tasks=16, gradient_steps=2, replay_capacity=100), seed=4),
}


def trials(n: int = 16, split: str = "train"):
    return make_trials("BernoulliBandit", n, episodes=5, n_arms=2, split=split)


def evaluations(every: int, best: Path | None = None):
    env = trials(20, "validation")
    return EvaluationCallback(env, first_tasks(env.distribution.frozen("validation"), 30), every, best)


@pytest.mark.parametrize("name", SMALL)
def test_training_is_the_same_and_the_best_policy_is_kept(name: str, tmp_path: Path):
    plain = SMALL[name](trials()).learn(16 * 5 * 4)
    callback = evaluations(16 * 5, tmp_path / "best.pt")
    seen: list[tuple[int, float]] = []
    evaluate = callback._evaluate

    def noted() -> None:
        evaluate()
        seen.append((callback.last, float(callback.logger.name_to_value["eval/score"])))

    callback._evaluate = noted  # type: ignore[method-assign]
    agent = SMALL[name](trials()).learn(16 * 5 * 4, callback)
    for ours, theirs in zip(agent._learner_state().values(), plain._learner_state().values(), strict=True):
        if isinstance(ours, torch.Tensor):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    networks = "policy" if name == "rl2" else "sac"
    for key, value in getattr(plain, networks).state_dict().items():
        torch.testing.assert_close(getattr(agent, networks).state_dict()[key], value, rtol=0, atol=0)
    np.testing.assert_array_equal(agent._predict_generator.get_state(), plain._predict_generator.get_state())
    assert [steps for steps, _ in seen] == [80, 160, 240, 320]
    best = max(score for _, score in seen)
    assert callback.best_score == best
    kept = type(agent).load(tmp_path / "best.pt")
    assert kept.num_timesteps == next(steps for steps, score in seen if score == best)
    record = play_trials(AgentPolicy(kept), callback.trials, callback.tasks.tasks, 0)
    assert record.scores.mean() == pytest.approx(best, abs=1e-12)


def test_a_trial_that_seeks_the_best_episode_is_scored_by_its_last_recommendation():
    env = make_trials("MaterialsSynthesis", 8, episodes=3, split="validation", variant="recipe")
    callback = EvaluationCallback(env, first_tasks(env.distribution.frozen("validation"), 8), 1)
    agent = RL2(
        make_trials("MaterialsSynthesis", 8, episodes=3, variant="recipe"), RL2Config(network=Network((8,), 8)), seed=1
    )
    agent.learn(8 * 3, callback)
    record = play_trials(AgentPolicy(agent), env, callback.tasks.tasks, 0)
    assert callback.best_score == pytest.approx(record.best_so_far()[:, -1].mean())
    assert abs(callback.best_score - record.scores.mean()) > 1e-6


def test_evaluations_need_a_positive_interval():
    with pytest.raises(ValueError, match="at least 1 step"):
        evaluations(0)


@pytest.mark.parametrize("name", SMALL)
def test_the_callback_of_stable_baselines3_works(name: str, tmp_path: Path):
    env = SB3VecEnv(make_trials("BernoulliBandit", 4, episodes=5, n_arms=2, split="validation"))
    callback = EvalCallback(
        env, n_eval_episodes=8, eval_freq=5, best_model_save_path=str(tmp_path), verbose=0, warn=False
    )
    with pytest.warns(UserWarning, match="not of the same type"):  # it compares our vector env with its own
        SMALL[name](trials()).learn(16 * 5 * 2, callback)
    assert 0 <= callback.best_mean_reward <= 5
    assert type(SMALL[name](trials())).load(tmp_path / "best_model.pt").seed == 4
