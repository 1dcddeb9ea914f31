"""Learning speed of RL2 against sb3-contrib's RecurrentPPO, on one core and one torch thread.

Bernoulli bandits with 5 arms and trials of 100 pulls (RL², Duan et al. 2016, section 3.1). Both learners get the
same vectorised environment, the same nets (separate LSTM-256 for actor and critic, then two layers of 64), the same
batch of 10 000 steps, 4 minibatches and 10 epochs. RecurrentPPO is measured twice: with 8 environments of 1250 steps,
as its users run it, and with 100 environments of one trial each, the layout that suits RL2 and, as it turns out,
RecurrentPPO too. RecurrentPPO with its default settings and RL2 with small shared memories are measured besides.

Run: OMP_NUM_THREADS=1 python -m metaenv.bench.rl2_speed
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

ARMS = 5
PULLS = 100
ENVS = 100
EPOCHS = 10
MINIBATCHES = 4


class BanditTrials(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]):
    """Trials of `pulls` pulls on `arms` Bernoulli arms with hidden p ~ U[0, 1], n in parallel.

    Observation (arms + 2,): one-hot previous action, previous reward, fraction of the trial that is over.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int, arms: int = ARMS, pulls: int = PULLS) -> None:
        self.num_envs, self.arms, self.trial_length = num_envs, arms, pulls
        self.single_action_space = Discrete(arms)
        self.single_observation_space = Box(0.0, 1.0, (arms + 2,), np.float32)
        self._rows = np.arange(num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self._np_random = np.random.default_rng(seed)
        return self._new_trials(), {}

    def step(self, actions: NDArray[np.int64]) -> Any:
        rewards = (self.np_random.random(self.num_envs) < self.probabilities[self._rows, actions]).astype(np.float64)
        self._pulls += 1
        observations = np.zeros((self.num_envs, self.arms + 2), np.float32)
        observations[self._rows, actions] = 1
        observations[:, -2], observations[:, -1] = rewards, self._pulls / self.trial_length
        ends = np.full(self.num_envs, self._pulls == self.trial_length)
        infos: dict[str, Any] = {}
        if ends[0]:
            infos["final_obs"], observations = observations, self._new_trials()
        return observations, rewards, ends, np.zeros_like(ends), infos

    def _new_trials(self) -> NDArray[np.float32]:
        self.probabilities = self.np_random.random((self.num_envs, self.arms))
        self._pulls = 0
        return np.zeros((self.num_envs, self.arms + 2), np.float32)


def rl2_steps_per_second(iterations: int, **settings: Any) -> float:
    """Environment steps per second of RL2, collecting and learning, after one iteration to warm up."""
    from metaenv.agents.rl2 import RL2, RL2Config

    agent = RL2(BanditTrials(ENVS), RL2Config(epochs=EPOCHS, minibatches=MINIBATCHES, **settings), seed=0)
    agent.learn(ENVS * PULLS)
    return _speed(lambda: agent.learn(iterations * ENVS * PULLS), iterations * ENVS * PULLS)


def recurrent_ppo_defaults_steps_per_second(iterations: int) -> float:
    """The same with RecurrentPPO's own settings: 128 steps of 8 environments, minibatches of 128, 10 epochs."""
    from sb3_contrib import RecurrentPPO

    agent = RecurrentPPO("MlpLstmPolicy", _as_sb3(BanditTrials(8)), seed=0, device="cpu")
    return _speed(lambda: agent.learn(iterations * 8 * 128), iterations * 8 * 128)


def recurrent_ppo_steps_per_second(iterations: int, envs: int) -> float:
    """Environment steps per second of sb3-contrib's RecurrentPPO, after one iteration to warm up."""
    from sb3_contrib import RecurrentPPO

    agent = RecurrentPPO(
        "MlpLstmPolicy",
        _as_sb3(BanditTrials(envs)),
        n_steps=ENVS * PULLS // envs,
        batch_size=ENVS * PULLS // MINIBATCHES,
        n_epochs=EPOCHS,
        seed=0,
        device="cpu",
    )
    agent.learn(ENVS * PULLS)
    return _speed(lambda: agent.learn(iterations * ENVS * PULLS), iterations * ENVS * PULLS)


def run(iterations: int = 2) -> dict[str, float]:
    """Measure, print a table, and return env-steps per second by learner, and the speed-ups at the same nets."""
    import torch

    torch.set_num_threads(1)
    same_nets = {"embedding_sizes": (), "memory_size": 256, "head_sizes": (64, 64), "shared": False, "skip": False}
    usual, aligned, ours = "RecurrentPPO, 2 LSTM-256, 8 envs", "RecurrentPPO, 2 LSTM-256", "RL2, 2 LSTM-256"
    results = {
        "RecurrentPPO, its defaults": recurrent_ppo_defaults_steps_per_second(iterations),
        usual: recurrent_ppo_steps_per_second(iterations, envs=8),
        aligned: recurrent_ppo_steps_per_second(iterations, envs=ENVS),
        ours: rl2_steps_per_second(iterations, cell="lstm", **same_nets),
        "RL2, shared GRU-64": rl2_steps_per_second(5 * iterations, cell="gru"),
        "RL2, shared LSTM-64": rl2_steps_per_second(5 * iterations, cell="lstm"),
    }
    print(f"{ARMS}-armed bandit, trials of {PULLS}, {ENVS} envs, {MINIBATCHES} minibatches, {EPOCHS} epochs")
    for name, speed in results.items():
        print(f"{name:<36}{speed:>10.0f} env-steps/s")
    results["speedup, 8 envs"] = results[ours] / results[usual]
    results["speedup"] = results[ours] / results[aligned]
    print(f"same nets: {results['speedup, 8 envs']:.1f} x its usual layout, {results['speedup']:.1f} x at {ENVS} envs")
    return results


def _speed(learn: Callable[[], object], steps: int) -> float:
    started = time.perf_counter()
    learn()
    return steps / (time.perf_counter() - started)


def _as_sb3(env: BanditTrials) -> Any:
    """The least of a Stable-Baselines3 VecEnv around the same batched env, so that both learners step the same code."""
    from stable_baselines3.common.vec_env import VecEnv

    class Adapter(VecEnv):
        def __init__(self) -> None:
            super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

        def reset(self) -> Any:
            return env.reset(seed=0)[0]

        def step_async(self, actions: Any) -> None:
            self._actions = actions

        def step_wait(self) -> Any:
            observations, rewards, ends, _, infos = env.step(self._actions)
            final = infos.get("final_obs")
            return (
                observations,
                rewards,
                ends,
                [{} if final is None else {"terminal_observation": final[i]} for i in range(self.num_envs)],
            )

        def close(self) -> None:
            env.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            setattr(env, attr_name, value)

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            return [None] * self.num_envs

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    return Adapter()


if __name__ == "__main__":
    run()
