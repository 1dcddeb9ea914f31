"""Property profiles: certificates, what splits hold out, scores computed by hand, and what is seen."""

import math
import time

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.errors import TaskError
from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.molecules.chem.descriptors import DESCRIPTOR_SOFTNESS, DESCRIPTORS
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.molecules.design import profiles
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.profiles import SIMILARITY, ProfileDistribution
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.tasks import TaskBatch, TaskSampler
from metaenv.testing import check_distribution
from tests.molecules.building import build

Chem = pytest.importorskip("rdkit.Chem", reason="molecules are scored by RDKit")
from rdkit.Chem import Crippen, Descriptors, FilterCatalog, rdFingerprintGenerator, rdMolDescriptors  # noqa: E402
from rdkit.Chem.Scaffolds import MurckoScaffold  # noqa: E402
from rdkit.DataStructs import TanimotoSimilarity  # noqa: E402

FAMILY = ProfileDistribution()
BRENK = FilterCatalog.FilterCatalog(FilterCatalog.FilterCatalogParams.FilterCatalogs.BRENK)
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)


def drawn(split, n=120, seed=3):
    return FAMILY.draw(np.random.default_rng(seed).random((n, FAMILY.unit_dim)), split)


def asked(tasks):
    """Names of the descriptors that each task asks for."""
    return [{name for name, w in zip(DESCRIPTORS, row, strict=False) if w} for row in tasks.wanted]


def mols(tasks, field="certificate"):
    sequences = getattr(tasks, field).astype(np.int16)
    return [Chem.MolFromSmiles(text) for text in to_smiles(sequences, FAMILY.chemistry.vocabulary)]


def scaffolds(found):
    return [MurckoScaffold.MurckoScaffoldSmiles(mol=mol) for mol in found]


def alike(mol, other):
    return TanimotoSimilarity(MORGAN.GetFingerprint(mol), MORGAN.GetFingerprint(other))


def by_hand(mol, sa, task):
    """The score of a molecule by RDKit's own functions."""
    d = rdMolDescriptors
    values = {
        "mw": Descriptors.MolWt(mol), "logp": Crippen.MolLogP(mol), "tpsa": d.CalcTPSA(mol), "hbd": d.CalcNumHBD(mol),
        "hba": d.CalcNumHBA(mol), "rotatable": d.CalcNumRotatableBonds(mol), "rings": d.CalcNumRings(mol),
        "aromatic_rings": d.CalcNumAromaticRings(mol), "fsp3": d.CalcFractionCSP3(mol),
        "heavy_atoms": mol.GetNumHeavyAtoms(), "sa": sa,
    }  # fmt: skip
    score = float(sa <= 4.5 and not BRENK.HasMatch(mol))
    for name, (low, high) in task.property_ranges().items():
        if name != "similarity":
            j = DESCRIPTORS.index(name)
            flank = DESCRIPTOR_SOFTNESS[j] / math.sqrt(task.wanted[j])
            score *= math.exp(-0.5 * (max(low - values[name], values[name] - high, 0) / flank) ** 2)
    patterns = list(FAMILY.chemistry.groups.values())
    for group, there in ((task.required, True), (task.forbidden, False)):
        if group >= 0 and mol.HasSubstructMatch(Chem.MolFromSmarts(patterns[int(group)])) != there:
            score *= 0.15
    return score


@pytest.mark.parametrize("split", ["train", "test", "ood-pair", "ood-range", "ood-group", "ood-lead"])
def test_certificates_score_one(split):
    tasks = drawn(split, 60)
    env = MoleculeDesignVectorEnv(60, variant="profile")
    report = build(env, tasks.certificate.astype(np.int16), tasks)
    np.testing.assert_allclose(report["score"], 1, atol=1e-6)
    assert all(1 <= len(names) <= 4 for names in asked(tasks))


