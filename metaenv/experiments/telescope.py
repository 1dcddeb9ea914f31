"""`metaenv reproduce telescope`: RL² and PEARL on programmes and skies they have never seen, night by night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure

from metaenv.agents.pearl import PEARL
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import RL2Config
from metaenv.evaluation import Evaluation, Row, ratio_interval, write_text
from metaenv.experiments.evaluate import compare
from metaenv.plots import COLOURS, new_figure
from metaenv.plots import save as save_figure
from metaenv.policies import AgentPolicy, Policy
from metaenv.runs.parallel import Engine
from metaenv.runs.sets import spent, train_set
from metaenv.runs.training import TrainConfig, load_run, parsed, preset
from metaenv.stats import Interval
from metaenv.telescope.baselines import BEST_FIXED, knowing_policies
from metaenv.telescope.tasks import SPLITS

RL2_TITLE, PEARL_TITLE, BLIND = RL2.title, PEARL.title, "PPO without memory"
KINDS = {"rl2": RL2_TITLE, "pearl": PEARL_TITLE, "blind": BLIND, "depth-rl2": RL2_TITLE, "depth-pearl": PEARL_TITLE}
"""Kinds of runs, and the name of each in tables."""
HELD_OUT = tuple(s for s in SPLITS if s not in ("train", "validation"))
RANDOM, ORACLE = "random", "task oracle"
MARKS = "osv^D*P<>hXd"
BLIND_STEPS = 1_500_000  # chosen: a policy that remembers nothing has learned what it can by then


def telescope(
    out: Path = Path("runs/reproduce/telescope"),
    seeds: int = 3,
    kinds: tuple[str, ...] = tuple(KINDS),
    splits: tuple[str, ...] = HELD_OUT,
    tasks: int | None = None,
    steps: int | None = None,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """Target selection under hidden skies for hidden programmes: score of each night on tasks never trained on.

    Args:
        out: folder of the runs and tables.
        seeds: how many training runs of each kind.
        kinds: what to train: rl2, pearl, blind (a PPO without memory, one seed, which sees no more than tonight's last
            exposure); depth-rl2 and depth-pearl on the preset in which exposures take 1, 2 or 4 slots.
        splits: held-out lists to evaluate on.
        tasks: the first so many of each frozen list; all by default.
        steps: steps to train each agent on; the presets' own numbers by default.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"Expected kinds out of {', '.join(KINDS)}; got {', '.join(unknown) or 'none'}.")
    configs = {kind: _config(kind) for kind in kinds}
    if steps:
        configs = {kind: replace(config, steps=steps) for kind, config in configs.items()}
    folders: dict[str, list[Path]] = {}
    for kind, config in configs.items():
        folders |= train_set({kind: config}, 1 if kind == "blind" else seeds, out, engine, workers)
    lines = ["# Target selection for programmes and skies never seen", "", *spent(configs, folders), ""]
    for name in ("default", "depth"):
        chosen = {kind: folders[kind] for kind in kinds if kind.startswith("depth") == (name == "depth")}
        if not chosen:
            continue
        config = configs[next(iter(chosen))]
        for split in splits:
            evaluation = _evaluate(config, chosen, split, tasks)
            evaluation.save(out / name / f"evaluation-{split}.json")
            save_figure(nightly_figure(evaluation), out / name / f"nights-{split}.png")
            lines += [f"## {name}, split {split}", "", nightly_table(evaluation), ""]
            write_text(out / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"\nWritten: {out / 'table.md'}, with JSON and pictures beside it.")


def _config(kind: str) -> TrainConfig:
    name = "telescope-depth" if kind.startswith("depth") else "TargetSelection"
    if kind != "blind":
        return preset(name, kind.removeprefix("depth-"))
    config = preset(name)
    agent = cast(RL2Config, config.agent)
    hidden = replace(agent, memory=False, teacher=None)
    return replace(config, steps=BLIND_STEPS, hide_history=True, agent=hidden)


