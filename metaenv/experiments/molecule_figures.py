"""What an agent made of one objective, molecule after molecule, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metaenv.policies import AgentPolicy, Policy
from metaenv.runs.training import TrainConfig
from metaenv.trial import VectorTrial

ENVIRONMENTS = ("MoleculeDesign-v0",)
"""Those whose episodes are molecules."""


def write_gallery(config: TrainConfig, agent: Any, folder: Path, split: str, settings: dict[str, Any]) -> list[Path]:
    """Draw the agent's trial of the first task of a frozen list; nothing for other environments.

    Args:
        config: of the run.
        agent: plays its most likely actions.
        folder: where ``molecules-SPLIT.png`` goes.
        split: a frozen split.
        settings: of the environment.
    """
    if config.env.rpartition("/")[2] not in ENVIRONMENTS:
        return []
    from metaenv.molecules.chem.properties import by_smiles
    from metaenv.molecules.render import Made, bars, gallery, save_png

    env = config.make_env(num_envs=1, **{**settings, "split": split})
    tasks = env.distribution.frozen(split).tasks.take(np.zeros(1, np.intp))
    made = [Made(*one) for one in play(AgentPolicy(agent), env, tasks)]
    windows = tasks.low[0], tasks.high[0], tasks.wanted[0]
    title = f"{config.title} on an unseen objective ({split}, task {tasks.ids[0]}), molecule after molecule"
    picture = gallery(made, [bars(by_smiles(one.smiles), *windows) for one in made], title)
    return [save_png(folder / f"molecules-{split}.png", picture)]


def play(policy: Policy, env: VectorTrial, tasks: Any) -> list[tuple[str, float]]:
    """SMILES and scores of the molecules of one trial, in order."""
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
