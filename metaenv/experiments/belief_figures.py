"""Pictures of what PEARL believes of a task in the course of a trial. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.agents.pearl import PEARL
from metaenv.baselines import baselines_of
from metaenv.evaluation import first_tasks
from metaenv.plots import COLOURS, new_figure, save
from metaenv.policies import AgentPolicy, Policy, play_trials
from metaenv.runs.training import TrainConfig, parsed
from metaenv.stats import bootstrap_interval
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = 32  # whose beliefs are drawn (chosen)
MOMENTS = 25  # at most so many points of a curve (chosen)
STEPWISE = 5  # trials of fewer episodes are drawn step by step (chosen)
QUERIES = 128  # steps of each task whose rewards the decoder is asked for (chosen)
SAMPLES = 16  # latent tasks drawn from each belief (chosen)
MAP_EPISODES = (0, 1, 2, 5)
CELLS = 81  # of a map of the plane, along each axis (chosen)
VIEW = 1.35  # a map shows the plane from -1.35 to 1.35
LINES = ("-", "--", ":")  # rounds through the colours
PATH_COLOURS = ("#AAAAAA", "#FFFFFF")  # of earlier episodes, and of the last one


@dataclass(frozen=True)
class Trace:
    """One trial of each of n tasks, as an agent saw it.

    Attributes:
        observations: (n, t + 1, o) of the trial, from the one that ``reset`` returned on; 0 after a trial's end.
        actions: (n, t, ...).
        rewards: (n, t) of the steps.
        ends: (n, K) steps played when each episode was over.
        returns: (n, K) of the episodes.
    """

    observations: Observations
    actions: NDArray[Any]
    rewards: Floats
    ends: Index
    returns: Floats


def record_trials(policy: Policy, env: VectorTrial, tasks: TaskBatch, seed: int = 0) -> Trace:
    """Let a policy play one trial of each task.

    Args:
        policy: an agent or a classical method.
        env: trials, as many as there are tasks.
        tasks: what to play, n of them.
        seed: of the environment's noise and of the policy's own draws.

    Raises:
        ValueError: another number of trials than of tasks, or trials that hide where episodes end.
    """
    if env.num_envs != len(tasks) or env.trial_state.hide_history:
        raise ValueError(
            f"expected {len(tasks)} trials, one a task, that show what they remember; got {env.num_envs}, "
            f"hide_history={env.trial_state.hide_history}"
        )
    seen = _FirstSeen(policy)
    record = play_trials(seen, env, tasks, seed)
    observations = np.concatenate([seen.first[:, None], record.observations], axis=1)
    # The last three entries are the reward of the step before, the boundary flag and the progress.
    ends = np.nonzero(record.observations[..., -2] > 0)[1].reshape(len(tasks), env.episodes) + 1
    rewards = record.observations[..., -3].astype(np.float64) / env.trial_state.reward_scale
    return Trace(observations, record.actions, rewards, ends, record.readings)


class _FirstSeen:
    """Passes everything on to a policy, and keeps what it saw first."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.observe = policy.observe

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self._begun = False
        self.policy.start(env, rng)

    def act(self, observation: Observations) -> NDArray[Any]:
        if not self._begun:
            self.first, self._begun = observation.copy(), True
        return self.policy.act(observation)


