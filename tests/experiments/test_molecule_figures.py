"""The gallery of an evaluation shows the molecules that the agent made."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("rdkit", reason="molecules are scored by RDKit")

from rdkit import Chem

from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.experiments.molecule_figures import play, write_gallery
from metaenv.policies import AgentPolicy, play_trials
from metaenv.runs.training import TrainConfig

CONFIG = TrainConfig(env="MoleculeDesign-v0", num_envs=4, agent=RL2Config(network=Network((8,), 8)))


def test_the_molecules_drawn_are_those_that_evaluation_scores(tmp_path):
    agent = RL2(CONFIG.make_env(), CONFIG.agent, seed=0)
    env = CONFIG.make_env(num_envs=1, split="test")
    task = env.distribution.frozen("test").tasks.take(np.zeros(1, np.intp))
    made = play(AgentPolicy(agent), env, task)
    assert len(made) == 5 and all(Chem.MolFromSmiles(smiles) is not None for smiles, _ in made)
    np.testing.assert_allclose([score for _, score in made], play_trials(AgentPolicy(agent), env, task).scores[0])
    (path,) = write_gallery(CONFIG, agent, tmp_path, "test", {})
    assert path.name == "molecules-test.png" and path.stat().st_size > 5_000


def test_nothing_is_drawn_for_other_environments(tmp_path):
    assert write_gallery(TrainConfig(env="BernoulliBandit-v0"), None, tmp_path, "test", {}) == []
    assert not list(tmp_path.iterdir())
