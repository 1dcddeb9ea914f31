"""`metaenv evaluate`: a run's agent on held-out tasks, beside the classical methods, as table, JSON and picture."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import tyro

from metaenv.baselines import baselines_of
from metaenv.errors import install_hint
from metaenv.evaluation import SHOTS, Evaluation, evaluate, first_tasks, oracle_row
from metaenv.experiments.belief_figures import write_pictures
from metaenv.plots import curves
from metaenv.plots import save as save_figure
from metaenv.policies import AgentPolicy, Policy, Progress
from metaenv.registry import parsed
from metaenv.runs.folder import RunError
from metaenv.runs.sets import is_complete, members
from metaenv.runs.settings import differences, told, with_files
from metaenv.runs.training import TrainConfig, load_run, read_config

T = TypeVar("T")


def evaluate_run(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    tasks: int | None = None,
    seed: int = 0,
    sample: bool = False,
    best: bool = False,
    bayesopt: bool = False,
    settings: Annotated[dict[str, str] | None, tyro.conf.arg(help_behavior_hint="(as in training)")] = None,
) -> None:
    """Play a trained agent on held-out tasks, beside the classical methods, and write table, JSON and picture.

    Args:
        run: the run folder, or one with runs of several seeds, as ``metaenv train --seeds`` makes it: their intervals
            are over seeds and tasks.
        split: a frozen split of the environment, such as test, validation or ood-hot.
        tasks: the first so many tasks of the split; all by default.
        seed: of measurement noise and of the policies' own draws.
        sample: draw the agent's actions from its policy instead of taking the most likely ones.
        best: play the policy that was best on validation tasks in the course of training, instead of the final one;
            the files are then written to RUN/best.
        bayesopt: add Gaussian-process Bayesian optimisation (needs the baselines extra).
        settings: of the environment, where they shall differ from the training's.
    """
    loaded = [load_run(folder, best) for folder in _runs_of(run)]
    config, agent = loaded[0]
    name = f"{config.title}, best on validation" if best else config.title
    options = config.trial_options()
    agents = [AgentPolicy(each, deterministic=not sample, trial_options=options) for _, each in loaded]
    policies: dict[str, Policy | Sequence[Policy]] = {name: agents}
    typed = {**config.settings, **(settings or {})}
    given = parsed(with_files(typed, lambda changed: config.make_env(num_envs=1, **changed)))
    evaluation = compare(config, policies, split, tasks, seed, bayesopt, given)
    show(evaluation, name)
    folder = run / "best" if best else run
    written = save(evaluation, folder)
    if hasattr(agent, "posterior") and not config.hide_history:
        written += drawn(lambda: write_pictures(config, cast(Any, agent), folder, split, tasks, seed, given)) or []
    trials = config.make_env(num_envs=1, **{**given, "split": split})
    frozen = first_tasks(trials.distribution.frozen(split), tasks)
    written += drawn(lambda: trials.pictures(AgentPolicy(agent), trials, frozen, folder, name)) or []
    print(f"\nWritten: {', '.join([str(written[0]), *(picture.name for picture in written[1:])])}")


def _runs_of(folder: Path) -> list[Path]:
    """The folder itself, or the complete runs ``seed-*`` in it, which differ in nothing but their seeds.

    Raises:
        RunError: no run is complete, or their settings differ.
    """
    if not (runs := members(folder)):
        return [folder]
    complete = [run for run in runs if is_complete(run)]
    if left := [run.name for run in runs if run not in complete]:
        print(f"Left out, as the training is not complete: {', '.join(left)}", file=sys.stderr)
    if not complete:
        raise RunError(f"no run in {folder} is complete; `metaenv resume {folder}` goes on with them")
    first = read_config(complete[0]).to_dict()
    for run in complete[1:]:
        if other := differences(first, {**read_config(run).to_dict(), "seed": first["seed"]}):
            raise RunError(f"expected runs with the same settings, but between {complete[0]} and {run} {told(other)}")
    return complete


def compare(
    config: TrainConfig,
    policies: dict[str, Policy | Sequence[Policy]],
    split: str,
    n_tasks: int | None,
    seed: int,
    bayesopt: bool,
    settings: dict[str, Any],
    quiet: bool = False,
    shots: Sequence[int] = SHOTS,
    without: Collection[str] = (),
) -> Evaluation:
    """Evaluate agents and the classical methods of their environment's family, ``without`` some, on the same tasks."""
    env = config.make_env(num_envs=1, **{**settings, "split": split})
    classical, fixed = baselines_of(env)
    everyone: dict[str, Policy | Sequence[Policy]] = {
        **{name: policy for name, policy in classical.items() if name not in without}
    }
    if bayesopt:
        from metaenv.baselines.gp_bo import GaussianProcessBO

        everyone["GP-BO (BoTorch)"] = GaussianProcessBO()
    everyone.update(policies)
    progress = None if quiet else _progress(len(everyone))
    evaluation = evaluate(
        everyone, config.env, split, n_tasks, shots, seed, best_fixed=fixed, progress=progress,
        episodes=config.episodes, **settings,
    )  # fmt: skip
    frozen = first_tasks(env.distribution.frozen(split), n_tasks)
    evaluation.rows.append(oracle_row(frozen, len(evaluation.shots)))
    notes = {"training": dataclasses.asdict(config), "held_out": not env.distribution.closed}
    return dataclasses.replace(evaluation, notes=notes)


