"""Toy trials whose best play is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback


class StopAt(BaseCallback):
    """Ends training at the first step after `timesteps`, by its return value or by an error."""

    def __init__(self, timesteps: int, error: type[BaseException] | None = None) -> None:
        super().__init__()
        self.timesteps, self.error = timesteps, error

    def _on_step(self) -> bool:
        if self.num_timesteps > self.timesteps and self.error is not None:
            raise self.error
        return self.num_timesteps <= self.timesteps


class ToyTrials(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[np.float64]]):
    """What the toys share: one hidden task per trial, SAME_STEP autoreset, obs = [feedback, reward, progress]."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    feedback_size: int
    shows_reward = True
    trial_length: int | None

    def __init__(self, num_envs: int, steps: int) -> None:
        self.num_envs, self.steps, self.trial_length = num_envs, steps, steps
        self.single_observation_space = Box(-np.inf, np.inf, (self.feedback_size + 2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self._np_random = np.random.default_rng(seed)
        self.played = np.zeros(self.num_envs, np.int64)
        self.lengths = np.full(self.num_envs, self.steps)
        self.draw_tasks(np.ones(self.num_envs, np.bool_))
        return np.zeros((self.num_envs, self.feedback_size + 2), np.float32), {}

    def step(self, actions: NDArray[Any]) -> Any:
        rewards, feedback = self.play(actions)
        self.played += 1
        progress = self.played / self.steps
        observations = np.column_stack([feedback, rewards * self.shows_reward, progress]).astype(np.float32)
        ends = self.played >= self.lengths
        infos: dict[str, Any] = {}
        if ends.any():
            infos["final_obs"] = observations.copy()
            observations[ends], self.played[ends] = 0, 0
            self.draw_tasks(ends)
        return observations, rewards, ends, np.zeros_like(ends), infos

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        raise NotImplementedError

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise NotImplementedError


class Bandit(ToyTrials):
    """Bernoulli arms, p ~ U[0, 1]. Best possible with 5 arms and 10 pulls: 6.6600; random: 5."""

    def __init__(self, num_envs: int, arms: int = 5, pulls: int = 10) -> None:
        self.arms, self.feedback_size = arms, arms
        self.single_action_space = Discrete(arms)
        self.probabilities = np.zeros((num_envs, arms))
        super().__init__(num_envs, pulls)

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        self.probabilities[which] = self.np_random.random((int(which.sum()), self.arms))

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        chosen = self.probabilities[np.arange(self.num_envs), actions]
        return (self.np_random.random(self.num_envs) < chosen).astype(np.float64), np.eye(self.arms)[actions]

    def task_vector(self) -> NDArray[np.float32]:
        return self.probabilities.astype(np.float32)


class MaskedBandit(Bandit):
    """A bandit of which each trial forbids a random half of the arms; `forbidden` counts choices of those."""

    forbidden = 0

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        super().draw_tasks(which)
        order = self.np_random.random((self.num_envs, self.arms)).argsort(-1)
        fresh = order < (self.arms + 1) // 2
        self.allowed = np.where(which[:, None], fresh, getattr(self, "allowed", fresh))

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        self.forbidden += int((~self.allowed[np.arange(self.num_envs), actions]).sum())
        return super().play(actions)

    def action_masks(self) -> NDArray[np.bool_]:
        return self.allowed.copy()


class Recall(ToyTrials):
    """The right arm is shown once, after the first pull, and pays 1 whenever it is pulled.

    Best possible: 1 / arms at the first pull, then 1. Without memory: 1 / arms at every pull but the second, which
    directly follows the hint; the observation shows neither the previous action nor the reward.
    """

    shows_reward = False

    def __init__(self, num_envs: int, arms: int = 4, pulls: int = 6) -> None:
        self.feedback_size = self.arms = arms
        self.single_action_space = Discrete(arms)
        self.right = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, pulls)

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        self.right[which] = self.np_random.integers(0, self.arms, int(which.sum()))

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        hint = np.eye(self.arms)[self.right] * (self.played == 0)[:, None]
        return (actions == self.right).astype(np.float64), hint


class VaryingRecall(Recall):
    """Recall in trials of 2 to `pulls` pulls."""

    def __init__(self, num_envs: int, arms: int = 4, pulls: int = 6) -> None:
        super().__init__(num_envs, arms, pulls)
        self.trial_length = None

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        super().draw_tasks(which)
        self.lengths[which] = self.np_random.integers(2, self.steps + 1, int(which.sum()))


class Peek(ToyTrials):
    """One of the arms pays 1, the others cost 1; action 0 does nothing, and the last action shows the arm for 0.1.

    Best possible: peek once, then pull: pulls - 1.1. Who does not peek does best to do nothing. To peek is of use
    only to those who have learned to heed what they see, and that only to those who peek.
    """

    def __init__(self, num_envs: int, arms: int = 6, pulls: int = 6) -> None:
        self.feedback_size = self.arms = arms
        self.single_action_space = Discrete(arms + 2)
        self.right = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, pulls)

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        self.right[which] = self.np_random.integers(0, self.arms, int(which.sum()))

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        peeks, pulls = actions == self.arms + 1, (actions > 0) & (actions <= self.arms)
        rewards = pulls * np.where(actions == self.right + 1, 1.0, -1.0) - 0.1 * peeks
        return rewards, np.eye(self.arms)[self.right] * peeks[:, None]

    def task_vector(self) -> NDArray[np.float32]:
        return np.eye(self.arms, dtype=np.float32)[self.right]


class HiddenPoint(ToyTrials):
    """Find a hidden point in [-0.8, 0.8]^2 from the distance to it: reward = 1 - |action - point|.

    The best blind guess is the middle, which earns 1 - 0.8 E|U| = 0.388 per step, where
    E|U| = (sqrt(2) + asinh(1)) / 3 = 0.7652 is the mean distance of a point in [-1, 1]^2 from its middle.
    """

    def __init__(self, num_envs: int, steps: int = 10) -> None:
        self.feedback_size = 2
        self.single_action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.points = np.zeros((num_envs, 2))
        super().__init__(num_envs, steps)

    def draw_tasks(self, which: NDArray[np.bool_]) -> None:
        self.points[which] = self.np_random.uniform(-0.8, 0.8, (int(which.sum()), 2))

    def play(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return 1 - np.linalg.norm(actions - self.points, axis=-1), actions.astype(np.float64)


def rewards_per_step(agent: Any, env: ToyTrials, seed: int, deterministic: bool = True) -> NDArray[np.float64]:
    """Mean reward at each step of one trial of every environment, weights frozen; (steps,)."""
    observations, state, rewards = env.reset(seed=seed)[0], None, []
    for _ in range(env.steps):
        actions, state = agent.predict(observations, state, deterministic=deterministic)
        observations, reward, *_ = env.step(actions)
        rewards.append(reward.mean())
    return np.array(rewards)
