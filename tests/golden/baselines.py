"""What the baselines of every environment earn in seeded trials, which `baselines.json` keeps.

Of each trial two numbers are kept: weighted sums of what its episodes returned as the policy saw it, and of their true
scores; the weights differ from episode to episode.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from trajectories import CASES, SEED

from metaenv.baselines import baselines_of
from metaenv.policies import play_trials
from metaenv.trial import make_trials

FILE = Path(__file__).parent / "baselines.json"
TASKS = 4


def earned(case: str) -> dict[str, list[list[float]]]:
    """(tasks, 2) by the name of each baseline of a case."""
    env_id, settings = CASES[case]
    env = make_trials(env_id, TASKS, **settings)
    tasks = env.distribution.sample(TASKS, settings.get("split", "validation"), np.random.default_rng(SEED))
    found = {}
    for name, policy in baselines_of(env)[0].items():
        record = play_trials(policy, env, tasks, seed=SEED)
        weights = np.random.default_rng(SEED).uniform(0.5, 1.5, record.readings.shape[1])
        sums = np.stack([np.nan_to_num(part) @ weights for part in (record.readings, record.scores)], axis=1)
        found[name] = [[round(float(x), 6) for x in of_task] for of_task in sums]
    return found


def read() -> dict[str, dict[str, list[list[float]]]]:
    return json.loads(FILE.read_text(encoding="utf-8"))
