"""Controls that show what an agent's memory is worth: trials cut into episodes, and agents shown something else.

`EpisodesAsTrials` trains an agent that forgets. `LastEpisodes` and `OtherFeedback` play an agent that remembers, but
show it its last episodes only, or what came of another task. `FixedLists` plays actions that are written down before.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.policies import AgentPolicy, TrialRecord
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import Info, Observations
from metaenv.wrappers import BatchedWrapper


class EpisodesAsTrials(BatchedWrapper):
    """Trials whose episodes end as if they were trials themselves, so that an agent that learns on them forgets.

    The task stays the same until the trial is over, and so do the trial's observation and its rewards, those of the
    objective "best" included. Give it trials with ``shows="episode"``, which hide the episodes before.
    """

    def __init__(self, env: VectorTrial) -> None:
        self._over = np.ones(env.num_envs, bool)  # where no episode of the same trial follows
        super().__init__(env)
        length = env.trial_length
        self.trial_length = None if length is None else length // env.episodes
        """Steps of an episode where all have as many, else None."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observations, Info]:
        self._over[:] = True
        return super().reset(seed=seed, options=options)

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        over = self._over[rows]
        if over.all():
            return self.env.draw_tasks(rows)
        same, renew = self.tasks.take(np.arange(self.num_envs)[rows]), np.flatnonzero(over)
        return same.replaced(renew, self.env.draw_tasks(np.arange(self.num_envs)[rows][renew])) if len(renew) else same

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        over = self._over[rows]
        if over.all():
            super().set_tasks(rows, tasks)
        elif over.any():
            super().set_tasks(np.arange(self.num_envs)[rows][over], tasks.take(np.flatnonzero(over)))

    def begin(self, rows: Rows) -> None:
        over = self._over[rows]
        if over.any():
            self.env.start(rows if over.all() else np.arange(self.num_envs)[rows][over])

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        reward, self._over[rows], truncated = self.env.play(rows, action)
        return reward, self._over[rows] | self.env.report(rows)["episode_end"], truncated


class LastEpisodes(AgentPolicy):
    """An agent that knows the last few whole episodes of a trial, and the present one.

    At the start of each episode its state is made anew: from zeros, the agent is shown those episodes again. The first
    observation of the oldest one then shows nothing of the episode before it.

    Args:
        agent: one that has learned with its whole memory, and plays its most likely actions.
        episodes: how many it knows, at least one.
        **trial_options: as of `AgentPolicy`.
    """

    def __init__(self, agent: Any, episodes: int, **trial_options: Any) -> None:
        super().__init__(agent, trial_options=trial_options)
        self.episodes = episodes

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Nothing has been seen."""
        super().start(env, rng)
        self._seen: list[Observations] = []
        self._begun = np.zeros((env.num_envs, self.episodes + 1), np.intp)  # first steps of the episodes, oldest first

    def act(self, observation: Observations) -> NDArray[Any]:
        """The agent's actions."""
        if (boundary := self._env.trial_state.boundary).any():
            self._begun[boundary] = np.roll(self._begun[boundary], -1, axis=1)
            self._begun[boundary, -1] = len(self._seen)
            if (again := np.flatnonzero(boundary & (self._begun[:, 0] > 0))).size:
                self._state[again] = self._replayed(again)
        self._seen.append(observation)
        return super().act(observation)

    def _replayed(self, rows: NDArray[np.intp]) -> Any:
        first, state = self._begun[rows, 0], self._zero_state(len(rows))
        for step in range(int(first.min()), len(self._seen)):
            begins = step == first
            shown = self._env.trial_state.without_history(self._seen[step][rows], begins)
            _, state = self._predicted(shown, state, begins)
        assert state is not None, "an episode has been played"
        return state


class Watched(AgentPolicy):
    """An agent whose trials' first observations are kept, (n, d), task by task."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """A new chunk of tasks begins."""
        super().start(env, rng)
        self._new = True

    def act(self, observation: Observations) -> NDArray[Any]:
        """The agent's actions."""
        if self._new:
            self.first = np.concatenate([*([self.first] if hasattr(self, "first") else []), observation])
            self._new = False
        return super().act(observation)


class OtherFeedback(AgentPolicy):
    """An agent that is shown what came of its trial of another task, drawn at random.

    Columns that stayed as they were throughout each of its own trials, such as a goal, are known before the first step:
    these it is shown as they are. Play it on the tasks of the record, in their order, as `play_trials` does.

    Args:
        played: the agent, which has played its own trials.
        record: of these.
    """

    def __init__(self, played: Watched, record: TrialRecord) -> None:
        super().__init__(played.agent, played.deterministic, trial_options=played.trial_options)
        shown = record.observations
        order = np.random.default_rng(0).permutation(len(shown))
        self.others = order[(np.argsort(order) + 1) % len(shown)]
        """(n,) whose trial each task is shown: all in one circle, so that nobody is shown its own."""
        self._shown, self._tasks = shown, 0
        self._lengths = (shown != 0).any(axis=2).cumsum(axis=1).argmax(axis=1) + 1
        over = np.arange(shown.shape[1]) >= self._lengths[:, None]
        same = (shown == played.first[: len(shown), None]) | over[:, :, None]
        self.known = same.all(axis=(0, 1))
        """(d,) which columns are known before the first step."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """The next tasks of the list begin."""
        super().start(env, rng)
        self._others = self.others[(self._tasks + np.arange(env.num_envs)) % len(self._shown)]
        self._tasks, self._step = self._tasks + env.num_envs, 0

    def act(self, observation: Observations) -> NDArray[Any]:
        """The agent's actions; in a trial that is longer than the other one it is shown that one's end."""
        if self._step:
            step = np.minimum(self._step, self._lengths[self._others]) - 1
            observation = np.where(self.known, observation, self._shown[self._others, step])
        self._step += 1
        return super().act(observation)


class FixedLists:
    """Plays lists of actions, whatever comes of them; each on as many tasks as the others, one list after the other.

    Masks are shown to everybody, so that an action which is forbidden is not played: the next one by its number that is
    allowed takes its place, after the last one the first.

    Args:
        actions: (lists, steps, …); the last action is repeated in a longer trial.
        tasks: how many tasks each list is played on.
    """

    def __init__(self, actions: NDArray[Any], tasks: int) -> None:
        self.actions, self.tasks, self._played = actions, tasks, 0

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """The next tasks begin."""
        self._lists = (self._played + np.arange(env.num_envs)) // self.tasks % len(self.actions)
        self._played, self._step, self._env = self._played + env.num_envs, 0, env

    def act(self, observation: Observations) -> NDArray[Any]:
        """The actions that come next, or the next allowed ones."""
        self._step += 1
        listed = self.actions[self._lists, min(self._step, self.actions.shape[1]) - 1]
        space = self._env.single_action_space
        if not isinstance(space, gym.spaces.Discrete):
            return listed
        rows, wanted = np.arange(len(listed)), listed - space.start
        order = (wanted[:, None] + np.arange(space.n)) % space.n
        allowed = np.asarray(self._env.action_masks())[rows[:, None], order]
        return order[rows, allowed.argmax(axis=1)] + space.start

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""
