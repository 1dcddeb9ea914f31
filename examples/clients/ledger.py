"""What the environments of this process have paid in each finished trial, to hold a client's statistics against."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv
from metaenv.wrappers import BatchedWrapper

PAID: list[float] = []
"""The sum of the rewards of every finished trial, in the order in which they ended."""


class VectorLedger(BatchedWrapper):
    """Notes the sum of the rewards of every episode of a vector environment; an episode of trials is a whole trial."""

    def __init__(self, env: BatchedEnv) -> None:
        super().__init__(env)
        self._sums = np.zeros(env.num_envs)

    def begin(self, rows: Any) -> None:
        self._sums[rows] = 0
        super().begin(rows)

    def transition(self, rows: Any, action: Any) -> Any:
        paid, terminated, truncated = super().transition(rows, action)
        self._sums[rows] += paid
        PAID.extend(self._sums[rows][terminated | truncated].tolist())
        return paid, terminated, truncated


class Ledger(gym.Wrapper[Any, Any, Any, Any]):
    """The same for a scalar environment."""

    def reset(self, **options: Any) -> Any:
        self._sum = 0.0
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._sum += float(reward)
        if terminated or truncated:
            PAID.append(self._sum)
        return observation, reward, terminated, truncated, info


def compare(client: str, reported: Sequence[float]) -> None:
    """Print what a client reports of the last trials beside what the environment paid; complain of a difference."""
    if not len(reported):
        raise SystemExit(f"{client} has finished no trial: give more steps")
    found, expected = float(np.mean(reported)), float(np.mean(PAID[-len(reported) :]))
    print(f"{client}: {len(reported)} trials with a mean reward of {found:.4f}; the environment paid {expected:.4f}")
    if not np.isclose(found, expected, rtol=1e-3, atol=1e-3):
        raise SystemExit(f"{client} reports another return than the environment has paid")


def run(main: Callable[..., None]) -> None:
    """Call an example's main function with the arguments of the command line."""
    main(*(int(given) if given.isdigit() else given for given in sys.argv[1:]))
