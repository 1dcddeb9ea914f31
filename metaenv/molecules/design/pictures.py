"""A picture of the molecules that a policy makes for one objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode

from metaenv.molecules.chem.properties import by_smiles
from metaenv.molecules.render import Made, bars, gallery, save_png
from metaenv.policies import Policy
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.trial import VectorTrial


def draw_trial(policy: Policy, trials: VectorTrial, frozen: FrozenTasks, folder: Path, name: str) -> Path:
    """Draw a policy's trial of the first of the frozen tasks as ``molecules-SPLIT.png``; arguments as `pictures`."""
    tasks = frozen.tasks.take(np.zeros(1, np.intp))
    made = [Made(*one) for one in play(policy, trials, tasks)]
    ranges = tasks.low[0], tasks.high[0], tasks.wanted[0]
    title = f"{name} on an unseen objective ({frozen.split}, task {tasks.ids[0]}), molecule after molecule"
    picture = gallery(made, [bars(by_smiles(one.smiles), *ranges) for one in made], title)
    return save_png(folder / f"molecules-{frozen.split}.png", picture)


def play(policy: Policy, env: VectorTrial, tasks: TaskBatch) -> list[tuple[str, float]]:
    """SMILES and scores of the molecules of one trial, in order."""
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)
    env.text_info = True
    observation, _ = env.reset(seed=0, options={"tasks": tasks})
    policy.start(env, np.random.default_rng(0))
    made: list[tuple[str, float]] = []
    while len(made) < env.episodes:
        action = policy.act(observation)
        observation, _, over, _, info = env.step(action)
        policy.observe(action, env.trial_state.last_reward.copy())
        report = info["final_info"] if over[0] else info
        if report["episode_end"][0]:
            made.append((str(report["smiles"][0]), float(report["score"][0])))
    return made
