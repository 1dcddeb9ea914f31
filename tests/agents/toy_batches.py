"""What an agent learns from in its first update."""

import numpy as np
from stable_baselines3.common.callbacks import CallbackList

from metaenv.agents.imitation import Batch
from metaenv.agents.rl2 import RL2


def first_batch(agent: RL2) -> Batch:
    """What an agent collects for its first update, before any of its weights has changed."""
    assert agent.env is not None
    agent._total_timesteps = 1000
    agent._before_learning(agent.env)
    assert agent._buffer is not None
    callbacks = CallbackList([])
    callbacks.init_callback(agent)  # type: ignore[arg-type]
    batch = agent._collect(agent.env, agent._buffer, callbacks)
    assert batch is not None
    agent._add_advantages(batch, batch.get("valid", np.ones_like(batch["rewards"], np.bool_)), agent.config.gamma)
    return batch
