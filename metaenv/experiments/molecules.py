"""`metaenv reproduce molecules`: RL² and PEARL on objectives they have never seen, beside what knows more and less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from metaenv.agents.pearl import PEARL
from metaenv.agents.rl2 import RL2
from metaenv.evaluation import Evaluation, difference, write_text
from metaenv.experiments.evaluate import compare, save
from metaenv.policies import AgentPolicy, Policy
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import spent, train_set
from metaenv.runs.training import TrainConfig, load_run, parsed, preset

CONDITIONED, BLIND, RL2_TITLE, PEARL_TITLE = "PPO, told the task", "PPO, context-blind", RL2.title, PEARL.title
SHORT = {RL2_TITLE: "rl2", PEARL_TITLE: "pearl", BLIND: "blind", CONDITIONED: "conditioned"}
SPLITS = ("test", "ood-combination")
MOLECULES = (1, 2, 3, 4, 5)


def molecules(
    out: Path = Path("runs/reproduce/molecules"),
    seeds: int = 3,
    controls: bool = True,
    pearl: bool = True,
    tasks: int | None = None,
    steps: int | None = None,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """Molecule design with three hidden windows: score of the 1st to 5th molecule for objectives never trained on.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs of each kind.
        controls: also train a PPO that sees nothing of the trial, and one that is told the task (the ceiling).
        pearl: also train PEARL.
        tasks: the first so many of each frozen list; all by default.
        steps: steps to train each agent on; the presets' own numbers by default.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    configs = {RL2_TITLE: preset("MoleculeDesign")}
    if pearl:
        configs[PEARL_TITLE] = preset("MoleculeDesign", "pearl")
    if controls:
        plain = preset("molecules-plain")
        configs |= {BLIND: replace(plain, hide_history=True), CONDITIONED: replace(plain, observe_task=True)}
    if steps:
        configs = {name: replace(config, steps=steps) for name, config in configs.items()}
    runs = train_set({SHORT[name]: config for name, config in configs.items()}, seeds, out, engine, workers)
    folders = {name: runs[SHORT[name]] for name in configs}
    path = out / "table.md"
    lines = ["# Molecules for objectives never seen", "", *spent(configs, folders), ""]
    for split in SPLITS:
        evaluation = _evaluate(configs[RL2_TITLE], folders, split, tasks)
        save(evaluation, out)
        lines += _section(evaluation, list(folders))
        write_text(path, "\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"\nWritten: {path}, with JSON and pictures beside it.")


def _evaluate(config: TrainConfig, folders: Mapping[str, Sequence[Path]], split: str, tasks: int | None) -> Evaluation:
    policies: dict[str, Policy | Sequence[Policy]] = {}
    for name, group in folders.items():
        runs = [load_run(folder) for folder in group]
        policies[name] = [AgentPolicy(agent, trial_options=run.trial_options()) for run, agent in runs]
    return compare(config, policies, split, tasks, 0, False, parsed(config.settings), shots=MOLECULES)


def _section(evaluation: Evaluation, agents: Sequence[str]) -> list[str]:
    lines = [
        f"## split {evaluation.split}",
        "",
        f"{evaluation.n_tasks} objectives, each certified by a real molecule of score 1; mean score of the k-th "
        "molecule of a trial [95 % interval over objectives and training seeds]; final policies.",
        "",
        evaluation.table("fraction"),
        "",
    ]
    last = len(evaluation.shots) - 1
    for name in (RL2_TITLE, PEARL_TITLE):
        if name in agents and BLIND in agents:
            lead = difference(evaluation.row(name), evaluation.row(BLIND), last)
            lines.append(
                f"- {name} minus the context-blind PPO at molecule {evaluation.shots[last]}, paired by objective: "
                f"{lead.estimate:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
            )
    each = evaluation.row(RL2_TITLE).to_dict()["mean_score_of_each_seed"]
    lines.append(f"- {RL2_TITLE}, seed by seed: " + "; ".join("/".join(f"{x:.3f}" for x in seed) for seed in each))
    return [*lines, ""]
