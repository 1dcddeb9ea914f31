"""The training tasks of PEARL: drawn, refreshed, and no fewer than environments."""

from dataclasses import replace

import numpy as np
import pytest
from toy_pearl import SMALL, bandit, grid

from metaenv.agents.pearl import PEARL


def test_refreshed_tasks_begin_anew() -> None:
    agent = PEARL(bandit(), replace(SMALL, refresh_tasks=2), seed=0)
    agent.learn(30 * 2)
    first = agent._training_tasks.tasks.ids.copy()
    agent.learn(30)
    after = agent._training_tasks.tasks.ids
    changed = np.flatnonzero(first != after)
    assert len(changed) == 2 and len(set(after)) == 6
    # A new task has one trial of 10 pulls; the others had one, and one of them played again.
    assert sorted(agent._training_tasks.replay.written.tolist()) == [10, 10, 10, 10, 10, 20]
    assert (agent._training_tasks.replay.written[changed] == 10).all()
    for _ in range(2):
        agent.learn(30)
    assert not set(agent._training_tasks.tasks.ids) & set(first), "oldest first: after three turns all six are new"


def test_tasks_of_a_small_family_are_all_played() -> None:
    agent = PEARL(grid(), replace(SMALL, n_tasks=30), seed=0)
    assert len(agent._training_tasks) == 21 and len(set(agent._training_tasks.tasks.ids)) == 21
    assert len(PEARL(grid(), SMALL, seed=0)._training_tasks) == 6


def test_a_new_env_with_more_trials_than_tasks_is_refused() -> None:
    agent = PEARL(bandit(), SMALL, seed=0)
    with pytest.raises(ValueError, match="at most as many sub-environments"):
        agent.set_env(bandit(7))
