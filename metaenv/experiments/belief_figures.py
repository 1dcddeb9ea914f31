"""Pictures of what PEARL believes of a task in the course of a trial. matplotlib is imported when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.agents.pearl import PEARL
from metaenv.evaluation import first_tasks
from metaenv.experiments.beliefs import Queries, beliefs, expected_rewards, held_out_queries, record_trials
from metaenv.experiments.reward_maps import reward_map_figure, world_of
from metaenv.plots import COLOURS, new_figure, save
from metaenv.policies import AgentPolicy
from metaenv.registry import parsed
from metaenv.runs.training import TrainConfig
from metaenv.stats import bootstrap_interval
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = 32  # whose beliefs are drawn (chosen)
MOMENTS = 25  # at most so many points of a curve (chosen)
STEPWISE = 5  # trials of fewer episodes are drawn step by step (chosen)
LINES = ("-", "--", ":")  # rounds through the colours


def belief_figure(agent: PEARL, env: VectorTrial, tasks: TaskBatch, seed: int = 0) -> Figure:
    """The belief over a trial: how sure it is, and how well it predicts rewards that it has not seen.

    Left: standard deviation of each latent coordinate, mean over tasks, with a band from the 10th to the 90th
    percentile; the prior's is 1. Right: root mean square error of the predicted rewards of other trials of the same
    tasks (see `held_out_queries`), with a 95 % interval over tasks, beside what the one best constant would leave.

    Args:
        agent: trained on trials like these.
        env: trials, as many as there are tasks.
        tasks: which the agent should not have been trained on.
        seed: of noise and of queries. The agent draws from a stream of its own.
    """
    trace = record_trials(AgentPolicy(agent), env, tasks, seed)
    stepwise = env.trial_length is not None and env.episodes < STEPWISE
    count = np.unique(np.linspace(0, env.episodes, MOMENTS).round().astype(np.intp))
    moments = np.concatenate([np.zeros((len(tasks), 1), np.intp), trace.ends], axis=1)[:, count]
    if stepwise:
        count = np.arange(trace.actions.shape[1] + 1)
        moments = np.tile(count, (len(tasks), 1))
    mean, std = beliefs(agent, trace, moments)
    queries = held_out_queries(agent, env, tasks, seed)
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_widths(left, count, std)
    _draw_errors(right, count, _square_errors(agent, queries, mean, std, seed), queries)
    boundaries = trace.ends[0, :-1] if stepwise else ()
    for axes in (left, right):
        _finish_axes(axes, "steps played" if stepwise else "episodes played", boundaries)
    figure.suptitle(f"What PEARL believes of {len(tasks)} tasks in the course of a trial", fontsize=10)
    return figure


def _square_errors(
    agent: PEARL, queries: Queries, mean: NDArray[np.float32], std: NDArray[np.float32], seed: int
) -> Floats:
    """(n, m) mean square error of the predicted rewards."""
    errors = np.zeros(mean.shape[:2])
    for i, k in np.ndindex(errors.shape):
        rng = np.random.default_rng([seed, i])  # the same draws for all beliefs of a task
        expected = expected_rewards(agent, queries.observations[i], queries.actions[i], mean[i, k], std[i, k], rng)
        errors[i, k] = np.mean((expected - queries.rewards[i]) ** 2)
    return errors


def _draw_widths(axes: Any, count: Index, std: NDArray[np.float32]) -> None:
    for j in range(std.shape[2]):
        colour, style = COLOURS[j % len(COLOURS)], LINES[j // len(COLOURS) % len(LINES)]
        low, high = np.percentile(std[:, :, j], (10, 90), axis=0)
        axes.plot(count, std[:, :, j].mean(axis=0), style, color=colour, lw=1.5, label=f"$z_{{{j + 1}}}$")
        axes.fill_between(count, low, high, color=colour, alpha=0.12, lw=0)
    axes.set_ylim(top=1.05)
    axes.set_title("how unsure it is of the task", fontsize=9)
    axes.set_ylabel("standard deviation (prior: 1)")
    axes.legend(framealpha=0.8, edgecolor="none", fontsize=8, ncols=2)


def _draw_errors(axes: Any, count: Index, errors: Floats, queries: Queries) -> None:
    intervals = [bootstrap_interval(e, rng=np.random.default_rng(0), n_resamples=1000) for e in errors.T]
    middle, low, high = np.sqrt(np.array(intervals)).T
    axes.plot(count, middle, color=COLOURS[0], lw=1.5, label="predicted from the belief")
    axes.fill_between(count, low, high, color=COLOURS[0], alpha=0.2, lw=0)
    axes.axhline(queries.rewards.std(), color="#444444", ls="--", lw=1, label="best constant")
    axes.set_title("how well it predicts unseen rewards", fontsize=9)
    axes.set_ylabel("root mean square error")
    axes.legend(frameon=False, fontsize=8)


def _finish_axes(axes: Any, label: str, boundaries: Any) -> None:
    for step in boundaries:
        axes.axvline(step, color="#BBBBBB", lw=0.8, zorder=0)
    axes.set_xlabel(label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def write_pictures(
    config: TrainConfig,
    agent: PEARL,
    folder: Path,
    split: str = "test",
    tasks: int | None = None,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> list[Path]:
    """Write ``belief.png``, and ``reward_map.png`` where the environment is a plane.

    Args:
        config: settings of the agent's training.
        agent: the agent.
        folder: where to.
        split: of the tasks, a frozen one.
        tasks: the first so many of the split, at most 32, which is also the default.
        seed: of noise and draws.
        settings: of the environment, instead of the training's.
    """
    given = parsed(config.settings) if settings is None else settings
    frozen = config.make_env(**{**given, "num_envs": 1, "split": split}).distribution.frozen(split)
    some = first_tasks(frozen, min(tasks or TASKS, TASKS)).tasks
    env = config.make_env(**{**given, "num_envs": len(some), "split": split})
    written = [save(belief_figure(agent, env, some, seed), folder / "belief.png")]
    if world_of(env) is not None:
        written.append(save(reward_map_figure(agent, env, some, seed), folder / "reward_map.png"))
    return written
