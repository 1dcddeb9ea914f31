"""Steps per second of an environment as a trained agent plays it, beside Gymnasium's CartPole in the same run.

What an environment remembers counts here: a trained agent makes the same molecules again, random actions hardly do.
"""

from __future__ import annotations

import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from metaenv.experiments.speed.timing import SECONDS
from metaenv.runs.training import load_run

NUM_ENVS = 512  # trials at once (chosen)


def run(folder: str, seconds: float = SECONDS) -> dict[str, float]:
    """Measure and print; returns the numbers.

    The agent plays trials of training tasks by actions drawn from its policy, as in training. Steps count once every
    trial has ended once. Only the environment's steps and masks are timed, in processor seconds; steps of CartPole take
    turns with them, so that both meet the same machine.
    """
    config, agent = load_run(Path(folder))
    env = config.make_env(num_envs=NUM_ENVS)
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)
    observation, _ = env.reset(seed=0)
    state, first = None, np.ones(NUM_ENVS, bool)
    cartpole = gym.make("CartPole-v1").unwrapped
    cartpole.reset(seed=0)
    masks = {"action_masks": env.action_masks()} if isinstance(env.single_action_space, gym.spaces.Discrete) else {}
    unfinished, spent, beside, steps = np.ones(NUM_ENVS, bool), 0.0, 0.0, 0
    trials = env.trial_state
    while spent < seconds:
        first = first | trials.forgotten
        action, state = agent.predict(observation, state, first, deterministic=False, **masks)
        start = time.process_time()
        observation, _, terminated, truncated, _ = env.step(action)
        if masks:
            masks = {"action_masks": env.action_masks()}
        middle = time.process_time()
        for number in range(NUM_ENVS):
            if cartpole.step(number % 2)[2]:
                cartpole.reset()
        if not unfinished.any():
            spent += middle - start
            beside += time.process_time() - middle
            steps += NUM_ENVS
        first = terminated | truncated
        unfinished &= ~first
    found = {"steps": steps / spent, "cartpole": steps / beside, "ratio": beside / spent}
    print(
        f"{config.env}, as the agent of {folder} plays it, {NUM_ENVS} trials at once: {found['steps']:,.0f} steps per "
        f"processor second, {found['ratio']:.2f} times Gymnasium's scalar CartPole-v1 ({found['cartpole']:,.0f})"
    )
    return found
