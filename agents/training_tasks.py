"""The tasks that an off-policy agent trains on, and which of them to play next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metaenv.agents.dims import EnvDims
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.replay import Steps, TaskReplay
from metaenv.errors import nearest
from metaenv.tasks import TaskBatch
from metaenv.trial import Transition, VectorTrial
from metaenv.typing import Index


class TrainingTasks:
    """A fixed number of training tasks with what was played on each, some of which may be replaced over time.

    Args:
        env: where tasks are drawn: all members of its split, if these are few enough, or new ones.
        dims: sizes of the environment.
        config: settings of the agent.
        rng: draws the tasks.
        device: where what was played is kept.

    Raises:
        ValueError: there are fewer tasks than sub-environments.
    """

    def __init__(
        self,
        env: VectorTrial,
        dims: EnvDims,
        config: PEARLConfig,
        rng: np.random.Generator,
        device: torch.device | None = None,
    ) -> None:
        members = env.distribution.members(env.split)
        if members is None or len(members) > config.n_tasks:
            members = env.distribution.sample(config.n_tasks, env.split, rng)
        self.tasks: TaskBatch = members
        self.refreshed, self.random_trials = config.refresh_tasks, config.exploration.random_trials
        self.check(env)
        d, k = (dims.episode_size,), dims.n_actions
        fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "observations": (d, torch.float32),
            "next_observations": (d, torch.float32),
            "actions": ((), torch.int64) if k else ((dims.action_size,), torch.float32),
            **{name: ((), torch.float32) for name in ("rewards", "context_rewards", "terminated", "ended")},
        }
        if k:
            fields |= {name: ((k,), torch.bool) for name in ("masks", "next_masks")}
        if config.teacher is not None:
            fields["assisted"] = ((), torch.bool)
        n, trials = len(self.tasks), config.context.latest_trials
        self.replay = TaskReplay(n, config.replay_capacity, fields, trials, device)

    def __len__(self) -> int:
        return len(self.tasks)

    def check(self, env: VectorTrial) -> None:
        """Raise ValueError if the env has more sub-environments than there are tasks."""
        if env.num_envs > len(self.tasks):
            raise ValueError(
                f"Expected at most as many sub-environments as there are training tasks ({len(self.tasks)}), got "
                f"{env.num_envs}. Make the env with a smaller num_envs, or set n_tasks higher."
            )

    @property
    def warm_up(self) -> bool:
        """Whether there are tasks left whose first trials, with random actions, were not played yet."""
        return bool(self.replay.trials.min() < self.random_trials)

    def next(self, env: VectorTrial, iteration: int, rng: np.random.Generator) -> tuple[Index, TaskBatch]:
        """Slots (n,) of the tasks to play now, all different, and the tasks themselves, some of which may be new."""
        if self.warm_up:
            slots = np.argsort(self.replay.trials, kind="stable")[: env.num_envs]
            return slots, self.tasks.take(slots)
        fresh = min(self.refreshed, env.num_envs)
        oldest = (iteration * fresh + np.arange(fresh)) % len(self.tasks)
        others = np.setdiff1d(np.arange(len(self.tasks)), oldest)
        slots = np.concatenate([oldest, rng.choice(others, env.num_envs - fresh, replace=False)])
        chosen = self.tasks.take(slots)
        if fresh:
            chosen = chosen.replaced(np.arange(fresh), env.distribution.sample(fresh, env.split, rng))
        return slots, chosen

    def keep(self, slots: Index, chosen: TaskBatch, steps: Steps, played: NDArray[np.bool_]) -> None:
        """Keep a trial (T, n, ...) of each of the chosen tasks in their slots (n,), where new ones replace old ones."""
        self.replay.clear(slots[chosen.ids != self.tasks.ids[slots]])
        self.replay.add(slots, steps, played)
        self.tasks = self.tasks.replaced(slots, chosen)

    def state(self) -> dict[str, Any]:
        """Tasks and replay as tensors."""
        return {"tasks": torch.from_numpy(self.tasks.matrix().copy()), "replay": self.replay.state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        tasks: Tensor = state["tasks"]
        self.tasks = self.tasks.with_matrix(tasks.numpy())
        self.replay.set_state(state["replay"])


def replay_row(
    before: NDArray[np.float32],
    actions: NDArray[Any],
    masks: NDArray[np.bool_] | None,
    after: Transition,
    critic_reward: str | None,
) -> Steps:
    """One step of n trials as the replay keeps it.

    Args:
        before: (n, d) the episodes' observations before the step.
        actions: (n, ...).
        masks: (n, k) discrete actions allowed; None for continuous actions.
        after: what the environment returned.
        critic_reward: name of an entry of ``info`` that critics learn from; None for the reward.

    Raises:
        ValueError: there is no such entry.
    """
    if critic_reward is not None and critic_reward not in after.report:
        raise ValueError(f"The env's info has no {critic_reward!r}.{nearest(critic_reward, after.report)}")
    row: Steps = {
        "observations": before,
        "actions": actions,
        "next_observations": after.observation,
        "rewards": after.reward if critic_reward is None else after.report[critic_reward],
        "context_rewards": after.reward,
        "terminated": after.terminated,
        "ended": after.terminated | after.truncated,
    }
    if masks is not None and after.mask is not None:
        row |= {"masks": masks, "next_masks": after.mask.astype(np.bool_)}
    return row
