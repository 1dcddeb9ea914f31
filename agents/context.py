"""Contexts: which steps of a task PEARL's context encoder sees, and how they are laid out for it.

The strategies are `LatestTrials`, the paper's: beginnings of a task's latest trials, as a policy meets them; and
`EpisodeEnds`: how its episodes ended. When acting, the encoder sees the same of every step of the trial so far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout, mean_products, product_count
from metaenv.agents.pearl_config import ContextConfig
from metaenv.agents.replay import Rows, TaskReplay
from metaenv.typing import Index


class Context(NamedTuple):
    """Steps of b tasks."""

    steps: Tensor
    """(b, w, step_size) as the encoder takes them."""
    counts: Tensor
    """(b, w) bool: which of them count; the others are padding, or not to be seen."""


def make_sampler(settings: ContextConfig, dims: EnvDims, layout: EntityLayout | None) -> ContextSampler:
    """The strategy that the settings ask for."""
    return (EpisodeEnds if settings.episode_ends else LatestTrials)(settings, dims, layout)


def action_vector(actions: Tensor, n_actions: int | None) -> Tensor:
    """Actions (...) one-hot, or continuous actions (..., d) as they are."""
    if n_actions is None:
        return actions.to(torch.float32)
    return nn.functional.one_hot(actions.long(), n_actions).to(torch.float32)


class ContextSampler(ABC):
    """Draws contexts from the replay, and reads them from the observations of a trial.

    A step's *outcome* is what the trial's observation shows after it: next observation (zeros where a new episode has
    begun and the trial does not report the last one), action, reward, and the flag of an episode's end.

    Args:
        settings: sizes of contexts.
        dims: sizes of the environment. Where its trials hide the history, no step counts.
        layout: of the entities in the observation, None for a flat one.
    """

    def __init__(self, settings: ContextConfig, dims: EnvDims, layout: EntityLayout | None) -> None:
        self.settings, self.dims, self.layout = settings, dims, layout

    @property
    @abstractmethod
    def step_size(self) -> int:
        """Length of a step as the encoder takes it."""

    @abstractmethod
    def sample(self, replay: TaskReplay, tasks: Index, rng: np.random.Generator) -> Context:
        """A context of each of `tasks` (b,), to learn from."""

    @abstractmethod
    def _features(self, before: Tensor, outcome: Tensor) -> Tensor:
        """Steps (..., step_size) from the observation before (..., d) and the outcome (..., d + k + 2)."""

    @abstractmethod
    def _counts(self, ended: Tensor) -> Tensor:
        """Which steps count, given which of them ended an episode; both (...) bool."""

    @property
    def _reported(self) -> slice:
        """The columns of an episode's last observation that the trial repeats."""
        return slice(*(self.dims.report_columns or (0, self.dims.episode_size * self.dims.reports_at_end)))

    def hindsight(self, replay: TaskReplay, tasks: Index, size: int, rng: np.random.Generator) -> Context:
        """`size` steps of each of `tasks` (b,), drawn from all that were paid for: what hindsight knows."""
        rows = replay.paid(tasks, size, rng)
        return self._context(rows, np.ones(tuple(rows["rewards"].shape), np.bool_))

    def observed(self, before: Tensor, observations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Steps as the trial's observations show them.

        Args:
            before: (..., d) the episodes' observations before the steps.
            observations: (..., o) the trials' observations after them.

        Returns:
            The steps (..., step_size), which of them count (...), and which ended an episode (...).
        """
        d, k = self.dims.episode_size, self.dims.action_vector_size
        columns = self._reported
        report = columns.stop - columns.start
        now, reported, done = observations[..., :d], observations[..., d : d + report], observations[..., d + report :]
        flag = done[..., k + 1 : k + 2]
        following = now * (1 - flag)
        following[..., columns] += reported * flag
        ended = flag[..., 0] > 0
        steps = self._features(before, torch.cat([following, done[..., : k + 2]], -1))
        return steps, self._counts(ended) & (not self.dims.hide_history), ended

    def _context(self, rows: Rows, counts: NDArray[np.bool_]) -> Context:
        ended, following = rows["ended"].unsqueeze(-1), rows["next_observations"]
        hidden = following.new_ones(self.dims.episode_size)
        hidden[self._reported] = 0
        following = following * (1 - ended * hidden)
        played, paid = action_vector(rows["actions"], self.dims.n_actions), rows["context_rewards"].unsqueeze(-1)
        steps = self._features(rows["observations"], torch.cat([following, played, paid, ended], -1))
        return Context(steps, torch.from_numpy(counts & (not self.dims.hide_history)).to(steps.device))


class LatestTrials(ContextSampler):
    """Beginnings of a task's latest trials, from nothing to all of one; every step counts."""

    @property
    def step_size(self) -> int:
        """Observation, next observation, action, reward and flag; of entities the chosen one alone, and of a list that
        is reported its `mean_products`."""
        d, k = self.dims.episode_size, self.dims.action_vector_size
        if self.layout is None:
            return 2 * d + k + 2
        report = self.dims.report
        summed = 0 if report is None else product_count(report) - report[0] * report[1]
        return d - self.layout.end + self.layout.choice_size + 2 + summed

    def sample(self, replay: TaskReplay, tasks: Index, rng: np.random.Generator) -> Context:
        """See `ContextSampler`."""
        return self._context(*replay.contexts(tasks, self.settings.size, self.settings.min_fraction, rng))

    def _features(self, before: Tensor, outcome: Tensor) -> Tensor:
        if self.layout is None:
            return torch.cat([before, outcome], -1)
        following, action, paid = outcome.split([self.dims.episode_size, self.layout.n_actions, 2], -1)
        choice = self.layout.choice(self.layout.entities(before), action)
        rest = [following[..., self.layout.end :]]
        if self.dims.report is not None:
            columns, rest = self._reported, [following[..., self.layout.end : self._reported.start]]
            rest += [following[..., columns.stop :], mean_products(following[..., columns], self.dims.report)]
        return torch.cat([choice, *rest, paid], -1)

    def _counts(self, ended: Tensor) -> Tensor:
        return torch.ones_like(ended)


class EpisodeEnds(ContextSampler):
    """Last steps of a task's episodes: the last observation, and the reward."""

    @property
    def step_size(self) -> int:
        """Last observation and reward."""
        return self.dims.episode_size + 1

    def sample(self, replay: TaskReplay, tasks: Index, rng: np.random.Generator) -> Context:
        """See `ContextSampler`."""
        return self._context(*replay.ends(tasks, self.settings.size, rng))

    def _features(self, before: Tensor, outcome: Tensor) -> Tensor:
        return torch.cat([outcome[..., : self.dims.episode_size], outcome[..., -2:-1]], -1)

    def _counts(self, ended: Tensor) -> Tensor:
        return ended
