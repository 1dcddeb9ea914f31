"""Hidden objectives: every one is certified, splits share nothing, and bad ones are refused with the reason."""

from functools import lru_cache

import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

from metaenv.errors import TaskError
from metaenv.molecules.chem.assembly import Assembly, replay
from metaenv.molecules.chem.fragmentation import MoleculeError
from metaenv.molecules.chem.functional_groups import GROUPS
from metaenv.molecules.chem.properties import COLUMNS, Scores, additive
from metaenv.molecules.chem.scoring import score_table
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.tasks import (
    VARIANTS,
    MoleculeDistribution,
    MoleculeTask,
)
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.tasks import TaskBatch
from metaenv.testing import check_distribution

WINDOWS = ("windows-3", "windows-4", "windows-5")
INFEASIBLE = to_smiles(random_molecules().actions[np.argmin(random_molecules().feasible)])[0]
REMEMBERED = Scores(with_groups=False, with_fingerprint=False)


def every(variant):
    """All tasks of a variant, by split."""
    distribution = MoleculeDistribution(variant)
    return {split: distribution.all_tasks(split) for split in distribution.splits}


def certificates(tasks):
    return tasks.certificate.astype(np.int16)


def scored_by_the_environment(variant, tasks, scores=None):
    env = MoleculeDesignVectorEnv(len(tasks), variant=variant)
    env.scores = scores or env.scores
    return build(env, certificates(tasks), tasks)["score"]


@lru_cache(maxsize=1)
def scaffolds():
    """Murcko scaffold of every real molecule, by its build sequence."""
    known = real_molecules().actions
    return {
        row.tobytes(): MurckoScaffold.MurckoScaffoldSmiles(smiles)
        for row, smiles in zip(known, to_smiles(known), strict=True)
    }


# CERTIFICATES


@pytest.mark.parametrize("variant", WINDOWS)
def test_every_certificate_scores_one(variant):
    for split, tasks in every(variant).items():
        np.testing.assert_allclose(scored_by_the_environment(variant, tasks, REMEMBERED), 1, atol=1e-9, err_msg=split)


