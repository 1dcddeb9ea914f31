"""Learning speed of RL2 against sb3-contrib's RecurrentPPO, on one core and one torch thread.

BernoulliBandit with 5 arms and trials of 10, 100 and 500 pulls. Both learners get the same environment, the same nets
(RecurrentPPO's own, an LSTM-256 each for actor and critic, then two layers of 64: 584,000 parameters; and small ones, a
shared LSTM-64 with the same layers: 36,000), the same batch of 10,000 steps, 4 minibatches and 10 epochs. RecurrentPPO
is measured twice: with few environments, as its users run it, and with one trial for each environment, the layout that
suits RL2. With the large nets RL2 spends four fifths of its time in oneDNN's LSTM kernel, near what a core can compute,
so that the ratio is RecurrentPPO's overhead: it grows with the trials' length, which RecurrentPPO walks through step by
step. RecurrentPPO's default settings and RL2 with small shared memories are measured too.
"""

from __future__ import annotations

from typing import Any

from metaenv.experiments.speed.timing import seconds_of
from metaenv.trial import VectorTrial, make_trials

ARMS = 5
PULLS = (10, 100, 500)
USUAL_ENVS = {10: 8, 100: 8, 500: 4}  # as few as users run, with whole trials in the batch
BATCH = 10_000
EPOCHS = 10
MINIBATCHES = 4
LARGE = {"embedding_sizes": (), "hidden_size": 256, "head_sizes": (64, 64), "shared": False, "skip": False}
SMALL = {**LARGE, "hidden_size": 64, "shared": True}
"""Of RL2."""
SMALL_THERE = {"lstm_hidden_size": 64, "shared_lstm": True, "enable_critic_lstm": False, "net_arch": [64, 64]}
"""The same for RecurrentPPO; LARGE is its default."""
CASES = [("two LSTM-256", LARGE, {}, PULLS), ("one LSTM-64", SMALL, SMALL_THERE, PULLS[:2])]


def trials(num_envs: int, pulls: int) -> VectorTrial:
    """Trials of so many pulls."""
    return make_trials("BernoulliBandit", num_envs, episodes=pulls, n_arms=ARMS)


def rl2_steps_per_second(pulls: int, iterations: int = 2, **settings: Any) -> float:
    """Environment steps per second of RL2, collecting and learning, after one iteration to warm up."""
    from metaenv.agents.rl2 import RL2
    from metaenv.agents.rl2_config import Network, RL2Config

    config = RL2Config(n_epochs=EPOCHS, n_minibatches=MINIBATCHES, network=Network(**settings))
    agent = RL2(trials(BATCH // pulls, pulls), config, seed=0, device="cpu")
    agent.learn(BATCH)
    return iterations * BATCH / seconds_of(lambda: agent.learn(iterations * BATCH))


def recurrent_ppo_steps_per_second(pulls: int, envs: int, iterations: int = 2, **nets: Any) -> float:
    """The same of sb3-contrib's RecurrentPPO with the same batch, minibatches and epochs."""
    from sb3_contrib import RecurrentPPO

    from metaenv.sb3 import SB3VecEnv

    agent = RecurrentPPO(
        "MlpLstmPolicy",
        SB3VecEnv(trials(envs, pulls)),
        n_steps=BATCH // envs,
        batch_size=BATCH // MINIBATCHES,
        n_epochs=EPOCHS,
        seed=0,
        device="cpu",
        policy_kwargs=nets,
    )
    agent.learn(BATCH)
    return iterations * BATCH / seconds_of(lambda: agent.learn(iterations * BATCH))


def recurrent_ppo_defaults_steps_per_second(pulls: int, iterations: int = 2) -> float:
    """The same with RecurrentPPO's own settings: 128 steps of 8 environments, minibatches of 128, 10 epochs."""
    from sb3_contrib import RecurrentPPO

    from metaenv.sb3 import SB3VecEnv

    agent = RecurrentPPO("MlpLstmPolicy", SB3VecEnv(trials(8, pulls)), seed=0, device="cpu")
    steps = iterations * 8 * 128
    return steps / seconds_of(lambda: agent.learn(steps))


def run() -> dict[str, float]:
    """Measure and print; returns environment steps per second by learner and length of trial."""
    import torch

    torch.set_num_threads(1)
    results: dict[str, float] = {}
    print(f"{ARMS}-armed bandit, batch {BATCH:,}, {MINIBATCHES} minibatches, {EPOCHS} epochs; steps/s\n")
    row = "{:<14}{:>6}{:>9}{:>14}{:>7}{:>18}{:>7}"
    print(row.format("nets", "pulls", "RL2", "RecurrentPPO", "ratio", "one trial an env", "ratio"))
    for name, nets, nets_there, lengths in CASES:
        for pulls in lengths:
            ours = rl2_steps_per_second(pulls, cell="lstm", **nets)
            usual = recurrent_ppo_steps_per_second(pulls, USUAL_ENVS[pulls], **nets_there)
            aligned = recurrent_ppo_steps_per_second(pulls, BATCH // pulls, **nets_there)
            ratios = [f"{ours / theirs:.1f}" for theirs in (usual, aligned)]
            speeds = [f"{speed:.0f}" for speed in (ours, usual, aligned)]
            print(row.format(name, pulls, *speeds[:2], ratios[0], speeds[2], ratios[1]), flush=True)
            results[f"RL2, {name}, {pulls}"] = ours
            results |= {f"RecurrentPPO, {name}, {pulls}": usual, f"RecurrentPPO, {name}, {pulls}, aligned": aligned}
    print("\n100 pulls, other settings")
    results["RecurrentPPO, its defaults"] = recurrent_ppo_defaults_steps_per_second(100)
    for cell in ("gru", "lstm"):
        results[f"RL2, shared {cell.upper()}-64"] = rl2_steps_per_second(100, 10, cell=cell)
    for name in ("RecurrentPPO, its defaults", "RL2, shared GRU-64", "RL2, shared LSTM-64"):
        print(f"{name:<30}{results[name]:>10.0f}")
    return results
