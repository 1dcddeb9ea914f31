"""Memories by name, and one of one's own."""

from pathlib import Path

import pytest
import torch
from torch import nn
from toy_memory import Sum
from toy_trials import Recall, VaryingRecall, rewards_per_step

from metaenv.agents.attention import AttentionMemory
from metaenv.agents.memory import make_memory
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.runs.settings import TrainConfig

OWN = RL2Config(learning_rate=5e-3, network=Network((32,), 32, cell="toy_memory:Sum"))


def test_memories_by_name() -> None:
    assert isinstance(make_memory("lstm", 3, 4, None), nn.LSTM)
    assert isinstance(make_memory("gru", 3, 4, None), nn.GRU)
    assert isinstance(make_memory("attention", 3, 16, 5), AttentionMemory)
    own = make_memory("toy_memory:Sum", 3, 4, 5)
    assert isinstance(own, Sum) and own.trial_length == 5


def test_what_is_no_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no memory cell 'lsmt'. Did you mean 'lstm'\?"):
        make_memory("lsmt", 3, 4, None)
    with pytest.raises(
        ValueError, match=r"Expected a subclass of torch\.nn\.Module as memory cell, got 'toy_trials:Recall'"
    ):
        make_memory("toy_trials:Recall", 3, 4, None)
    with pytest.raises(ValueError, match="these vary in length"):
        make_memory("attention", 3, 16, None)


def test_rl2_learns_with_a_memory_of_ones_own(tmp_path: Path) -> None:
    agent = RL2(Recall(256), OWN, seed=0).learn(12_000)
    # Best of 6 pulls on 4 arms: 1/4 + 5 with a memory, 1 + 5/4 without.
    assert rewards_per_step(agent, Recall(5_000), seed=1).sum() > 4.9
    agent.save(tmp_path / "agent.pt")
    loaded = RL2.load(tmp_path / "agent.pt")
    assert loaded.config == OWN
    assert all(torch.equal(a, b) for a, b in zip(agent.policy.parameters(), loaded.policy.parameters(), strict=True))
    state = loaded.predict(Recall(3).reset(seed=0)[0])[1]
    assert state.shape == (3, 33), "the memory's 32 numbers and the steps played"


def test_its_weights_are_those_that_it_draws_itself() -> None:
    cell = RL2(VaryingRecall(4), OWN, seed=0).policy.trunks[0].cell
    assert float(cell.layer.weight.detach().std()) == pytest.approx(0.5, rel=0.1), (
        "and not the orthogonal ones of other layers"
    )


def test_a_run_keeps_its_name() -> None:
    config = TrainConfig("GridNavi-v0", agent=OWN)
    assert TrainConfig.from_dict(config.to_dict()) == config