def test_scores_are_those_of_the_formula():
    tasks = drawn("train", 80).take(np.flatnonzero(drawn("train", 80).lead[:, 0] < 0)[:60])
    made = real_molecules(FAMILY.chemistry).actions[::100].copy()
    made[1::3] = random_molecules(FAMILY.chemistry).actions[: len(made[1::3])]
    env = MoleculeDesignVectorEnv(60, variant="profile")
    report = build(env, made, tasks)
    accessibility = FAMILY.task_type.values_of(made)[:, DESCRIPTORS.index("sa")]
    expected = [
        by_hand(Chem.MolFromSmiles(smiles), sa, task)
        for smiles, sa, task in zip(report["smiles"], accessibility, tasks.tasks(), strict=True)
    ]
    np.testing.assert_allclose(report["score"], expected, atol=1e-6)
    assert (np.array(expected) > 0.01).sum() > 10


def test_a_lead_is_a_hop_away_and_its_similarity_counts():
    tasks = drawn("ood-lead", 40)
    pairs = list(zip(mols(tasks), mols(tasks, "lead"), strict=True))
    assert all(a != b for a, b in zip(*map(scaffolds, zip(*pairs, strict=True)), strict=True))
    least = tasks.low[:, SIMILARITY]
    assert (np.array([alike(*pair) for pair in pairs]) >= least - 1e-6).all()
    assert least.min() > 0.25
    alone = tasks.columns | {"wanted": tasks.wanted * 0 + np.eye(12)[SIMILARITY], "required": np.full(40, -1)}
    only_lead = TaskBatch(tasks.task_type, alone | {"forbidden": np.full(40, -1)})
    made = real_molecules(FAMILY.chemistry).actions[:40]
    report = build(MoleculeDesignVectorEnv(40, variant="profile"), made, only_lead)
    shared = [alike(Chem.MolFromSmiles(s), lead) for s, (_, lead) in zip(report["smiles"], pairs, strict=True)]
    np.testing.assert_allclose(report["score"], np.minimum(shared / least, 1), atol=1e-6)


def test_molecules_of_training_and_evaluation_share_no_scaffold():
    def all_of(tasks):
        led = tasks.take(np.flatnonzero(tasks.lead[:, 0] >= 0))
        return {*scaffolds(mols(tasks)), *(scaffolds(mols(led, "lead")) if len(led) else [])}

    train = all_of(drawn("train", 400))
    for split in ("validation", "test", "ood-lead"):
        assert not train & all_of(drawn(split, 150))


def test_splits_hold_out_what_they_say():
    pairs = ({"hbd", "fsp3"}, {"tpsa", "aromatic_rings"})
    held_out = FAMILY.chemistry.held_out_groups
    for split in ("train", "validation", "test"):
        tasks = drawn(split, 1000)
        assert not any(pair <= names for pair in pairs for names in asked(tasks))
        assert not np.isin(tasks.required, held_out).any() and not np.isin(tasks.forbidden, held_out).any()
        values = FAMILY.task_type.values_of(tasks.certificate.astype(np.int16))
        for name, outside in (("logp", values[:, 1] > 4.2), ("tpsa", values[:, 2] < 40)):
            assert not (outside & [name in names for names in asked(tasks)]).any()
        leads = tasks.lead[tasks.lead[:, 0] >= 0].astype(np.int16)
        places = {row.tobytes(): i for i, row in enumerate(real_molecules(FAMILY.chemistry).actions)}
        bits = real_molecules(FAMILY.chemistry).groups[[places[row.tobytes()] for row in leads]]
        assert len(bits) and not any((bits >> g & 1).any() for g in held_out)
    assert all(any(pair <= names for pair in pairs) for names in asked(drawn("ood-pair")))
    assert np.isin(drawn("ood-group").required, held_out).all()
    assert (drawn("ood-lead").lead[:, 0] >= 0).all()
    ranged, values = drawn("ood-range"), FAMILY.task_type.values_of(drawn("ood-range").certificate.astype(np.int16))
    for names, (_, logp, tpsa, *_) in zip(asked(ranged), values, strict=True):
        assert ("logp" in names and logp > 4.2) or ("tpsa" in names and tpsa < 40)


def test_each_task_is_a_function_of_its_own_unit_numbers_and_numbers_are_real():
    unit = np.random.default_rng(0).random((50, FAMILY.unit_dim))
    for split in ("train", "ood-range"):
        together = FAMILY.draw(unit, split)
        single = [FAMILY.draw(unit[i : i + 1], split).ids[0] for i in range(50)]
        assert together.ids.tolist() == single and len(set(single)) == 50
    middle = (together.low + together.high)[:, 0][together.wanted[:, 0] > 0]
    assert len(set(middle.tolist())) == len(middle)


