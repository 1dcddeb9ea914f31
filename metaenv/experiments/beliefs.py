"""What PEARL believes of a task in the course of a trial, and the rewards that it expects, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.agents.pearl import PEARL
from metaenv.baselines import baselines_of
from metaenv.policies import AgentPolicy, Policy, play_trials
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

QUERIES = 128  # steps of each task whose rewards the decoder is asked for (chosen)
SAMPLES = 16  # latent tasks drawn from each belief (chosen)


@dataclass(frozen=True)
class Trace:
    """One trial of each of n tasks, as an agent saw it.

    Attributes:
        observations: (n, t + 1, o) of the trial, from the one that ``reset`` returned on; 0 after a trial's end.
        actions: (n, t, ...).
        rewards: (n, t) of the steps.
        ends: (n, K) steps played when each episode was over.
        returns: (n, K) of the episodes.
    """

    observations: Observations
    actions: NDArray[Any]
    rewards: Floats
    ends: Index
    returns: Floats


def record_trials(policy: Policy, env: VectorTrial, tasks: TaskBatch, seed: int = 0) -> Trace:
    """Let a policy play one trial of each task.

    Args:
        policy: an agent or a classical method.
        env: trials, as many as there are tasks.
        tasks: what to play, n of them.
        seed: of the environment's noise and of the policy's own draws.

    Raises:
        ValueError: another number of trials than of tasks, or trials that hide where episodes end.
    """
    if env.num_envs != len(tasks) or env.trial_state.hide_history:
        raise ValueError(
            f"expected {len(tasks)} trials, one a task, that show what they remember; got {env.num_envs}, "
            f"hide_history={env.trial_state.hide_history}"
        )
    record = play_trials(policy, env, tasks, seed)
    first, _ = env.reset(seed=[seed * len(tasks) + i for i in range(len(tasks))], options={"tasks": tasks})
    observations = np.concatenate([first[:, None], record.observations], axis=1)
    # The last three entries are the reward of the step before, the boundary flag and the progress.
    ends = np.nonzero(record.observations[..., -2] > 0)[1].reshape(len(tasks), env.episodes) + 1
    rewards = record.observations[..., -3].astype(np.float64)
    return Trace(observations, record.actions, rewards, ends, record.readings)


def beliefs(agent: PEARL, trace: Trace, moments: Index) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations (n, m, L) of the latent task after `moments` (n, m) steps of each trial."""
    found = [
        [agent.posterior(seen[: k + 1]) for k in steps] for seen, steps in zip(trace.observations, moments, strict=True)
    ]
    both = np.array(found)  # (n, m, 2, L)
    return both[:, :, 0], both[:, :, 1]


@dataclass(frozen=True)
class Queries:
    """Steps whose rewards are asked for: observations (n, q, d), actions (n, q, ...), true rewards (n, q)."""

    observations: NDArray[np.float32]
    actions: NDArray[Any]
    rewards: Floats


def held_out_queries(agent: PEARL, env: VectorTrial, tasks: TaskBatch, seed: int, size: int = QUERIES) -> Queries:
    """`size` steps of each task, in equal parts from further trials of the agent and of all baselines.

    Between them they are paid where the agent alone, or random play, may never be.
    """
    rng = np.random.default_rng([seed, size])
    policies: list[Policy] = [AgentPolicy(agent), *baselines_of(env)[0].values()]
    each = -(-size // len(policies))
    traces = (record_trials(policy, env, tasks, seed + 1) for policy in policies)
    parts = [_some_steps(trace, agent.dims.episode_size, each, rng) for trace in traces]
    return Queries(*(np.concatenate([getattr(p, k) for p in parts], axis=1) for k in Queries.__dataclass_fields__))


def _some_steps(trace: Trace, d: int, size: int, rng: np.random.Generator) -> Queries:
    steps = rng.integers(trace.ends[:, -1:], size=(len(trace.ends), size))
    rows = np.arange(len(steps))[:, None]
    return Queries(trace.observations[rows, steps, :d], trace.actions[rows, steps], trace.rewards[rows, steps])


def expected_rewards(
    agent: PEARL,
    observations: NDArray[np.float32],
    actions: NDArray[Any],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> Floats:
    """The rewards (q,) that a belief expects: the decoder's, averaged over latent tasks drawn from it.

    Args:
        agent: whose decoder is asked.
        observations: (q, d) of the episode.
        actions: (q,) or (q, d_a).
        mean: (L,) of the belief.
        std: (L,) of the belief.
        rng: draws the latent tasks.
        samples: how many.
    """
    z = (mean + std * rng.standard_normal((samples, len(mean)))).astype(np.float32)
    q = len(observations)
    tiled = np.tile(observations, (samples, 1)), np.tile(actions, (samples, *[1] * (np.ndim(actions) - 1)))
    return agent.predict_reward(*tiled, np.repeat(z, q, axis=0)).reshape(samples, q).mean(axis=0, dtype=np.float64)
