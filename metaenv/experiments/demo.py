"""`metaenv demo`: meta-train RL² on simulated materials, then give it materials it has never seen.

It plays the easy variant of one material, whose campaigns fit into one picture.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from metaenv.agents.base import Agent
from metaenv.evaluation import CHUNK, first_tasks
from metaenv.experiments.campaign_figure import campaign_figure
from metaenv.experiments.evaluate import AGENT, compare, save, show
from metaenv.experiments.settings import preset
from metaenv.materials.baselines import portfolio
from metaenv.materials.env import LAYOUT, PHASES_SEEN
from metaenv.materials.recipes import from_action
from metaenv.materials.render import recipe_text
from metaenv.plots import save as save_figure
from metaenv.policies import AgentPolicy, play_trials
from metaenv.registry import parsed
from metaenv.runs.training import TrainConfig, replace, train

SHOWN = 8  # materials to choose the worked campaign from: the one nearest to the agent's median result


def demo(out: Path | None = None, seed: int = 0, steps: int | None = None, tasks: int = 1000) -> None:
    """Meta-train RL² on simulated materials, then show it adapt to materials it has never seen. About three minutes.

    Args:
        out: run folder, new or empty; runs/demo by default, or runs/demo-2 and so on if that is taken.
        seed: of everything.
        steps: experiments to train on; the preset's number by default.
        tasks: unseen materials to evaluate on, at most 1,000.
    """
    folder = out or free_folder(Path("runs") / "demo")
    config = preset("materials-demo")
    config = replace(config, seed=seed, steps=steps or config.steps)
    materials = config.steps // 10
    print(
        f"A hidden material is to be made by a furnace recipe of five numbers. RL² may try ten recipes on each.\n"
        f'This is the easy variant "recipe" of MaterialsSynthesis; its default asks for three compounds.\n'
        f"Meta-training on {materials:,} simulated materials, {config.steps:,} experiments; Ctrl-C keeps the run.\n"
    )
    start = time.perf_counter()
    agent = train(config, folder)
    print(f"\nTrained in {time.perf_counter() - start:.0f} s. Now {tasks} materials it has never seen.")
    botorch, settings = find_spec("botorch") is not None, parsed(config.settings)
    evaluation = compare(config, {AGENT: AgentPolicy(agent)}, "test", tasks, seed, botorch, settings)
    show(evaluation)
    path, *_ = save(evaluation, folder)
    campaign = worked_campaign(config, agent, folder)
    print(
        f"\nAll in {time.perf_counter() - start:.0f} s. In {folder}:\n"
        f"  {path.with_suffix('.png').name:24s} these curves\n"
        f"  {campaign.name:24s} one worked campaign\n"
        f"  {path.name:24s} the numbers, with the hash of the task list\n"
        f"  {'checkpoint.pt':24s} the agent: metaenv evaluate {folder} --split ood-hot\n"
        f"  {'log.jsonl':24s} the training, a line an iteration"
    )


def worked_campaign(config: TrainConfig, agent: Agent, folder: Path) -> Path:
    """Draw and print one campaign on an unseen material."""
    env = config.make_env(num_envs=CHUNK, split="test")
    frozen = first_tasks(env.distribution.frozen("test"), SHOWN)
    record = play_trials(AgentPolicy(agent), env, frozen.tasks)
    listed = play_trials(portfolio(), env, frozen.tasks).best_so_far()
    best = record.best_so_far()
    final = best[:, -1] / frozen.reference.oracle
    i = int(np.argsort(final)[len(final) // 2])
    shown = record.observations[i, :, LAYOUT.width :].astype(np.float64)
    figure = campaign_figure(
        frozen.tasks.take(np.array([i])),
        record.actions[i],
        shown[:, PHASES_SEEN],
        record.readings[i],
        record.scores[i],
        float(frozen.reference.oracle[i]),
        others={"greedy portfolio": listed[i]},
    )
    recipes = from_action(record.actions[i])
    print(f"\nOne campaign, on unseen material {frozen.tasks.ids[i]} (oracle {frozen.reference.oracle[i]:.3f}):")
    for k in range(env.episodes):
        print(f"  {k + 1:2d}. {recipe_text(recipes, k):74s} reading {record.readings[i, k]:6.3f}")
    return save_figure(figure, folder / "campaign.png")


def free_folder(folder: Path) -> Path:
    """``folder``, or the first of ``folder-2``, ``folder-3``, … that does not exist."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
