"""Learning speed of RL2 against sb3-contrib's RecurrentPPO, on one core and one torch thread.

BernoulliBandit with 5 arms and trials of 100 pulls. Both learners get the same environment, the same nets (separate
LSTM-256 for actor and critic, then two layers of 64: 584,000 parameters), the same batch of 10,000 steps, 4
minibatches and 10 epochs. RecurrentPPO is measured twice: with 8 environments of 1,250 steps, as its users run it, and
with 100 environments of one trial each, the layout that suits RL2. RecurrentPPO with its default settings and RL2 with
small shared memories are measured besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from metaenv.trial import VectorTrial, make_trials

ARMS = 5
PULLS = 100
ENVS = 100
EPOCHS = 10
MINIBATCHES = 4
BATCH = ENVS * PULLS


def trials(num_envs: int) -> VectorTrial:
    """Trials of 100 pulls."""
    return make_trials("BernoulliBandit", num_envs, episodes=PULLS, n_arms=ARMS)


def rl2_steps_per_second(iterations: int, **settings: Any) -> float:
    """Environment steps per second of RL2, collecting and learning, after one iteration to warm up."""
    from metaenv.agents.rl2 import RL2, RL2Config

    agent = RL2(trials(ENVS), RL2Config(epochs=EPOCHS, minibatches=MINIBATCHES, **settings), seed=0)
    agent.learn(BATCH)
    return _speed(lambda: agent.learn(iterations * BATCH), iterations * BATCH)


def recurrent_ppo_steps_per_second(iterations: int, envs: int) -> float:
    """The same of sb3-contrib's RecurrentPPO with the same nets, batch, minibatches and epochs."""
    from sb3_contrib import RecurrentPPO

    from metaenv.sb3 import SB3VecEnv

    agent = RecurrentPPO(
        "MlpLstmPolicy",
        SB3VecEnv(trials(envs)),
        n_steps=BATCH // envs,
        batch_size=BATCH // MINIBATCHES,
        n_epochs=EPOCHS,
        seed=0,
        device="cpu",
    )
    agent.learn(BATCH)
    return _speed(lambda: agent.learn(iterations * BATCH), iterations * BATCH)


def recurrent_ppo_defaults_steps_per_second(iterations: int) -> float:
    """The same with RecurrentPPO's own settings: 128 steps of 8 environments, minibatches of 128, 10 epochs."""
    from sb3_contrib import RecurrentPPO

    from metaenv.sb3 import SB3VecEnv

    agent = RecurrentPPO("MlpLstmPolicy", SB3VecEnv(trials(8)), seed=0, device="cpu")
    return _speed(lambda: agent.learn(iterations * 8 * 128), iterations * 8 * 128)


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