def test_thousands_of_tasks_are_drawn_a_second():
    sampler = TaskSampler(FAMILY, "train", 0)
    sampler.draw(10)
    start = time.process_time()
    sampler.draw(4_000)
    assert time.process_time() - start < 1


def test_frozen_lists_are_certified_and_their_references_are_right():
    check_distribution(FAMILY)
    frozen = FAMILY.frozen("test")
    assert len(frozen) == 500 and (frozen.reference.oracle == 1).all()
    rows = np.flatnonzero(frozen.tasks.lead[:, 0] < 0)[::50]  # with a lead it takes seconds
    found = FAMILY.reference(frozen.tasks.take(rows)).random
    np.testing.assert_allclose(found, frozen.reference.random[rows], atol=1e-6)


def test_a_list_that_was_not_frozen_is_refused(monkeypatch):
    monkeypatch.setattr(profiles, "FROZEN_SEED", 1)
    profiles._frozen.cache_clear()
    with pytest.raises(TaskError, match="'ood-pair' of chembl is not the one that was frozen; install metaenv again"):
        FAMILY.frozen("ood-pair")


def test_what_is_seen_says_nothing_of_the_objective_but_the_score():
    tasks = drawn("train", 40)
    made = np.tile(real_molecules(FAMILY.chemistry).actions[7], (40, 1))
    env = MoleculeDesignVectorEnv(40, variant="profile")
    report = build(env, made, tasks)
    told = [env.layout.reading, env.layout.magnitude]
    seen = np.delete(report["obs"], told, axis=1)
    assert (seen == seen[0]).all() and len(np.unique(report["obs"][:, env.layout.reading])) > 20
    assert "fits" not in env.layout.names
    values = FAMILY.task_type.values_of(made[:1])[0]
    np.testing.assert_allclose(report["obs"][0, env.layout.properties], FAMILY.scaled(values), rtol=1e-5)


def test_a_molecule_made_before_costs_however_it_is_built():
    actions = random_molecules(FAMILY.chemistry).actions
    actions = actions[(actions >= 0).sum(axis=1) <= 4]
    names: dict[str, list[int]] = {}
    for i, name in enumerate(to_smiles(actions, FAMILY.chemistry.vocabulary)):
        names.setdefault(name, []).append(i)
    twice = (rows for rows in names.values() if len(rows) > 1)
    first, second = next((a, b) for a, *more in twice for b in more if (actions[a] != actions[b]).any())
    trials = make_trials("MoleculeDesign", 1, variant="profile", text_info=True)
    trials.reset(seed=0)
    rewards = []
    for which in (first, 0, second):
        for action in actions[which][actions[which] >= 0]:
            _, reward, *_, info = trials.step(np.array([action]))
        rewards.append(reward[0] - info["score"][0])
    np.testing.assert_allclose(rewards, [0, 0, -0.5], atol=1e-12)


def test_own_profiles():
    kind = FAMILY.task_type
    task = kind.from_ranges({"mw": (200, 400), "sa": (None, 3.0), "qed": (0.5, None)}, forbidden="nitrile")
    assert kind.from_json(task.to_json()) == task
    assert task.property_ranges() == {"mw": (200, 400), "sa": (-np.inf, 3.0)}
    env = MoleculeDesignVectorEnv(1, variant="profile")
    report = build(env, np.array([task.certificate], np.int16), TaskBatch.from_tasks([task]))
    assert report["score"][0] == pytest.approx(1)
    with pytest.raises(TaskError, match="there is no property 'similarity'"):
        kind.from_ranges({"similarity": (0.5, 1)})
    with pytest.raises(TaskError, match="wanted with 0 where there is none"):
        kind.from_dict(task.to_dict() | {"wanted": [*task.wanted[:-1], 1.0]})


@pytest.mark.parametrize("chemistry", ["zinc", "chembl"])
def test_accessibility_and_alerts_bind_in_chembl_only(chemistry):
    feasible = random_molecules(load_chemistry(chemistry)).feasible.mean()
    assert feasible == pytest.approx({"zinc": 0.994, "chembl": 0.455}[chemistry], abs=0.002)
