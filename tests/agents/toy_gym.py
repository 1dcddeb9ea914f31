"""Plain Gymnasium environments with hidden tasks, as people have them, and some that are none."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv


class HiddenPole(CartPoleEnv):
    """A pole of hidden mass: drawn in a reset, and kept when that is asked for."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed)
        if not (options or {}).get("keep_task"):
            self.masspole = float(self.np_random.uniform(0.05, 5.0))
            self.total_mass = self.masspole + self.masscart
            self.polemass_length = self.masspole * self.length
        return observation, info


class ForgetfulPole(HiddenPole):
    """It looks at the option, and draws a mass all the same."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        assert options is None or "keep_task" in options
        return super().reset(seed=seed)


class SettablePole(CartPoleEnv):
    """Its mass is set from outside, as tasks are in Meta-World."""

    def set_task(self, mass: float) -> None:
        self.masspole, self.total_mass = mass, mass + self.masscart
        self.polemass_length = mass * self.length


class Reach(gym.Env[np.ndarray[Any, Any], np.ndarray[Any, Any]]):
    """Push a slider, in centimetres, to a hidden place that the seed decides; four steps."""

    observation_space = gym.spaces.Dict({"at": gym.spaces.Box(-50, 50, (1,)), "left": gym.spaces.Discrete(5)})
    action_space = gym.spaces.Box(-5, 15, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.goal, self.at, self.left = float(self.np_random.uniform(-20, 40)), 0.0, 4
        return self._shown(), {}

    def step(self, action: Any) -> Any:
        self.at, self.left = float(np.clip(self.at + action[0], -50, 50)), self.left - 1
        return self._shown(), -abs(self.at - self.goal), self.left == 0, False, {}

    def _shown(self) -> dict[str, Any]:
        return {"at": np.array([self.at], np.float32), "left": self.left}


class NoisyReach(Reach):
    """Its noise has no seed."""

    def step(self, action: Any) -> Any:
        return super().step(action + np.random.default_rng().normal(0, 0.1, 1))


gym.register("toy/HiddenPole-v0", entry_point=HiddenPole, max_episode_steps=25)
