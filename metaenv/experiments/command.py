"""`metaenv reproduce`: train and evaluate a published result whole, and write its table.

Runs that are complete are not trained again, and interrupted ones are resumed, so a second call goes on where the
first one stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from metaenv.agents.rl2 import RL2
from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.errors import nearest
from metaenv.evaluation import Evaluation, write_text
from metaenv.experiments.evaluate import AGENT, compare, save
from metaenv.experiments.molecules import molecules
from metaenv.experiments.omniglot import omniglot
from metaenv.experiments.paper_tables import rl2_bandits, rl2_mdps
from metaenv.experiments.pearl import gridnavi, pearl_bandit, pearl_materials, pearl_point_robot
from metaenv.experiments.telescope import telescope
from metaenv.policies import AgentPolicy, Policy
from metaenv.runs.command import or_stopped
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import seconds_spent, train_set
from metaenv.runs.training import TrainConfig, parsed, preset, replace

RESULTS = (
    "bandit-rl2", "materials-rl2", "rl2-bandits", "rl2-mdps",
    "pearl-point-robot", "gridnavi", "pearl-materials", "pearl-bandit", "molecules", "telescope",
    "omniglot", "sinusoid",
)  # fmt: skip
REPRODUCE_HELP = """\
usage: metaenv reproduce WHAT [options]

  bandit-rl2          RL² on 10 pulls of a 5-armed bandit, beside every baseline and the exact optimum
  materials-rl2       RL² on unseen materials, its controls, GP-BO and particle Bayes; out-of-distribution, harder
  variants rl2-bandits         Table 1 of the RL² paper: Bernoulli bandits of 10, 100 and 500 pulls, every column
  rl2-mdps            Table 2 of the RL² paper: random tabular MDPs of 10 to 100 episodes, every column
  pearl-point-robot   PEARL on the sparse point robot of its paper: 20 trajectories to goals never trained on
  gridnavi            RL² and PEARL on VariBAD's 5 by 5 grid, beside the exact Bayes-optimal values
  pearl-materials     PEARL on unseen materials, beside the greedy portfolio and the other baselines
  pearl-bandit        PEARL with discrete actions on 100 pulls of a 5-armed bandit
  molecules           RL² and PEARL on molecule objectives never seen, beside an ideal Bayes adapter and a task oracle
  sinusoid            MAML on its paper's sines: error after 1, 5 and 10 gradient steps on 5 and on 10 points
  telescope           RL² and PEARL on observing programmes and skies never seen, night by night, beside every policy
  omniglot            All few-shot learners on Omniglot (--data PATH), with and without transduction, beside the papers

Add --help after WHAT for options. Tables go to runs/reproduce/WHAT as Markdown, JSON and PNG.
"""
Variant = Literal["default", "yield", "noisy", "full"]
PRESETS: dict[Variant, str] = {
    "default": "MaterialsSynthesis",
    "yield": "materials-yield",
    "noisy": "materials-noisy",
    "full": "materials-full",
}
BLIND_SHARE = 3  # of the steps; chosen: a list of ten recipes is learned sooner than a way to learn
OOD = ("ood-hot", "ood-cold", "ood-instrument", "ood-mechanism")


def reproduce_command(args: list[str]) -> int:
    """Parse ``WHAT [options]`` and run it."""
    if not args or args[0] in ("-h", "--help"):
        print(REPRODUCE_HELP, end="")
        return 0
    if args[0] not in RESULTS:
        raise ValueError(f"no result {args[0]!r}.{nearest(args[0], RESULTS)}")
    from metaenv.experiments.sinusoid import sinusoid

    functions = (
        bandit_rl2, materials_rl2, rl2_bandits, rl2_mdps,
        pearl_point_robot, gridnavi, pearl_materials, pearl_bandit, molecules, telescope,
        omniglot, sinusoid,
    )  # fmt: skip
    function = dict(zip(RESULTS, functions, strict=True))[args[0]]

    def work() -> int:
        tyro.cli(function, args=args[1:], prog=f"metaenv reproduce {args[0]}")
        return 0

    return or_stopped(work, "the same command goes on")


def bandit_rl2(
    out: Path = Path("runs/reproduce/bandit-rl2"), seeds: int = 3, engine: Engine = "local", workers: int = 1
) -> None:
    """RL² on 10 pulls of a 5-armed bandit (Duan et al. 2016, Table 1): final policies, 10,000 frozen bandits.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    config = preset("bandit-10-5")
    folders = train_set({"rl2": config}, seeds, out, engine, workers)["rl2"]
    agents: list[Policy] = [AgentPolicy(RL2.load(f / "checkpoint.pt")) for f in folders]
    evaluation = compare(config, {AGENT: agents}, "test", None, 0, False, {})
    save(evaluation, out)
    lines = [
        "# 10 pulls of a 5-armed bandit: total reward",
        "",
        f"{evaluation.n_tasks:,} frozen bandits, final policies, {seeds} seeds. Trained "
        f"{config.steps:,} pulls a seed in {_minutes(folders)} min.",
        "",
        "| policy | total reward | 95 % interval |",
        "| --- | ---: | --- |",
    ]
    for row in evaluation.rows:
        if row.trial_return is not None:
            estimate, low, high = row.trial_return
            lines.append(f"| {row.name} | {estimate:.3f} | [{low:.3f}, {high:.3f}] |")
    lines.append(f"| exact Bayes optimum (dynamic programming) | {bayes_optimal_value(10, 5):.4f} | exact |")
    _finish(lines, out)


