"""Bayes over the training family: it adapts, and reads no frozen list."""

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.molecules.design import profile_bayes
from metaenv.molecules.design.profile_bayes import ProfileBayes, particles
from metaenv.molecules.design.profiles import FROZEN, ProfileDistribution
from metaenv.molecules.objectives import in_split
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.policies import play_trials

pytest.importorskip("rdkit", reason="molecules are scored by RDKit")
FAMILY = ProfileDistribution()
FEW = 1000


def test_no_frozen_task_is_among_its_particles():
    known = particles()
    ids = set(known.tasks.ids)
    certificates = {row.tobytes() for row in known.tasks.certificate.astype(np.int16)}
    for split in FROZEN:
        frozen = FAMILY.frozen(split).tasks
        assert not ids & set(frozen.ids)
        assert not certificates & {row.tobytes() for row in frozen.certificate.astype(np.int16)}
    real = real_molecules(FAMILY.chemistry).actions
    train = {row.tobytes() for row in real[in_split(scaffold_tenths(FAMILY.chemistry), "train")]}
    assert {row.tobytes() for row in known.actions} <= train


def test_it_never_reads_a_frozen_list(monkeypatch):
    def refused(*_):
        raise AssertionError("a frozen list was read")

    for name in ("frozen_list", "draw_list", "frozen"):
        monkeypatch.setattr(ProfileDistribution, name, refused)
    env = make_trials("MoleculeDesign", 4, variant="profile")
    tasks = FAMILY.sample(4, "train", np.random.default_rng(0))
    profile_bayes.particles.cache_clear()
    record = play_trials(ProfileBayes(n_particles=200), env, tasks)
    assert record.scores.shape == (4, 10)


def test_memory_pays():
    env = make_trials("MoleculeDesign", 64, variant="profile")
    tasks = FAMILY.frozen("validation").tasks.take(np.arange(64))
    full, last = (play_trials(ProfileBayes(n_particles=FEW, remembers=r), env, tasks) for r in (True, False))
    assert full.scores[:, 0].mean() < 0.3
    assert full.scores[:, -3:].mean() - last.scores[:, -3:].mean() >= 0.15
    told = env.measures(full)
    assert (told["distinct molecules"] == 10).all() and 0.7 < told["internal diversity"].mean() < 0.9
    np.testing.assert_array_equal(told["best molecule"], full.best_so_far()[:, -1])
