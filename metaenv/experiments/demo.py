"""`metaenv demo`: meta-train RL² on simulated chemical systems, then give it systems it has never seen."""

from __future__ import annotations

import time
from pathlib import Path

from metaenv.controls import LastEpisodes
from metaenv.evaluation import first_tasks
from metaenv.experiments.evaluate import AGENT, compare, drawn, save, show
from metaenv.experiments.settings import preset
from metaenv.policies import AgentPolicy
from metaenv.registry import parsed
from metaenv.runs.training import replace, train

STEPS, NUM_ENVS = 800_000, 400
"""Experiments to train on, and campaigns at once, which make 166 updates (chosen: a minute and a half on one core)."""
SHOTS = (1, 3, 6, 9, 12)
"""Experiments that the table and the picture show."""
SHORT_OF_MEMORY = f"{AGENT}, last experiment only"
LEFT_OUT = "particle Bayes"
"""The baseline that takes two seconds of processor time for each system."""


def demo(out: Path | None = None, seed: int = 0, steps: int = STEPS, tasks: int = 200) -> None:
    """Meta-train RL² on simulated chemical systems, then show it adapt to systems it has never seen. About two
    minutes.

    Args:
        out: run folder, new or empty; runs/demo by default, or runs/demo-2 and so on if that is taken.
        seed: of everything.
        steps: experiments to train on.
        tasks: unseen systems to evaluate on, at most 200.
    """
    folder = out or free_folder(Path("runs") / "demo")
    config = replace(preset("MaterialsSynthesis"), seed=seed, steps=steps, num_envs=NUM_ENVS)
    print(
        f"Three compounds of a hidden chemical system are to be made in turn, in twelve experiments. Each is a furnace "
        f"recipe of\nfour numbers and a choice of two sources, a flux and a gas. What suits a compound is hidden; what "
        f"one compound shows\nis worth something for the others.\n"
        f"Meta-training on {config.steps // 12:,} simulated systems, {config.steps:,} experiments; Ctrl-C keeps the "
        f"run.\n"
    )
    start = time.perf_counter()
    agent = train(config, folder)
    print(f"\nTrained in {time.perf_counter() - start:.0f} s. Now {tasks} systems it has never seen.")
    policies = {SHORT_OF_MEMORY: LastEpisodes(agent, 1), AGENT: AgentPolicy(agent)}
    evaluation = compare(
        config, policies, "test", tasks, seed, False, parsed(config.settings), shots=SHOTS, without=[LEFT_OUT]
    )
    show(evaluation)
    path, *_ = save(evaluation, folder, x_label="experiment with the system")
    trials = config.make_env(num_envs=1, split="test")
    frozen = first_tasks(trials.distribution.frozen("test"), tasks)
    drawn(lambda: trials.pictures(AgentPolicy(agent), trials, frozen, folder, AGENT))
    print(
        f"\nBoth rows of {AGENT} are the same agent; one of them is shown the last experiment only, and the "
        f"difference is\nwhat it remembers of the others. {LEFT_OUT}, which knows the simulator, would take seven "
        f"minutes more; in\ndocs/systems.md it comes nearer to the oracle than {AGENT} does.\n"
        f"\nAll in {time.perf_counter() - start:.0f} s. In {folder}:\n"
        f"  {path.with_suffix('.png').name:24s} these curves\n"
        f"  {'campaign-test.png':24s} one campaign: what was chosen for each compound, and what it was worth\n"
        f"  {path.name:24s} the numbers, with the hash of the task list\n"
        f"  {'checkpoint.pt':24s} the agent: metaenv evaluate {folder} --split ood-hot --tasks 50\n"
        f"  {'log.jsonl':24s} the training, a line an iteration"
    )


def free_folder(folder: Path) -> Path:
    """``folder``, or the first of ``folder-2``, ``folder-3``, … that does not exist."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