def materials_rl2(
    out: Path = Path("runs/reproduce/materials-rl2"),
    seeds: int = 3,
    variants: tuple[Variant, ...] = ("default", "yield", "noisy", "full"),
    controls: bool = True,
    bayesopt: bool = True,
    particles: bool = True,
    tasks: int | None = None,
    steps: int | None = None,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """RL² on held-out materials: final policies of several seeds beside all baselines, and its controls.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs of each kind.
        variants: default; yield-only feedback; doubled noise; full recipes (two steps, gas, precursor).
        controls: also train a context-blind PPO, and evaluate RL² with its memory cut.
        bayesopt: also run GP-BO, if BoTorch is installed (minutes).
        particles: also run the particle-Bayes reference (default variant).
        tasks: the first so many of each frozen list; all by default.
        steps: experiments to train on; the preset's own number by default.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    runs: dict[Variant, TrainConfig] = {variant: preset(PRESETS[variant]) for variant in variants}
    if steps:
        runs = {variant: replace(config, steps=steps) for variant, config in runs.items()}
    wanted: dict[str, TrainConfig] = dict(runs.items())
    if controls and "default" in runs:
        wanted["blind"] = replace(runs["default"], hide_history=True, steps=runs["default"].steps // BLIND_SHARE)
    folders = train_set(wanted, seeds, out, engine, workers)
    bayesopt = bayesopt and _has_botorch()
    lines = ["# RL² on materials it has never seen", ""]
    for variant, config in runs.items():
        settings = parsed(config.settings)
        for split in ("test", *OOD) if variant == "default" else ("test",):
            policies = _contestants(variant, folders, controls and variant == "default", particles)
            evaluation = compare(config, policies, split, tasks, 0, bayesopt, settings)
            save(evaluation, out / variant)
            lines += _section(evaluation, variant, config, folders[variant])
            write_text(out / "table.md", "\n".join(lines) + "\n")
    _finish(lines, out)


def _contestants(
    variant: Variant, folders: dict[str, list[Path]], controls: bool, particles: bool
) -> dict[str, Policy | Sequence[Policy]]:
    agents = [RL2.load(f / "checkpoint.pt") for f in folders[variant]]
    policies: dict[str, Policy | Sequence[Policy]] = {}
    if particles and variant == "default":
        from metaenv.materials.particle_bayes import ParticleBayes

        policies["particle Bayes"] = ParticleBayes()
    if controls:
        blind = [RL2.load(f / "checkpoint.pt") for f in folders["blind"]]
        hidden = {"hide_history": True}
        policies["PPO, context-blind"] = [AgentPolicy(a, trial_options=hidden) for a in blind]
        # A trial remembers twice: in the agent's state, and in the last report that its observation repeats.
        policies["RL², memory cut"] = [AgentPolicy(a, cut_memory=True, trial_options=hidden) for a in agents]
        policies["RL², last experiment only"] = [AgentPolicy(a, cut_memory=True) for a in agents]
    policies[AGENT] = [AgentPolicy(a) for a in agents]
    return policies


def _section(evaluation: Evaluation, variant: str, config: TrainConfig, folders: list[Path]) -> list[str]:
    means = np.array([r["mean_score_of_each_seed"] for r in (evaluation.row(AGENT).to_dict(),)])[0]
    oracle = evaluation.row("task oracle").values.mean()
    each = ", ".join("/".join(f"{x:.3f}" for x in seed) for seed in means / oracle)
    return [
        f"## {variant}, split {evaluation.split}",
        "",
        f"{evaluation.n_tasks} materials, fraction of the refined oracle (ratio of means) after k experiments, mean "
        f"[95 % interval over tasks and {len(folders)} seeds]. RL²: {config.steps:,} experiments a seed in "
        f"{_minutes(folders)} min, one core; its seeds one by one: {each}.",
        "",
        evaluation.table("fraction"),
        "",
    ]


def _minutes(folders: list[Path]) -> str:
    minutes = [seconds_spent(f) / 60 for f in folders]
    return f"{min(minutes):.1f}-{max(minutes):.1f}"


def _finish(lines: list[str], out: Path) -> None:
    path = write_text(out / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"\nWritten: {path}, with JSON and pictures beside it.")


def _has_botorch() -> bool:
    from importlib.util import find_spec

    if find_spec("botorch") is None:
        print("BoTorch is not installed, so GP-BO is left out: pip install -e '.[baselines]'")
        return False
    return True
