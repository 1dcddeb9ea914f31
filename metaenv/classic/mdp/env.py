"""TabularMDP: small random Markov decision processes, played episode after episode."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.classic.mdp.tasks import NOISE_SD, MDPDistribution
from metaenv.env import MetaEnv
from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import TaskBatch
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

START = 0  # the state every episode begins in


class TabularMDPVectorEnv(BatchedEnv):
    """``num_envs`` random MDPs; see `TabularMDPEnv`."""

    trial_episodes: ClassVar[int] = 10
    baselines_at: ClassVar[str] = "metaenv.classic.mdp.baselines:baselines"
    distribution: MDPDistribution

    def __init__(
        self,
        num_envs: int = 1,
        n_states: int = 10,
        n_actions: int = 5,
        horizon: int = 10,
        **options: Unpack[EnvOptions],
    ) -> None:
        super().__init__(
            num_envs,
            MDPDistribution(n_states, n_actions, horizon),
            ObservationLayout([Block("state", "the present state, one-hot", width=n_states)]),
            gym.spaces.Discrete(n_actions),
            **options,
        )
        self.n_states, self.n_actions = n_states, n_actions
        self.episode_length = self.horizon = horizon
        self._one_hot = np.eye(n_states, dtype=np.float32)
        self._row = np.arange(num_envs) * (n_states * n_actions)
        self._mean = np.zeros((num_envs * n_states * n_actions,))
        # Bounds between the next states on [0, 1]; the last is 1 and left out.
        self._bounds = np.zeros((num_envs * n_states * n_actions, n_states - 1))
        self._state = np.full(num_envs, START)
        self._steps = np.zeros(num_envs, np.int64)
        self._score = np.zeros(num_envs)  # sum of the episode's mean rewards
        # To be drawn: state, action and reward of the last step with the return of the episode; and for each state and
        # action of the task the sum of rewards and how often each state followed.
        self._last = np.zeros((num_envs, 4))
        self._seen = np.zeros((num_envs if self.render_mode else 0, n_states, n_actions, 1 + n_states))

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        mean, transitions = self.distribution.tables(tasks)
        super().set_tasks(rows, tasks)
        n, s, a, _ = transitions.shape
        self._mean.reshape(self.num_envs, s * a)[rows] = mean.reshape(n, s * a)
        bounds = np.cumsum(transitions[..., :-1], axis=3).reshape(n, s * a, s - 1)
        self._bounds.reshape(self.num_envs, s * a, s - 1)[rows] = bounds
        if self.render_mode:
            self._seen[rows] = 0

    def begin(self, rows: Rows) -> None:
        self._state[rows], self._steps[rows], self._score[rows] = START, 0, 0.0

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        pair = self._row[rows] + self._state[rows] * self.n_actions + action
        mean = self._mean[pair]
        reward = mean + NOISE_SD * self.noise.draw(rows, 1)[:, 0]
        self._state[rows] = np.count_nonzero(self._bounds[pair] <= self.dynamics.draw(rows, 1), axis=1)
        if self.render_mode:
            index, state = np.arange(self.num_envs)[rows], (pair - self._row[rows]) // self.n_actions
            paid = np.where(self._steps[rows] > 0, self._last[rows, 3], 0.0) + reward
            self._last[rows] = np.stack([state, action, reward, paid], axis=1)
            self._seen[index, state, action, 0] += reward
            self._seen[index, state, action, 1 + self._state[rows]] += 1
        self._score[rows] += mean
        self._steps[rows] += 1
        over = self._steps[rows] >= self.horizon
        return reward, np.zeros(len(reward), bool), over

    def observe(self, rows: Rows) -> Observations:
        return self._one_hot[self._state[rows]]

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.classic.render import mdp_text

        return mdp_text(self._seen[row], int(self._state[row]), self._where(row), self._hidden(row))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.classic.render import mdp_frame

        last = (int(self._last[row, 0]), int(self._last[row, 1])) if self._steps[row] else None
        return mdp_frame(self._seen[row], int(self._state[row]), last, self._where(row), self._hidden(row))

    def _where(self, row: int) -> str:
        line = f"step {self._steps[row]} of {self.horizon}, in state {self._state[row]}"
        if self._steps[row]:
            state, action, reward, paid = self._last[row]
            line += f"; action {action:.0f} in state {state:.0f} paid {reward:.2f}; return of the episode {paid:.2f}"
        return line

    def _hidden(self, row: int) -> tuple[Floats, Floats] | None:
        if not self.draw_hidden:
            return None
        mean, transitions = self.distribution.tables(self.tasks.take(np.array([row])))
        return mean[0], transitions[0]


class TabularMDPEnv(MetaEnv):
    """Walk ``horizon`` steps through a small MDP whose rewards and transitions are hidden; start in state 0.

    Observation: ``Box(0, 1, (n_states,))``, the present state, one-hot. In a trial the state after an episode's last
    step is not shown, as nothing can be done there any more.

    Action: ``Discrete(n_actions)``, all always allowed.

    Reward: drawn from N(mean, 1), the mean being that of the (state, action) pair; typically between -2 and 5.
    ``info["score"]`` is the sum of the episode's mean rewards so far: its return without the noise.

    Episode end: truncated after ``horizon`` steps. A trial is n episodes (10 by default; the field reports 10, 25,
    50, 75 and 100).

    Task: ``mean_rewards`` (S * A,), each drawn from N(1, 1), and ``transitions`` (S * A * S,), for each pair drawn from
    a flat Dirichlet (Duan et al. 2016, RL², arXiv 1611.02779, section 3.1, after Osband et al. 2013, arXiv 1306.0940).

    References: exact, for each task: the value of uniformly random actions and that of the optimal policy, by
    backward induction (`metaenv.classic.mdp.exact`). The baselines are in `metaenv.classic.mdp.baselines`.

    Arguments: ``n_states`` (10), ``n_actions`` (5), ``horizon`` (10), ``split`` ("train", "validation", "test").

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = TabularMDPVectorEnv
