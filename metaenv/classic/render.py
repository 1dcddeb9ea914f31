"""Pictures and texts of the classic environments. What is hidden from a policy is left out, unless it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.canvas import BLUE, GREEN, GREY, INK, ORANGE, PALE, SKY_BLUE, VERMILION, Chart, Colour, Pixels
from metaenv.typing import Floats

Frame = NDArray[np.uint8]
Cell = tuple[int, int]

# BANDITS

ARM = 84  # pixels from one arm to the next


def bandit_text(pulls: Floats, paid: Floats, last: tuple[int, float] | None, hidden: Floats | None) -> str:
    """What each arm has paid so far; ``last`` is the arm pulled last and what it paid."""
    said = f"; last: arm {last[0]} paid {last[1]:.0f}" if last else ""
    arms = [
        f"{i} "
        + (f"pulled {_times(n)}, mean reward {total / n:.2f}" if n else "not pulled yet")
        + ("" if hidden is None else f", true probability {hidden[i]:.2f}")
        for i, (n, total) in enumerate(zip(pulls, paid, strict=True))
    ]
    return f"{len(pulls)} arms, {pulls.sum():.0f} pulls, reward {paid.sum():.0f} in all{said}\n" + listed(
        "actions, the arm to pull", arms
    )


def bandit_frame(pulls: Floats, paid: Floats, last: tuple[int, float] | None, hidden: Floats | None) -> Frame:
    """Arms as bars as high as their mean reward so far; the one pulled last is green if it paid, else vermilion.

    Returns:
        (340, max(94 + 84 * n_arms, 480), 3) uint8.
    """
    n = len(pulls)
    canvas = Pixels(max(94 + ARM * n, 480), 340)
    canvas.words(18, 28, f"{pulls.sum():.0f} pulls, reward {paid.sum():.0f} in all", 17)
    chart = Chart(canvas, (62, 66, ARM * n, 180), (-0.5, n - 0.5), (0, 1.15))
    chart.axes("", "mean reward of a pull", [])
    for i in range(n):
        x = chart.at(i, 0)[0]
        colour = SKY_BLUE if last is None or last[0] != i else (GREEN if last[1] else VERMILION)
        if pulls[i]:
            mean = float(paid[i] / pulls[i])
            chart.bar(i, 0.6, 0, mean, colour)
            canvas.box(x - 25, chart.at(i, mean)[1] - 1, 50, 2, colour)
            canvas.words(x, chart.at(i, mean)[1] - 5, f"{mean:.2f}", 13, INK, "middle")
        if hidden is not None:
            canvas.box(x - 32, chart.at(i, float(hidden[i]))[1] - 1, 64, 3, INK)
        canvas.words(x, 266, f"arm {i}", 14, INK, "middle")
        canvas.words(x, 284, f"{pulls[i]:.0f} pull" + "s" * bool(pulls[i] != 1), 13, GREY, "middle")
    keys = [(GREEN, "pulled last, paid 1"), (VERMILION, "pulled last, paid 0"), (SKY_BLUE, "others")]
    canvas.legend(40, 320, keys if hidden is None else [*keys, (INK, "true")])
    return canvas.array()


def _times(n: float) -> str:
    return f"{n:.0f} times" if n != 1 else "once"


# TABULAR MDPs

MDP_CELL, MDP_ROW, STATE_CELL = 76, 27, 30  # pixels
LOWEST, HIGHEST = -1.0, 3.0  # of the colour scale: mean rewards are drawn from N(1, 1)


def mdp_text(seen: Floats, state: int, where: str, hidden: tuple[Floats, Floats] | None) -> str:
    """What each action did so far, in the present state and in the others.

    Args:
        seen: (S, A, 1 + S) sum of the rewards, then how often each state followed.
        state: the present one.
        where: a line on the episode.
        hidden: true mean rewards (S, A) and transitions (S, A, S) to be told, or None.
    """
    there = [f"{s}, {a}: {_mdp_pair(seen[s, a])}" for s, a in np.argwhere(seen[..., 1:].sum(axis=2) > 0) if s != state]
    lines = [where]
    if hidden is not None:
        lines += [
            f"true mean reward in state {s}: {np.array2string(row, precision=2)}" for s, row in enumerate(hidden[0])
        ]
    if there:
        lines.append(listed("seen in other states (state, action)", there))
    here = [f"{a} {_mdp_pair(pair)}" for a, pair in enumerate(seen[state])]
    return "\n".join([*lines, listed(f"actions in state {state}", here)])


def _mdp_pair(pair: Floats) -> str:
    n, after = int(pair[1:].sum()), pair[1:].astype(int)
    if not n:
        return "not tried yet"
    led = ", ".join(f"{s} ({_times(after[s])})" if after[s] > 1 else str(s) for s in np.flatnonzero(after))
    return f"tried {_times(n)}, mean reward {pair[0] / n:.2f}, led to state {led}"


def mdp_frame(
    seen: Floats, state: int, last: tuple[int, int] | None, where: str, hidden: tuple[Floats, Floats] | None
) -> Frame:
    """The mean reward of each state and action, and from which state the walk came to which; arguments as `mdp_text`.

    The present state's row is framed; so is, in blue, the pair that was played ``last``.

    Returns:
        (27 * S + 150, 138 + max(76 * A, 240) + max(30 * S, 312), 3) uint8.
    """
    s, a, _ = seen.shape
    canvas, left, right, top = _mdp_canvas(s, a, _mdp_labels(s, a, hidden is not None))
    canvas.words(18, 28, where, 16)
    count = seen[..., 1:].sum(axis=2)
    reward = seen[..., 0] / np.maximum(count, 1) if hidden is None else hidden[0]
    follows = seen[..., 1:].sum(axis=1) if hidden is None else hidden[1].mean(axis=1)
    most = max(float(follows.max()), 1e-9)
    for i in range(s):
        y = top + MDP_ROW * i
        for j in range(a):
            x, known = left + MDP_CELL * j, count[i, j] > 0 or hidden is not None
            canvas.box(x + 1, y + 1, MDP_CELL - 2, MDP_ROW - 2, _reward_colour(reward[i, j]) if known else PALE)
            if (i, j) == last:
                canvas.box(x + 1, y + 1, MDP_CELL - 2, MDP_ROW - 2, _reward_colour(reward[i, j]), BLUE)
            if known:
                words = f"{reward[i, j]:.2f}" + (f" ({count[i, j]:.0f})" if count[i, j] else "")
                canvas.words(x + MDP_CELL / 2, y + 18, words, 13, INK, "middle")
        for k in range(s):
            x, share = right + STATE_CELL * k, float(follows[i, k]) / most
            shade = round(240 - 90 * share)
            canvas.box(x + 1, y + 1, STATE_CELL - 2, MDP_ROW - 2, (shade, shade, shade + 8) if follows[i, k] else PALE)
            if follows[i, k]:
                value = follows[i, k] if hidden is None else 100 * follows[i, k]
                canvas.words(x + STATE_CELL / 2, y + 18, f"{value:.0f}", 13, INK, "middle")
    y = top + MDP_ROW * state
    for x, width in ((left, MDP_CELL * a), (right, STATE_CELL * s)):
        for box in ((x - 1, y - 1, width + 2, 2), (x - 1, y + MDP_ROW - 1, width + 2, 2)):
            canvas.box(*box, INK)
    return canvas.array()


def _mdp_canvas(s: int, a: int, background: Pixels | None = None) -> tuple[Pixels, int, int, int]:
    """A canvas; where the tables of actions and of states begin; and their top."""
    right = 118 + max(MDP_CELL * a, 240)
    return Pixels(right + max(STATE_CELL * s, 312) + 20, MDP_ROW * s + 150, background), 58, right, 92


@lru_cache(maxsize=4)
def _mdp_labels(s: int, a: int, hidden: bool) -> Pixels:
    """What all pictures of so many states and actions have in common."""
    canvas, left, right, top = _mdp_canvas(s, a)
    what = ("mean reward so far (times tried)", "times a state (column) followed another (row)")
    if hidden:
        what = ("true mean reward (times tried)", "true chance, in %, mean over actions")
    canvas.words(left, 58, what[0], 14)
    canvas.words(right, 58, what[1], 14)
    for j in range(a):
        canvas.words(left + MDP_CELL * (j + 0.5), top - 8, f"action {j}", 13, GREY, "middle")
    for k in range(s):
        canvas.words(right + STATE_CELL * (k + 0.5), top - 8, str(k), 13, GREY, "middle")
    for i in range(s):
        canvas.words(left - 8, top + MDP_ROW * i + 18, f"state {i}", 13, GREY, "right")
        canvas.words(right - 8, top + MDP_ROW * i + 18, str(i), 13, GREY, "right")
    bottom = top + MDP_ROW * s + 34
    for k, value in enumerate((-1, 0, 1, 2, 3)):
        canvas.box(left + 44 * k, bottom - 12, 44, 16, _reward_colour(value))
        canvas.words(left + 44 * k + 22, bottom, f"{value}", 12, INK, "middle")
    canvas.words(left + 230, bottom, "mean reward; black lines: present state; blue: played last", 13, GREY)
    return canvas


def _reward_colour(mean: float) -> Colour:
    share = min(max((float(mean) - LOWEST) / (HIGHEST - LOWEST), 0.0), 1.0) * 2 - 1
    end = (110, 190, 150) if share > 0 else (232, 150, 110)
    return tuple(round(245 + abs(share) * (c - 245)) for c in end)


# WALKS

PATH, EARLIER, ROBOT = "#7896BE", "#D3DCE6", VERMILION
VIEW = 2.0  # the plane is shown from -2 to 2 on both axes, which is as far as the robot gets


def point_text(path: Floats, walks: Sequence[Floats], steps: int, goal: Floats | None) -> str:
    """Where the robot is, and where it was paid.

    Args:
        path: (t + 1, 3) x, y and reward, of the present episode.
        walks: those of the task's earlier episodes.
        steps: of an episode.
        goal: to be told, or None.
    """
    x, y, paid = path[-1]
    lines = [
        f"step {len(path) - 1} of {steps}, at ({x:+.2f}, {y:+.2f}), last reward {paid:.2f}, return of the episode "
        f"{path[:, 2].sum():.2f}"
    ]
    if goal is not None:
        lines.append(f"goal at ({goal[0]:+.2f}, {goal[1]:+.2f}), {np.hypot(x - goal[0], y - goal[1]):.2f} from here")
    if walks:
        ends = (f"({w[-1, 0]:+.2f}, {w[-1, 1]:+.2f}), return {w[:, 2].sum():.2f}" for w in walks)
        lines.append(listed("ends of earlier episodes", ends))
    every = np.concatenate([*walks, path])
    best = every[every[:, 2] > 0]
    best = best[np.argsort(-best[:, 2], kind="stable")][:5]
    places = [f"{r:.2f} at ({x:+.2f}, {y:+.2f})" for x, y, r in best]
    lines.append(listed("best rewards on this task", places) if places else "no reward on this task yet")
    moves = ["0 along x (east)", "1 along y (north)"]
    return "\n".join([*lines, listed("actions, numbers from -1 to 1; the robot moves by 0.1 times them", moves)])


def point_frame(path: Floats, walks: Sequence[Floats], steps: int, goal: Floats | None, radius: float) -> Frame:
    """The path of the present episode, those before it, and where the robot was paid; arguments as `point_text`.

    Returns:
        (500, 690, 3) uint8.
    """
    canvas = Pixels(690, 500)
    chart = Chart(canvas, (52, 54, 400, 400), (-VIEW, VIEW), (-VIEW, VIEW))
    chart.axes("x", "y")
    scale = 400 / (2 * VIEW)
    canvas.ring(*chart.at(0, 0), scale, "#C9D1D9")
    if goal is not None:
        chart.disc(goal, radius * scale, "#BFE3D3")
        chart.disc(goal, 4, GREEN)
    for walk in walks:
        canvas.trail([chart.at(*place) for place in walk[:, :2]], EARLIER, 2)
    chart.line(path[:, :2].tolist(), PATH)
    places = np.concatenate([*walks, path])
    for place in places[places[:, 2] > 0, :2]:
        chart.disc(place, 3, ORANGE)
    chart.disc(path[-1, :2], 6, ROBOT)
    best = max([w[:, 2].sum() for w in walks], default=0.0)
    lines = (f"step {len(path) - 1} of {steps}", f"at x {path[-1, 0]:+.2f}, y {path[-1, 1]:+.2f}",
             f"return so far {path[:, 2].sum():.2f}", "", f"earlier episodes: {len(walks)}",
             f"their best return: {best:.2f}")  # fmt: skip
    for i, words in enumerate(lines):
        canvas.words(486, 66 + 22 * i, words, 15)
    keys: list[tuple[Colour, str]] = [(ROBOT, "robot"), (PATH, "its path"), (EARLIER, "earlier episodes")]
    keys += [(ORANGE, "rewarded here"), ("#C9D1D9", "distance 1 from the start")]
    keys += [] if goal is None else [(GREEN, "goal, and where it pays")]
    canvas.legend(486, 240, keys, 24)
    return canvas.array()


GRID_CELL = 72  # pixels


def grid_text(path: Sequence[Cell], known: Sequence[Cell], goal: Cell | None, size: int, head: str) -> str:
    """The grid in lines, the highest row first.

    Args:
        path: cells of the present episode, the last one being the walker's.
        known: cells entered so far on this task.
        goal: where it is known or to be told, else None.
        size: cells along each side.
        head: a line on the episode.
    """
    marks = {cell: "o" for cell in known} | ({} if goal is None else {goal: "G"})
    marks[path[-1]] = "*" if path[-1] == goal else "@"
    rows = [f"row {y}  " + " ".join(marks.get((x, y), ".") for x in range(size)) for y in reversed(range(size))]
    found = "not found yet" if goal is None else f"column {goal[0]}, row {goal[1]}"
    moves = ["0 stay", "1 up, row + 1", "2 right, column + 1", "3 down, row - 1", "4 left, column - 1"]
    key = "@ the walker, G the goal, * both, o entered on this task and not the goal, . not entered"
    foot = "column " + " ".join(map(str, range(size)))
    here = f"the walker is at column {path[-1][0]}, row {path[-1][1]}; the goal: {found}"
    return "\n".join([head, *rows, foot, key, here, listed("actions; a move against the edge stays", moves)])


def grid_frame(path: Sequence[Cell], known: Sequence[Cell], goal: Cell | None, size: int, head: str) -> Frame:
    """Cells entered on the task, the path of the present episode, the walker, and the goal; arguments as `grid_text`.

    Returns:
        (72 * size + 100, 72 * size + 300, 3) uint8.
    """
    side = GRID_CELL * size
    canvas = Pixels(side + 300, side + 100)
    canvas.words(18, 28, head, 16)
    chart = Chart(canvas, (46, 48, side, side), (-0.5, size - 0.5), (-0.5, size - 0.5))
    for x in range(size):
        canvas.words(chart.at(x, 0)[0], 48 + side + 19, str(x), 14, GREY, "middle")
        canvas.words(34, chart.at(0, x)[1] + 5, str(x), 14, GREY, "right")
        for y in range(size):
            colour = GREEN if (x, y) == goal else EARLIER if (x, y) in known else PALE
            middle = chart.at(x, y)
            canvas.box(middle[0] - 34, middle[1] - 34, 68, 68, colour)
    canvas.words(46 + side, 48 + side + 38, "column", 13, INK, "right")
    canvas.words(14, 48 + side + 19, "row", 13)
    canvas.trail([chart.at(*cell) for cell in path], BLUE, 4)
    chart.disc(path[0], 6, BLUE)
    chart.disc(path[-1], 15, ROBOT)
    keys = [(ROBOT, "walker"), (BLUE, "its path in this episode"), (GREEN, "goal" if goal else "goal (not found yet)"),
            (EARLIER, "entered, not the goal"), (PALE, "not entered yet")]  # fmt: skip
    canvas.legend(side + 76, 72, keys, 26)
    return canvas.array()
