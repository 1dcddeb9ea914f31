"""What a trial remembers across the ends of its episodes, and how its observation is laid out."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.layout import Block, ObservationLayout
from metaenv.limits import COUNT, check
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import Observations

Objective = Literal["sum", "best"]
OBJECTIVES = ("sum", "best")
Shows = Literal["trial", "episode", "start"]
SHOWS = ("trial", "episode", "start")


class TrialState:
    """What a trial adds to an observation, for ``n`` trials at once; shared by `Trial` and `VectorTrial`.

    The trial's observation is the concatenation, in float32, of the observation of the present episode; the final
    observation of the episode before (if ``reports_at_end``), or some of its columns; the previous action, one-hot or
    as a vector, and the previous reward, both 0 at the trial's start; a flag that is 1 if the previous step ended an
    episode; and the share of the trial's episodes that are finished. Its `layout` names these blocks.
    """

    def __init__(
        self,
        n: int,
        observation_space: gym.spaces.Space[Any],
        action_space: gym.spaces.Space[Any],
        episodes: int,
        objective: str,
        reports_at_end: bool,
        hide_history: bool = False,
        shows: str = "trial",
        layout: ObservationLayout | None = None,
        reward_range: tuple[float, float] = (-np.inf, np.inf),
        report_columns: slice | None = None,
    ) -> None:
        check("episodes", episodes, COUNT)
        if objective not in OBJECTIVES:
            raise ValueError(f"no objective {objective!r}.{nearest(objective, OBJECTIVES)}")
        if shows not in SHOWS:
            raise ValueError(f"a trial cannot show {shows!r}.{nearest(shows, SHOWS)}")
        if not isinstance(observation_space, gym.spaces.Box) or len(observation_space.shape) != 1:
            raise ValueError(
                f"a trial needs a one-dimensional Box observation, got {observation_space}; use FlattenObservation"
            )
        self.episodes = episodes
        self.objective = objective
        self.hide_history, self.shows = hide_history, shows
        self.action_space = action_space
        self.episode_size = int(observation_space.shape[0])
        self.reports_at_end = reports_at_end
        self.report_columns = report_columns or slice(None)
        """Of an episode's last observation, what the next episode is told of it."""
        self._report_size = len(range(self.episode_size)[self.report_columns]) if reports_at_end else 0
        self._reward_range = reward_range
        self._action_size = int(gym.spaces.flatdim(action_space))
        self.layout = self._layout(layout or ObservationLayout.of(observation_space))
        """The trial's observation, block by block, around that of an episode."""
        self.space = self.layout.box()
        self._extra = np.zeros((n, self._report_size + self._action_size + 3), np.float32)
        self._start = np.zeros((n, self.episode_size), np.float32)  # of the trial, where no more is shown
        self.finished = np.zeros(n, np.int64)  # episodes finished in this trial
        self.episode_return = np.zeros(n)
        self.best = np.full(n, -np.inf)
        self.total = np.zeros(n)  # what the trial paid so far, by its objective
        self.last_reward = np.zeros(n)  # what the environment paid, before the objective

    def _layout(self, inner: ObservationLayout) -> ObservationLayout:
        blocks, episode = list(inner.blocks), inner.box()
        if self._report_size:
            meaning = "the final observation of the episode before, after its last step; else 0"
            low, high = episode.low[self.report_columns], episode.high[self.report_columns]
            ends = np.minimum(low, 0), np.maximum(high, 0)
            blocks.append(Block("last report", meaning, *ends, self._report_size))
        action = self.action_space
        if isinstance(action, gym.spaces.Box):
            kind, ends = "a number each", (np.minimum(action.low.ravel(), 0), np.maximum(action.high.ravel(), 0))
        else:
            kind, ends = "one-hot", (0.0, 1.0)
        low, high = self._reward_range
        blocks += [
            Block("previous action", f"{kind}; 0 at the trial's start", *ends, self._action_size),
            Block("previous reward", "of the environment; 0 at the trial's start", min(low, 0.0), max(high, 0.0)),
            Block("boundary flag", "1 if the previous step ended an episode"),
            Block("progress", "episodes finished, of all of the trial"),
        ]
        return ObservationLayout(blocks)

    def begin(self, rows: Rows) -> None:
        """A new trial in ``rows``: nothing is remembered."""
        self._extra[rows] = 0
        self.finished[rows] = 0
        self.episode_return[rows] = 0
        self.best[rows] = -np.inf
        self.total[rows] = 0

    def record(
        self, rows: Rows, action: NDArray[Any], reward: Floats, done: Bools, final: Observations | None
    ) -> tuple[Floats, Bools]:
        """Remember one step.

        Args:
            rows: which trials.
            action: (m, ...) what was played.
            reward: (m,) what the environment paid.
            done: (m,) which episodes ended with this step.
            final: (m, d) the observation after the step, before a new episode begins; not needed where none ended.

        Returns:
            The trial's reward (m,) by its objective, and which trials are over (m,).
        """
        index = np.arange(len(self._extra))[rows]
        extra = self._extra
        if self._report_size:
            extra[rows, : self._report_size] = 0 if final is None else final[:, self.report_columns] * done[:, None]
        start = self._report_size
        if isinstance(self.action_space, gym.spaces.Discrete):
            extra[rows, start : start + self._action_size] = 0
            extra[index, start + action - self.action_space.start] = 1
        else:
            extra[rows, start : start + self._action_size] = action.reshape(len(action), -1)
        self.episode_return[rows] += reward
        self.last_reward[rows] = reward
        self.finished[rows] += done
        extra[rows, -2] = done
        extra[rows, -1] = self.finished[rows] / self.episodes
        paid = reward if self.objective == "sum" else self._improvement(rows, done)
        self.total[rows] += paid
        extra[rows, -3] = reward
        return paid, self.finished[rows] >= self.episodes

    def _improvement(self, rows: Rows, done: Bools) -> Floats:
        """By how much the trial's best episode return has grown; the first episode counts whole."""
        if not done.any():
            return np.zeros(len(done))
        best, result = self.best[rows].copy(), self.episode_return[rows]
        new_best = np.where(done, np.maximum(best, result), best)
        self.best[rows] = new_best
        old = np.where(np.isfinite(best), best, 0.0)
        return np.where(done, np.where(np.isfinite(best), new_best - old, result), 0.0)

    @property
    def forgotten(self) -> Bools:
        """(n,) whether what came before is hidden now: an episode begins, and trials show the present one only."""
        return self.boundary & (self.shows == "episode")

    @property
    def boundary(self) -> Bools:
        """(n,) whether the last step ended an episode, and the next one has begun."""
        return self._extra[:, -2] > 0

    def end_episodes(self, rows: Rows) -> None:
        """The episodes of ``rows`` are over; their returns have been read."""
        self.episode_return[rows] = 0

    def text(self, row: int, inner: str) -> str:
        """An episode's text with a line on the trial before it."""
        done, paid = f"{self.finished[row]} of {self.episodes} episodes finished", f"{self.total[row]:.2f}"
        return f"trial: {done}, return {paid} so far (the {self.objective} of its episodes' returns)\n{inner}"

    def show_start(self, rows: Rows, inner: Observations) -> None:
        """The trials of ``rows`` have begun with ``inner`` (m, d)."""
        self._start[rows] = inner

    def observation(self, rows: Rows, inner: Observations) -> Observations:
        """The trial's observation (m, size) around the inner one (m, d)."""
        whole = np.concatenate([self._start[rows] if self.shows == "start" else inner, self._extra[rows]], axis=1)
        hidden = np.full(len(whole), self.hide_history or self.shows == "start")
        return self.without_history(whole, hidden | self.forgotten[rows])

    def without_history(self, observation: Observations, where: Bools) -> Observations:
        """Observations (m, size) which, ``where`` this says (m,), show of what came before but the progress nothing."""
        kept = np.ones(observation.shape[1], bool)
        kept[self.episode_size : -1] = False
        return np.where(where[:, None] & ~kept, np.float32(0), observation) if where.any() else observation
