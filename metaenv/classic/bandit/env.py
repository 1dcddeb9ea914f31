"""BernoulliBandit: the field's own yardstick."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.classic.bandit.tasks import BanditDistribution
from metaenv.env import MetaEnv
from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import TaskBatch
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations


class BernoulliBanditVectorEnv(BatchedEnv):
    """``num_envs`` Bernoulli bandits; see `BernoulliBanditEnv`."""

    trial_episodes: ClassVar[int] = 10
    episode_length = 1
    reward_range = (0.0, 1.0)
    baselines_at: ClassVar[str] = "metaenv.classic.bandit.baselines:baselines"

    def __init__(
        self,
        num_envs: int = 1,
        n_arms: int = 5,
        **options: Unpack[EnvOptions],
    ) -> None:
        if n_arms < 2:
            raise ValueError(f"a bandit has at least two arms, got n_arms={n_arms}")
        super().__init__(
            num_envs,
            BanditDistribution(n_arms),
            ObservationLayout([Block("nothing", "always 0: a bandit shows nothing")]),
            gym.spaces.Discrete(n_arms),
            **options,
        )
        self.n_arms = n_arms
        self._arm = np.full(num_envs, -1)
        self._paid = np.zeros(num_envs)
        self._tried = np.zeros((2, num_envs, n_arms))  # pulls and rewards of the present task; kept for pictures only

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            self._tried[:, rows] = 0

    def begin(self, rows: Rows) -> None:
        # The last pull stays to be drawn and reported; the next one overwrites it.
        pass

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        probabilities = self.tasks.probabilities[rows]
        chance = np.take_along_axis(probabilities, action[:, None], axis=1)[:, 0]
        reward = (self.dynamics.draw(rows, 1)[:, 0] < chance).astype(np.float64)
        self._arm[rows], self._paid[rows] = action, reward
        if self.render_mode:
            self._tried[:, np.arange(self.num_envs)[rows], action] += [np.ones(len(reward)), reward]
        return reward, np.ones(len(reward), bool), np.zeros(len(reward), bool)

    def observe(self, rows: Rows) -> Observations:
        return np.zeros((len(self._arm[rows]), 1), np.float32)

    def report(self, rows: Rows) -> Info:
        arm = self._arm[rows]
        chance = np.take_along_axis(self.tasks.probabilities[rows], np.maximum(arm, 0)[:, None], axis=1)[:, 0]
        return {"score": np.where(arm >= 0, chance, 0.0)}

    def text(self, row: int) -> str:
        from metaenv.classic.render import bandit_text

        return bandit_text(*self._drawn(row))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.classic.render import bandit_frame

        return bandit_frame(*self._drawn(row))

    def _drawn(self, row: int) -> tuple[Floats, Floats, tuple[int, float] | None, Floats | None]:
        """Pulls and rewards of the arms, the last pull, and the arms' probabilities if they are to be told."""
        pulls, paid = self._tried[:, row]
        last = (int(self._arm[row]), float(self._paid[row])) if pulls.any() else None
        return pulls, paid, last, self.tasks.probabilities[row] if self.draw_hidden else None


class BernoulliBanditEnv(MetaEnv):
    """Pull one of ``n_arms`` arms; the arm pays 1 with its own hidden probability, else 0.

    Observation: ``Box(0, 1, (1,))``, always 0: a bandit shows nothing. The trial around it tells what was pulled
    and what it paid.

    Action: ``Discrete(n_arms)``, all always allowed.

    Reward: 1 or 0. ``info["score"]`` is the chance that the pulled arm pays.

    Episode end: terminated after one pull. A trial is n pulls (10 by default; the field reports 10, 100 and 500).

    Task: ``probabilities`` (n_arms,), each drawn from U[0, 1] (Duan et al. 2016, RL², arXiv 1611.02779).

    References: exact ones are in `metaenv.classic.bandit.exact`: the Bayes-optimal value by dynamic programming (6.6600
    for 10 pulls of 5 arms) and the finite-horizon Gittins index; policies are in `metaenv.classic.bandit.baselines`.

    Arguments: ``n_arms`` (5), ``split`` ("train", "validation", "test").

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = BernoulliBanditVectorEnv
