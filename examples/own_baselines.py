"""Baselines for an environment of your own: declared once, they are in every evaluation, and may teach an agent.

python examples/own_baselines.py, or metaenv train rl2 own_baselines:example/DoseCompared-v0 in this folder
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from own_environment import DoseEnv, DoseVectorEnv

from metaenv import VectorTrial, make_trials
from metaenv.baselines import baselines_of
from metaenv.evaluation import evaluate
from metaenv.policies import Policy


class Doses:
    """Give the same doses, in mg, to every patient, one after the other."""

    def __init__(self, *doses_mg: float) -> None:
        self.actions = np.array(doses_mg) / 50 - 1

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self.patients, self.given = env.num_envs, 0

    def act(self, observation: Any) -> Any:
        return np.full((self.patients, 1), self.actions[self.given % len(self.actions)])

    def observe(self, action: Any, reward: Any) -> None:
        self.given += 1


class ComparedVectorEnv(DoseVectorEnv):
    """The same environment, which knows what to compare an agent with."""

    best_fixed: ClassVar[str | None] = "always 60 mg"

    def baselines(self) -> Mapping[str, Policy]:
        return {"always 60 mg": Doses(60), "dose ladder": Doses(60, 45, 75, 35, 85)}


class ComparedEnv(DoseEnv):
    batched = ComparedVectorEnv


gym.register("example/DoseCompared-v0", entry_point=ComparedEnv, vector_entry_point=ComparedVectorEnv)

if __name__ == "__main__":
    policies, best_fixed = baselines_of(make_trials("example/DoseCompared-v0"))
    print(evaluate(policies, "example/DoseCompared-v0", best_fixed=best_fixed).table("adaptation"))
