"""Where PEARL expects reward on a plane, before a trial and after some of its episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.agents.pearl import PEARL
from metaenv.experiments.beliefs import Trace, beliefs, expected_rewards, record_trials
from metaenv.plots import new_figure
from metaenv.policies import AgentPolicy
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPISODES = (0, 1, 2, 5)  # after which there is a map (chosen)
CELLS = 81  # of a map of the plane, along each axis (chosen)
VIEW = 1.35  # a map shows the plane from -1.35 to 1.35 (chosen)
PATH_COLOURS = ("#AAAAAA", "#FFFFFF")  # of earlier episodes, and of the last one


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
    shown = [k for k in EPISODES if k < env.episodes] + ([env.episodes] if env.episodes <= max(EPISODES) else [])
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