def _evaluate(config: TrainConfig, runs: Mapping[str, Sequence[Path]], split: str, tasks: int | None) -> Evaluation:
    policies: dict[str, Policy | Sequence[Policy]] = {**knowing_policies()}
    for kind, group in runs.items():
        loaded = [load_run(folder) for folder in group]
        policies[KINDS[kind]] = [AgentPolicy(agent, trial_options=run.trial_options()) for run, agent in loaded]
    nights = config.make_env(num_envs=1).episodes
    evaluation = compare(
        config, policies, split, tasks, 0, False, parsed(config.settings), shots=tuple(range(1, nights + 1))
    )
    return replace(evaluation, rows=evaluation.rows[:-1])  # the oracle has been played, night by night


def nightly(evaluation: Evaluation, row: Row, low: str = RANDOM) -> tuple[list[Interval], Interval]:
    """Scores of each night and of all, (J - J_low) / (J_oracle - J_low), as ratios of means over the same nights.

    Args:
        evaluation: with rows of "random", of the "task oracle" and of the best fixed rule.
        row: whose scores.
        low: who scores 0: "random", or the best fixed rule for the adaptation score.
    """
    floor, oracle = evaluation.row(low).values.mean(axis=0), evaluation.row(ORACLE).values.mean(axis=0)
    nights = [ratio_interval(row.values[:, :, k], floor[:, k], oracle[:, k]) for k in range(row.values.shape[2])]
    return nights, ratio_interval(row.values.mean(axis=2), floor.mean(axis=1), oracle.mean(axis=1))


def nightly_table(evaluation: Evaluation) -> str:
    """A Markdown table: score of each night and of all nights, then the adaptation score, with 95 % intervals."""
    nights = [f"night {k}" for k in evaluation.shots]
    head = ["policy", *nights, "all nights", "95 % interval", "adaptation", "95 % interval"]
    lines = [head, ["---", *["---:"] * (len(nights) + 1), "---", "---:", "---"]]
    for row in evaluation.rows:
        each, whole = nightly(evaluation, row)
        gained = nightly(evaluation, row, BEST_FIXED)[1]
        cells = [f"{i.estimate:.2f}" for i in each]
        means = (f"{i.estimate:.3f}" for i in (whole, gained))
        lines.append([row.name, *cells, next(means), _ends(whole), next(means), _ends(gained)])
    note = (
        f"{evaluation.n_tasks} tasks; 0 is random, 1 the task oracle on the same nights; in the adaptation score 0 is "
        "the best fixed rule."
    )
    return "\n".join([note, "", *["| " + " | ".join(line) + " |" for line in lines]])


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3f}-{interval.high:.3f}"


def nightly_figure(evaluation: Evaluation) -> Figure:
    """Score night by night of every policy, with the agents' 95 % intervals."""
    figure = new_figure(8.0, 4.4)
    axes: Any = figure.add_subplot()
    rows = sorted(evaluation.rows, key=lambda row: -float(row.values[:, :, -1].mean()))
    agents = [row.name for row in rows if row.name in KINDS.values()]
    others = [row.name for row in rows if row.name not in KINDS.values()]
    for row in rows:
        each, _ = nightly(evaluation, row)
        y, is_agent = [i.estimate for i in each], row.name in agents
        place = (agents if is_agent else others).index(row.name)
        # What learns stands out; the others differ by their marks.
        look = (
            {"color": COLOURS[place], "lw": 2.2}
            if is_agent
            else {"color": "#999999", "lw": 0.9, "marker": MARKS[place % len(MARKS)]}
        )
        axes.plot(evaluation.shots, y, label=row.name, ms=4, **look)
        if is_agent:
            axes.fill_between(
                evaluation.shots, [i.low for i in each], [i.high for i in each], color=COLOURS[place], alpha=0.15, lw=0
            )
    axes.set_xlabel("night")
    axes.set_ylabel("score (0: random, 1: task oracle)")
    axes.set_xticks(evaluation.shots)
    axes.set_title(f"Target selection, {evaluation.split}: {evaluation.n_tasks} unseen tasks", fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
