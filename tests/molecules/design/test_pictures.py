"""The gallery of an evaluation shows the molecules that the policy made."""

import numpy as np
import pytest

pytest.importorskip("rdkit", reason="molecules are scored by RDKit")

from rdkit import Chem

from metaenv.molecules.design.baselines import baselines
from metaenv.molecules.design.pictures import play
from metaenv.policies import RandomPolicy, play_trials
from metaenv.trial import make_trials


def test_the_molecules_drawn_are_those_that_evaluation_scores(tmp_path):
    env = make_trials("MoleculeDesign", split="test", variant="windows-3")
    frozen = env.distribution.frozen("test")
    task = frozen.tasks.take(np.zeros(1, np.intp))
    made = play(baselines()["best fixed set"], env, task)
    assert len(made) == 5 and all(Chem.MolFromSmiles(smiles) is not None for smiles, _ in made)
    np.testing.assert_allclose(
        [score for _, score in made], play_trials(baselines()["best fixed set"], env, task).scores[0]
    )
    (path,) = env.pictures(RandomPolicy(), env, frozen, tmp_path, "random")
    assert path.name == "molecules-test.png" and path.stat().st_size > 5_000


def test_trials_tell_text_whenever_they_are_asked_for_it():
    env = make_trials("MoleculeDesign", 2, variant="windows-3")
    assert not env.text_info and not env.innermost.text_info
    env.text_info = True
    assert env.text_info and env.innermost.text_info and "smiles" in env.reset(seed=0)[1]


def test_nothing_is_drawn_for_other_environments(tmp_path):
    env = make_trials("BernoulliBandit", split="test")
    assert env.pictures(RandomPolicy(), env, env.distribution.frozen("test"), tmp_path, "random") == []
    assert not list(tmp_path.iterdir())
