"""An agent of your own: RL² with a setting more, which lets it explore more while it is trained.

python examples/own_agent.py, or metaenv train own_agent:CuriousRL2 BernoulliBandit in this folder
"""

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

from metaenv import make_trials
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import RL2Config
from metaenv.limits import NotNegative


@dataclass(frozen=True)
class CuriousConfig(RL2Config):
    curiosity: NotNegative = 0.5
    """By how much the entropy bonus is raised, as a fraction of it."""


class CuriousRL2(RL2):
    checkpoint_kind: ClassVar[str] = "own.CuriousRL2"  # a checkpoint of another agent is refused
    title: ClassVar[str] = "curious RL²"
    config_class: ClassVar[type[RL2Config]] = CuriousConfig

    def _loss(self, batch: dict[str, Any], ent_coef: float) -> Any:
        assert isinstance(self.config, CuriousConfig)
        return super()._loss(batch, ent_coef * (1 + self.config.curiosity))


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    agent = CuriousRL2(make_trials("BernoulliBandit", num_envs=100), CuriousConfig(curiosity=1.0), seed=0)
    agent.learn(steps)
    agent.save("curious.pt")
    print(f"{CuriousRL2.title}: {CuriousRL2.load('curious.pt').num_timesteps:,} steps")