def beliefs(agent: PEARL, trace: Trace, moments: Index) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations (n, m, L) of the latent task after `moments` (n, m) steps of each trial."""
    found = [
        [agent.posterior(seen[: k + 1]) for k in steps] for seen, steps in zip(trace.observations, moments, strict=True)
    ]
    both = np.array(found)  # (n, m, 2, L)
    return both[:, :, 0], both[:, :, 1]


@dataclass(frozen=True)
class Queries:
    """Steps whose rewards are asked for: observations (n, q, d), actions (n, q, ...), true rewards (n, q)."""

    observations: NDArray[np.float32]
    actions: NDArray[Any]
    rewards: Floats


def held_out_queries(agent: PEARL, env: VectorTrial, tasks: TaskBatch, seed: int, size: int = QUERIES) -> Queries:
    """`size` steps of each task, in equal parts from further trials of the agent and of all baselines.

    Between them they are paid where the agent alone, or random play, may never be.
    """
    rng = np.random.default_rng([seed, size])
    policies: list[Policy] = [AgentPolicy(agent), *baselines_of(env)[0].values()]
    each = -(-size // len(policies))
    traces = (record_trials(policy, env, tasks, seed + 1) for policy in policies)
    parts = [_some_steps(trace, agent.dims.episode_size, each, rng) for trace in traces]
    return Queries(*(np.concatenate([getattr(p, k) for p in parts], axis=1) for k in Queries.__dataclass_fields__))


def _some_steps(trace: Trace, d: int, size: int, rng: np.random.Generator) -> Queries:
    steps = rng.integers(trace.ends[:, -1:], size=(len(trace.ends), size))
    rows = np.arange(len(steps))[:, None]
    return Queries(trace.observations[rows, steps, :d], trace.actions[rows, steps], trace.rewards[rows, steps])


def expected_rewards(
    agent: PEARL,
    observations: NDArray[np.float32],
    actions: NDArray[Any],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> Floats:
    """The rewards (q,) that a belief expects: the decoder's, averaged over latent tasks drawn from it.

    Args:
        agent: whose decoder is asked.
        observations: (q, d) of the episode.
        actions: (q,) or (q, d_a).
        mean: (L,) of the belief.
        std: (L,) of the belief.
        rng: draws the latent tasks.
        samples: how many.
    """
    z = (mean + std * rng.standard_normal((samples, len(mean)))).astype(np.float32)
    q = len(observations)
    tiled = np.tile(observations, (samples, 1)), np.tile(actions, (samples, *[1] * (np.ndim(actions) - 1)))
    return agent.predict_reward(*tiled, np.repeat(z, q, axis=0)).reshape(samples, q).mean(axis=0, dtype=np.float64)


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


# ------------------------------------------------------------------- maps of reward


def reward_map_figure(agent: PEARL, env: VectorTrial, tasks: TaskBatch, seed: int = 0) -> Figure:
    """Where the agent expects to be paid, before a trial and after some of its episodes.

    Each map shows the decoder's reward of standing still at a place, averaged over latent tasks drawn from the belief;
    the path of the episodes played so far, the last one in white; and the true goal.
    The trial shown is that of the task with the median return.

    Args:
        agent: trained on SparsePointRobot or GridNavi.
        env: trials of one of them, as many as there are tasks.
        tasks: to choose the trial from.
        seed: of noise and of the drawn latent tasks. The agent draws from a stream of its own.

    Raises:
        ValueError: an environment without a map.
    """
    world = world_of(env)
    if world is None:
        raise ValueError(
            f"expected SparsePointRobot or GridNavi, got {type(env.innermost).__name__}; no other has maps"
        )
    trace = record_trials(AgentPolicy(agent), env, tasks, seed)
    row = int(np.argsort(trace.returns.sum(axis=1), kind="stable")[len(tasks) // 2])
    shown = [k for k in MAP_EPISODES if k < env.episodes] + (
        [env.episodes] if env.episodes <= max(MAP_EPISODES) else []
    )
    moments = np.array([[0, *trace.ends[row]][k] for k in shown])
    one = Trace(*(getattr(trace, name)[row : row + 1] for name in Trace.__dataclass_fields__))
    mean, std = beliefs(agent, one, moments[None])
    stay = np.zeros((len(world.places), *trace.actions.shape[2:]), trace.actions.dtype)
    rng = np.random.default_rng(seed)
    maps = [expected_rewards(agent, world.places, stay, m, s, rng) for m, s in zip(mean[0], std[0], strict=True)]
    return _draw_maps(world, maps, shown, one, tasks.take(np.array([row])))


@dataclass(frozen=True)
class World:
    """A plane to draw maps of: its places (cells * cells, 2), column by column, and its size.

    Attributes:
        places: observations, (cells², 2).
        view: from -view to view on both axes.
        after: where an action leads from a place.
        radius: of the goal; None for a cell.
    """

    places: NDArray[np.float32]
    view: float
    after: Callable[[NDArray[np.float32], Any], NDArray[Any]]
    radius: float | None


def world_of(env: VectorTrial) -> World | None:
    """The plane of SparsePointRobot or GridNavi, None for other environments."""
    if env.trial_state.episode_size != 2:  # a revealed task is part of the observation and not known on a map
        return None
    match type(env.innermost).__name__:
        case "SparsePointRobotVectorEnv":
            from metaenv.classic.point_robot.env import GOAL_RADIUS, STEP

            axis = np.linspace(-VIEW, VIEW, CELLS, dtype=np.float32)
            places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
            return World(places, VIEW, lambda place, action: place + STEP * action, GOAL_RADIUS)
        case "GridNaviVectorEnv":
            from metaenv.classic.gridnavi.baselines import cells_seen
            from metaenv.classic.gridnavi.env import PLACES, PROBLEM, SIZE

            view = SIZE / (SIZE - 1)  # half a cell beyond the outermost centres
            return World(PLACES, view, lambda p, a: PLACES[PROBLEM.next_cell[cells_seen(p[None])[0], a]], None)
        case _:
            return None


def _draw_maps(world: World, maps: list[Floats], shown: list[int], trace: Trace, task: TaskBatch) -> Figure:
    figure = new_figure(2.6 * len(shown) + 0.9, 3.2)
    panels: Any = figure.subplots(1, len(shown), squeeze=False)[0]
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    side = round(len(world.places) ** 0.5)
    image: Any = None
    for axes, values, k in zip(panels, maps, shown, strict=True):
        extent = (-world.view, world.view, -world.view, world.view)
        image = axes.imshow(values.reshape(side, side).T, origin="lower", extent=extent, vmin=low, vmax=high)
        _draw_paths(axes, world, trace, k)
        _draw_goal(axes, world, task)
        axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
        axes.set_title(_map_title(trace, k), fontsize=9)
    figure.colorbar(image, ax=list(panels), label="expected reward", shrink=0.8)
    figure.suptitle("Where PEARL expects reward (red: the hidden goal; white: the last path)", fontsize=10)
    return figure


def _map_title(trace: Trace, k: int) -> str:
    if k == 0:
        return "before the trial"
    return f"after {k} episode{'s' * (k > 1)}\nlast return {trace.returns[0, k - 1]:.1f}"


def _draw_paths(axes: Any, world: World, trace: Trace, episodes: int) -> None:
    starts = [0, *trace.ends[0]]
    for j in range(episodes):
        path = trace.observations[0, starts[j] : starts[j + 1], :2]
        # The observation after an episode's last step already is the next one's first.
        path = np.concatenate([path, world.after(path[-1], trace.actions[0, starts[j + 1] - 1])[None]])
        last = j == episodes - 1
        axes.plot(*path.T, color="#000000", lw=3.2 if last else 1.6)  # an outline, as maps are bright in places
        axes.plot(*path.T, color=PATH_COLOURS[last], lw=1.8 if last else 0.9)
        axes.plot(*path[-1], "o", color=PATH_COLOURS[last], mec="#000000", mew=0.7, ms=6 if last else 3.5)


def _draw_goal(axes: Any, world: World, task: TaskBatch) -> None:
    from matplotlib.patches import Circle, Rectangle

    outline = {"fill": False, "edgecolor": "#D55E00", "lw": 2}
    if world.radius is not None:
        axes.add_patch(Circle(tuple(task.matrix()[0]), world.radius, **outline))
        return
    from metaenv.classic.gridnavi.env import PLACES, SIZE, cell_numbers

    x, y = PLACES[cell_numbers(task)[0]]
    half = 1 / (SIZE - 1)
    axes.add_patch(Rectangle((x - half, y - half), 2 * half, 2 * half, **outline))


# ---------------------------------------------------------------------- as files


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