def show(evaluation: Evaluation, agent: str) -> None:
    """Print the tables; ``agent`` is the row whose adaptation score is told."""
    seen = "never seen in training" if evaluation.notes.get("held_out", True) else "all there are: none is held out"
    print(f"\n{evaluation.env_id}, split {evaluation.split}: {evaluation.n_tasks} tasks, {seen}")
    print("\nFraction of the oracle's score after k episodes, mean [95 % interval; of 1 seed, over tasks only]:\n")
    print(evaluation.table("fraction"))
    if more := evaluation.measures_table():
        print(f"\nWhole trials, mean [95 % interval]:\n\n{more}")
    adaptation = evaluation.row(agent).adaptation
    if adaptation:
        cells = ", ".join(f"{i.estimate:.3f} @{k}" for k, i in zip(evaluation.shots, adaptation, strict=True))
        print(f"\nAdaptation score of {agent} (0: the best fixed rule, 1: the oracle): {cells}")
    print("\nReward of a whole trial, as the policies saw it:")
    width = max(24, *(len(row.label) for row in evaluation.rows))
    for row in evaluation.rows:
        if row.trial_return is not None:
            estimate, low, high = row.trial_return
            print(f"  {row.label:{width}s} {estimate:8.3f} [{low:.3f}, {high:.3f}]")


def save(evaluation: Evaluation, folder: Path, title: str | None = None, x_label: str | None = None) -> list[Path]:
    """Write the JSON and, where matplotlib is installed, the picture of the curves beside it.

    Args:
        evaluation: what to write.
        folder: where to; the files are named after the split.
        title: of the picture; the environment and the number of tasks by default.
        x_label: of the picture's horizontal axis.
    """
    path = evaluation.save(folder / f"evaluation-{evaluation.split}.json")

    def draw() -> Path:
        figure = curves(evaluation, title=title)
        if x_label:
            figure.axes[0].set_xlabel(x_label)
        return save_figure(figure, path.with_suffix(".png"))

    picture = drawn(draw)
    return [path] if picture is None else [path, picture]


def drawn(draw: Callable[[], T]) -> T | None:
    """What ``draw`` returns; without matplotlib None, and a line that says what is missing."""
    try:
        return draw()
    except ImportError as error:
        print(f"A picture is left out, which needs matplotlib: {install_hint(error)}", file=sys.stderr)
        return None


def _progress(policies: int) -> Progress:
    """One line that counts policies and tasks, on a terminal only."""
    state = {"policy": 0}

    def report(done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        print(f"\r  policy {state['policy'] + 1} of {policies}: {done} of {total} tasks   ", end="", file=sys.stderr)
        state["policy"] += done == total
        if state["policy"] == policies:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)

    return report
