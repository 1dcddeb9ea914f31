"""Plays given build sequences in an environment."""

from __future__ import annotations

import numpy as np

from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.tasks import TaskBatch


def build(env: MoleculeDesignVectorEnv, sequences: np.ndarray, tasks: TaskBatch | None = None) -> dict[str, np.ndarray]:
    """Play row i's sequence (n, 9) in row i, and return the report of the step that finished it.

    Args:
        env: with SAME_STEP autoreset; it is reset only where tasks are given.
        sequences: -1 after the last action.
        tasks: one a row.

    Returns:
        ``reward``, ``score``, ``smiles``, ``obs`` (n, …), and ``steps`` (n,) that each molecule took.
    """
    if tasks is not None:
        env.reset(seed=0, options={"tasks": tasks})
    n = env.num_envs
    report = {"reward": np.zeros(n), "score": np.zeros(n), "steps": np.zeros(n, int)}
    report |= {"smiles": np.full(n, "", object), "obs": np.zeros((n, env.single_observation_space.shape[0]))}
    going = np.ones(n, bool)
    for step in range(sequences.shape[1]):
        action = np.maximum(sequences[:, step], 0)
        _, reward, terminated, truncated, info = env.step(action)
        assert not truncated.any()
        ended = np.flatnonzero(terminated & going)
        if len(ended):
            report["reward"][ended], report["steps"][ended] = reward[ended], step + 1
            report["obs"][ended] = info["final_obs"][ended]
            for name in ("score", "smiles"):
                report[name][ended] = info["final_info"][name][ended]
        going &= ~terminated
    assert not going.any(), "some molecules are unfinished after their sequence"
    np.testing.assert_array_equal(report["steps"], (sequences >= 0).sum(axis=1))
    return report