@pytest.mark.parametrize("variant", ["groups", "scaffold-hop"])
def test_certificates_of_the_large_tiers_score_one(variant):
    for split, tasks in every(variant).items():
        some = tasks.take(np.arange(0, len(tasks), -(-len(tasks) // 150)))
        np.testing.assert_allclose(scored_by_the_environment(variant, some), 1, atol=1e-9, err_msg=split)


def test_there_are_ten_thousand_certified_tasks():
    ids = np.concatenate([tasks.ids for variant in WINDOWS for tasks in every(variant).values()])
    assert len(set(ids)) == len(ids) >= 10_000


def test_certificates_lie_in_their_ranges_by_rdkit():
    """Of the tasks of one list; RDKit computes the properties from the SMILES."""
    for task in MoleculeDistribution("windows-4").frozen("validation").tasks.take(np.arange(30)).tasks():
        mol = Chem.MolFromSmiles(task.certificate_smiles())
        found = {
            "mw": Descriptors.MolWt(mol),
            "logp": Crippen.MolLogP(mol),
            "tpsa": Descriptors.TPSA(mol),
            "hbd": Descriptors.NumHDonors(mol),
            "rotatable": Descriptors.NumRotatableBonds(mol),
            "aromatic_rings": Descriptors.NumAromaticRings(mol),
            "fsp3": Descriptors.FractionCSP3(mol),
        }
        ranges = task.property_ranges()
        assert len(ranges) == 4
        for name, (low, high) in ranges.items():
            assert low - 1e-6 <= found[name] <= high + 1e-6, (name, found[name], task)


def test_groups_are_there_and_not_there_by_rdkit():
    patterns = [Chem.MolFromSmarts(smarts) for smarts in GROUPS.values()]
    for split in ("test", "ood-group"):
        for task in MoleculeDistribution("groups").frozen(split).tasks.take(np.arange(40)).tasks():
            mol = Chem.MolFromSmiles(task.certificate_smiles())
            assert mol.HasSubstructMatch(patterns[int(task.required)])
            assert not mol.HasSubstructMatch(patterns[int(task.forbidden)])


# SPLITS


@pytest.mark.parametrize("variant", VARIANTS)
def test_splits_share_no_objective_and_no_scaffold(variant):
    objectives, frames = {}, {}
    for split, tasks in every(variant).items():
        parts = (tasks.wanted, tasks.low, tasks.high, tasks.required[:, None], tasks.forbidden[:, None], tasks.lead)
        objectives[split] = {row.tobytes() for row in np.concatenate(parts, axis=1)}
        assert len(objectives[split]) == len(tasks), f"{split}: an objective is there twice"
        frames[split] = {scaffolds()[row.tobytes()] for row in np.unique(certificates(tasks), axis=0)}
    names = list(objectives)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert not objectives[first] & objectives[second], (first, second)
    for other in names[1:]:
        assert not frames["train"] & frames[other], f"train and {other} share a scaffold"
    assert not frames["validation"] & frames["test"]


def test_out_of_distribution_means_what_it_says():
    hbd, fsp3 = 3, 6
    for variant in VARIANTS:
        for split, tasks in every(variant).items():
            both = (tasks.wanted[:, hbd] == 1) & (tasks.wanted[:, fsp3] == 1)
            assert both.all() if split == "ood-combination" else not both.any()
    required = {split: set(tasks.required) for split, tasks in every("groups").items()}
    assert len(required["ood-group"]) == 5 and len(required["train"]) == 23
    for split in ("train", "validation", "test", "ood-combination"):
        assert not required[split] & required["ood-group"]


@pytest.mark.parametrize("variant", ["windows-3", "groups"])
def test_distributions_keep_the_contract(variant):
    check_distribution(MoleculeDistribution(variant))


def test_ranges_are_as_many_as_the_variant_says():
    for variant, n in {"windows-3": 3, "windows-4": 4, "windows-5": 5, "groups": 3, "scaffold-hop": 2}.items():
        tasks = MoleculeDistribution(variant).all_tasks("test")
        assert (tasks.wanted.sum(axis=1) == n).all()
        assert (tasks.low <= tasks.high).all()
        assert ((tasks.lead[:, 0] >= 0) == (variant == "scaffold-hop")).all()
        assert ((tasks.required >= 0) == (variant == "groups")).all()


# REFERENCES AND LABELLED MOLECULES


def test_the_random_reference_is_that_of_other_random_molecules():
    frozen = MoleculeDistribution().frozen("test")
    fresh = replay(Assembly(4_000).rollout(np.random.default_rng(99)))
    table = score_table(additive(fresh)[:, COLUMNS], frozen.tasks)  # without constraints: 99 % of them meet those
    assert table.mean() == pytest.approx(frozen.reference.random.mean(), abs=0.004)
    assert np.corrcoef(table.mean(axis=1), frozen.reference.random)[0, 1] > 0.98
    assert (frozen.reference.oracle == 1).all()


def test_labelled_molecules_have_their_scores():
    distribution = MoleculeDistribution("groups")
    tasks = distribution.frozen("validation").tasks.take(np.arange(20))
    found = distribution.labelled(tasks, 60, np.random.default_rng(1))
    assert found.x.shape == (20, 60, 7) and found.y.shape == (20, 60)
    table = scores_of(real_molecules(), tasks)
    for scores, all_scores in zip(found.y, table, strict=True):
        assert np.isin(scores, all_scores).all()
        good = np.quantile(all_scores, 0.95)
        assert 0.15 < (scores >= good).mean() < 0.65, "about a third and a twentieth are among the best 5 %"
    again = distribution.labelled(tasks, 60, np.random.default_rng(1))
    np.testing.assert_array_equal(found.x, again.x)


# ONE'S OWN TASKS


def test_a_task_of_ones_own_finds_its_certificate():
    ranges = {"mw": (300.0, 340.0), "logp": (2.0, 3.0), "hbd": (1.0, 2.0)}
    task = MoleculeTask.from_ranges(ranges, required="nitrile", forbidden="ester")
    assert task.property_ranges() == ranges
    mol = Chem.MolFromSmiles(task.certificate_smiles())
    assert 300 <= Descriptors.MolWt(mol) <= 340 and 2 <= Crippen.MolLogP(mol) <= 3
    assert mol.HasSubstructMatch(Chem.MolFromSmarts("C#N"))
    assert MoleculeTask.from_json(task.to_json()) == task
    assert scored_by_the_environment("groups", TaskBatch.from_tasks([task])) == [1]


def test_a_certificate_may_be_given():
    task = MoleculeTask.from_ranges({"mw": (197, 198)}, certificate="O=C(Nc1ccccc1)c1ccccc1")
    assert Chem.CanonSmiles(task.certificate_smiles()) == Chem.CanonSmiles("O=C(Nc1ccccc1)c1ccccc1")


@pytest.mark.parametrize(
    ("ranges", "more", "error", "why"),
    [
        ({"mv": (300, 340)}, {}, TaskError, "no property 'mv'.*mw"),
        ({"mw": (340, 300)}, {}, TaskError, "'mw' is empty: 340 to 300"),
        ({"logp": (float("nan"), 3)}, {}, TaskError, "'logp' is empty"),
        ({"mw": (190, 195), "rotatable": (8, 8)}, {}, TaskError, "none of 6,000.*mw: .*rotatable: .*together: 0"),
        ({"mw": (300, 340)}, {"required": "nitril"}, TaskError, "no group 'nitril'.*nitrile"),
        ({"mw": (300, 340)}, {"forbidden": "gold"}, TaskError, "no group 'gold'"),
        ({"mw": (300, 340)}, {"required": "ester", "forbidden": "ester"}, TaskError, "none of 6,000"),
        ({"mw": (300, 340)}, {"certificate": "c1ccccc"}, MoleculeError, "cannot read"),
        ({"mw": (300, 340)}, {"certificate": "CCO"}, MoleculeError, "has no ring"),
        ({"mw": (300, 340)}, {"certificate": "O=C(Nc1ccccc1)c1ccccc1"}, TaskError, "mw is 197.2, asked for 300 to 340"),
        (
            {"hbd": (1, 1)},
            {"certificate": "O=C(Nc1ccccc1)c1ccccc1", "required": "nitrile"},
            TaskError,
            "lacks the requir",
        ),
        (
            {"hbd": (0, 0)},
            {"certificate": "Clc1ccccc1", "forbidden": "chlorine"},
            TaskError,
            "has the forbidden group 'chlorine'",
        ),
        ({"hbd": (0, 9)}, {"certificate": INFEASIBLE}, TaskError, "alert|synthetic accessibility"),
    ],
)
def test_what_is_no_task_is_refused_with_the_reason(ranges, more, error, why):
    with pytest.raises(error, match=why):
        MoleculeTask.from_ranges(ranges, **more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"wanted": (1.0,) * 6}, "wanted must have 7 numbers"),
        ({"low": (0.0,) * 8}, "low must have 7 numbers"),
        ({"lead": (-1.0,) * 5}, "lead must have 9 numbers"),
        ({"certificate": (1.0,)}, "certificate must have 9 numbers"),
        ({"required": 28.0}, "required must be -1 or a group from 0 to 27"),
        ({"forbidden": 1.5}, "forbidden must be -1 or a group"),
        ({"high": (float("inf"),) * 7}, "must be finite"),
        ({"certificate": (999.0, *(-1.0,) * 8)}, "certificate is not a build sequence"),
        ({"certificate": (-1.0,) * 9}, "certificate is not a build sequence"),
        ({"lead": (2.0, *(-1.0,) * 8)}, "lead is not a build sequence.*open"),
    ],
)
def test_fields_are_checked(change, why):
    good = MoleculeTask.from_ranges({"mw": (300, 340)}).to_dict()
    with pytest.raises(TaskError, match=why):
        MoleculeTask.from_dict({**good, **change})


@pytest.mark.parametrize("variant", VARIANTS)
def test_frozen_lists_are_what_draw_gives(variant):
    distribution = MoleculeDistribution(variant)
    assert len(distribution.splits) >= 3
    assert distribution.sizes() == distribution.manifest()
    for split in distribution.splits[1:]:
        with pytest.raises(TaskError, match="is not the one that was frozen"):
            distribution.check_list(split, distribution.draw_list(split).take(np.arange(1, 100)))


def test_unknown_tiers_and_lists_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="windows-3"):
        MoleculeDistribution("window-3")
    with pytest.raises(TaskError, match="ood-group"):
        MoleculeDistribution("groups").members("ood-groups")
    with pytest.raises(TaskError, match="ood-group"):
        MoleculeDistribution("windows-3").members("ood-group")
    with pytest.raises(TaskError, match="no frozen list"):
        MoleculeDistribution().frozen("train")
