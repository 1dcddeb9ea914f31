"""One's own objectives: all that a task asks for counts, in every variant, and what cannot be asked for is refused."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors, rdFingerprintGenerator
from rdkit.DataStructs import TanimotoSimilarity

from metaenv.errors import TaskError
from metaenv.molecules.chem.fragmentation import MoleculeError
from metaenv.molecules.chem.smiles import parse, to_smiles
from metaenv.molecules.design import objective_splits
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.tasks import VARIANTS, MoleculeDistribution, MoleculeTask
from metaenv.molecules.design.terms import Term, packed_terms
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.tasks import TaskBatch

ID = "metaenv:metaenv/MoleculeDesign-v1"
CHLOROTOLUENE, BENZANILIDE = "Cc1ccc(Cl)cc1", "O=C(Nc1ccccc1)c1ccccc1"
LEAD = "CC(=O)Nc1ccc(OC)cc1"


def scores(task, smiles, **settings):
    """What the environment pays for molecules."""
    env = MoleculeDesignVectorEnv(len(smiles), **{"variant": "windows-3", **settings})
    return build(env, np.stack([parse(s) for s in smiles]), TaskBatch.from_tasks([task] * len(smiles)))["reward"]


# WHAT COUNTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_groups_patterns_and_leads_count_in_every_variant(variant):
    task = MoleculeTask.from_ranges({"logp": (1, 4)}, required="nitrile", forbidden="chlorine")
    own = scores(task, [CHLOROTOLUENE, task.certificate_smiles()], variant=variant)
    np.testing.assert_allclose(own, [0.15**2, 1])
    lead = MoleculeDistribution("scaffold-hop").all_tasks("train").task(0)
    alike = scores(lead, [lead.certificate_smiles(), CHLOROTOLUENE], variant=variant)
    assert alike[0] == 1 and alike[1] < 0.5
    pattern = MoleculeTask.from_ranges({"logp": (1, 4)}, required="C#N", forbidden=["[Cl,Br]", "urea"])
    assert scores(pattern, [CHLOROTOLUENE], variant=variant) == pytest.approx([0.15**2])


def test_the_factors_are_those_of_the_formulas():
    task = MoleculeTask.from_ranges(
        {"mw": (250, None), "logp": (None, 2.5), "qed": (0.85, None), "hba": (4, 6)},
        weights={"mw": 0.2, "qed": 0.5},
        softness={"logp": 0.3, "hba": 2.0},
        lead="COc1ccc(C#N)cc1",
        similarity=0.2,
        required=["nitrile", "[OX2]"],
    )
    mol = Chem.MolFromSmiles(BENZANILIDE)
    bits = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    alike = TanimotoSimilarity(bits.GetFingerprint(mol), bits.GetFingerprint(Chem.MolFromSmiles("COc1ccc(C#N)cc1")))
    flanks = [
        0.2 * ((250 - Descriptors.MolWt(mol)) / 25) ** 2,
        ((Crippen.MolLogP(mol) - 2.5) / 0.3) ** 2,
        0.5 * ((0.85 - QED.qed(mol)) / 0.1) ** 2,
        ((4 - Descriptors.NumHAcceptors(mol)) / 2.0) ** 2,
    ]
    assert min(flanks) > 0.01 and alike < 0.2
    expected = np.exp(-0.5 * sum(flanks)) * 0.15**2 * alike / 0.2
    assert scores(task, [BENZANILIDE, task.certificate_smiles()]) == pytest.approx([expected, 1], rel=1e-9)
    assert task.property_ranges() == {"mw": (250, np.inf), "logp": (-np.inf, 2.5)}
    assert MoleculeTask.from_json(task.to_json()) == task


def test_the_reference_agrees_with_the_reward():
    some = random_molecules().take(np.arange(60))
    tasks = [
        MoleculeTask.from_ranges({"mw": (None, 350)}, required="fluorine", forbidden="[OX2H]"),
        MoleculeTask.from_ranges({"logp": (1, 3), "rings": (2, 2)}, weights={"logp": 3.0}),
        MoleculeDistribution("scaffold-hop").all_tasks("test").task(3),
    ]
    for task in tasks:
        batch = TaskBatch.from_tasks([task])
        paid = build(MoleculeDesignVectorEnv(60, variant="windows-3"), some.actions, batch.repeated(60))["score"]
        np.testing.assert_allclose(scores_of(some, batch)[0], paid, rtol=1e-9)
        assert paid.std() > 0.01
    distribution = MoleculeDistribution("windows-3")
    groups = dataclasses.replace(tasks[0], terms=())
    plain = TaskBatch.from_tasks([groups, dataclasses.replace(groups, required=-1.0)])
    reference = distribution.reference(plain)
    assert reference.random[0] < reference.random[1]
    assert reference.random[0] == scores_of(random_molecules(), plain)[0].mean()


def test_without_rdkit_what_looks_at_whole_molecules_is_refused():
    env = MoleculeDesignVectorEnv(1, constraints=False, variant="windows-3")
    with pytest.raises(TaskError, match=r"looks at whole molecules.*constraints=True"):
        env.reset(options={"task": MoleculeTask.from_ranges(required="nitrile")})
    env.reset(options={"task": MoleculeTask.from_ranges({"mw": (None, 350)})})


def test_tasks_of_the_splits_and_of_ones_own_are_played_side_by_side():
    own = MoleculeTask.from_ranges({"logp": (1, 4)}, required=["nitrile", "[#6]"])
    shipped = MoleculeDistribution("windows-3").all_tasks("train")
    env = MoleculeDesignVectorEnv(3, variant="windows-3")
    _, info = env.reset(seed=0, options={"tasks": [shipped.task(0), own, None]})
    assert info["task_id"][0] == shipped.id_numbers[0] and env.tasks.task(0) == shipped.task(0)
    assert env.tasks.task(1) == own and env.tasks.ids[1] == own.id
    _, info = env.reset(options={"reset_mask": np.array([False, True, False]), "task": shipped.task(1)})
    assert env.tasks.ids.tolist()[:2] == shipped.ids[:2].tolist() and env.tasks.task(1).terms == ()


# WHAT STAYS AS IT WAS


def test_tasks_without_further_terms_have_the_ids_and_the_json_they_had():
    task = MoleculeTask.from_ranges({"mw": (300.0, 340.0), "logp": (2.0, 3.0)}, "nitrile", "ester")
    assert task.id == "78814e0a9f0501f4" and "terms" not in task.to_dict()
    train = MoleculeDistribution("windows-3").members("train")
    assert train.ids[:2].tolist() == ["e08d845fa619cdf3", "d9db87ceb6fb9906"]
    more = dataclasses.replace(task, terms=packed_terms([Term("required", "[#6]")]))
    assert more.id != task.id and json.loads(more.to_json())["terms"][0][:2] == ["required", "[#6]"]
    together = TaskBatch.from_tasks([task, more])
    assert together.ids.tolist() == [task.id, more.id] and together.tasks() == [task, more]
    assert together.take(np.array([0])).sha256 == TaskBatch.from_tasks([task]).sha256 != together.sha256


# WHAT IS REFUSED

RANGES = {"logp": (1, 4)}


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({}, TaskError, "asks for nothing"),
        ({"ranges": []}, TaskError, "expected ranges by property"),
        ({"ranges": {"mw": 350}}, TaskError, r"'mw' must be two numbers.*\(None, 350\); got 350"),
        ({"ranges": {"mw": "ab"}}, TaskError, "'mw' must be two numbers.*got 'ab'"),
        ({"ranges": {"mw": (1, 2, 3)}}, TaskError, r"got \(1, 2, 3\)"),
        ({"ranges": {"mw": (None, None)}}, TaskError, "open at both ends"),
        ({"ranges": {"mw": (float("nan"), 3)}}, TaskError, "'mw' is empty"),
        ({"ranges": {"logP": (1, 2)}}, TaskError, "no property 'logP'. Did you mean 'logp'"),
        ({"ranges": {"mw": (190, 199), "qed": (0.99, 1)}}, TaskError, "of these, qed from 0.99 to 1: 0"),
        ({"ranges": RANGES, "weights": {"mw": 2}}, TaskError, "weight of 'mw' but no range"),
        ({"ranges": RANGES, "weights": {"logp": 0}}, TaskError, "weight of 'logp' to be a number above 0"),
        ({"ranges": RANGES, "softness": {"logp": -1.0}}, TaskError, "softness of 'logp' to be a number above 0"),
        ({"ranges": RANGES, "softness": {"logp": float("nan")}}, TaskError, "softness of 'logp'"),
        (
            {"required": "ntrile"},
            TaskError,
            "no group 'ntrile', and RDKit cannot read the SMARTS.*Did you mean 'nitrile'",
        ),
        ({"required": ""}, TaskError, "cannot read the SMARTS ''"),
        ({"forbidden": 7}, TaskError, "expected forbidden to be names of groups or SMARTS"),
        ({"forbidden": [7]}, TaskError, "expected forbidden to be names of groups or SMARTS, got 7"),
        ({"required": "urea", "forbidden": "urea"}, TaskError, "required urea: 825, forbidden urea: 5175"),
        ({"required": "[U]"}, TaskError, r"required \[U\]: 0"),
        ({"lead": "c1ccccc"}, MoleculeError, "RDKit cannot read it"),
        ({"lead": "CN(C)(C)C"}, MoleculeError, "valence for atom # 1 N"),
        ({"lead": None, "ranges": {"hbd": (3, 2)}}, TaskError, "'hbd' is empty: 3 to 2"),
        ({"lead": "c1ccccc1.Cl"}, MoleculeError, "several components.*largest one, 'c1ccccc1'"),
        ({"lead": "CC[*:1]"}, MoleculeError, r"open attachment in 'CC\[\*:1\]': \[\*:1\] \(atom 2\)"),
        ({"lead": 3}, MoleculeError, "expected a SMILES as text, got 3"),
        ({"lead": "C[N+](C)(C)C"}, TaskError, "the most similar 0"),
        ({"lead": LEAD, "similarity": 0}, TaskError, "similarity above 0 and up to 1, got 0"),
        ({"lead": LEAD, "similarity": 1.5}, TaskError, "similarity above 0 and up to 1"),
        ({"ranges": RANGES, "certificate": "C[N+](C)(C)Cc1ccccc1"}, MoleculeError, r"on \[N\+\] \(atom 1\)"),
        ({"ranges": RANGES, "certificate": "*c1ccccc1"}, MoleculeError, r"open attachment.*\* \(atom 0\)"),
        ({"ranges": RANGES, "certificate": "CC(=O)Nc1ccc(O)cc1"}, TaskError, "structural alert .*hydroquinone"),
        ({"lead": LEAD, "certificate": CHLOROTOLUENE}, TaskError, r"similarity of 0.6 to .*found: 0\."),
        ({"required": "[#7]", "certificate": CHLOROTOLUENE}, TaskError, r"asked for: required \[#7\]"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(arguments, error, why):
    with pytest.raises(error, match=why) as refused:
        MoleculeTask.from_ranges(**arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"required": 10.0}, "lacks the required group 'nitrile'"),
        ({"forbidden": 13.0}, "has the forbidden group 'chlorine'"),
        ({"lead": tuple(parse(BENZANILIDE).astype(float).tolist())}, "similarity to the lead .* asked for 0.6"),
        ({"terms": packed_terms([Term("range", "qed", 0.9, 1.0, 0.1)])}, "asked for: qed from 0.9 to 1, found: 0.5"),
        ({"certificate": tuple(random_molecules().actions[229].astype(float).tolist())}, "alert|accessibility"),
    ],
)
def test_certificates_that_do_not_score_one_are_refused_when_a_task_is_given(change, why):
    infeasible = np.flatnonzero(~random_molecules().feasible)
    if "certificate" in change:
        change = {"certificate": tuple(random_molecules().actions[infeasible[0]].astype(float).tolist())}
    good = MoleculeTask.from_ranges({"logp": (-9, 9)}, certificate=CHLOROTOLUENE)
    bad = dataclasses.replace(good, **change)
    env = gym.make(ID, variant="windows-3")
    with pytest.raises(TaskError, match=why):
        env.reset(options={"task": bad})
    with pytest.raises(TaskError, match=why):
        gym.make(ID, variant="windows-3", tasks=[good, bad])
    env.reset(options={"task": good})


def test_real_molecules_are_no_certificates_for_what_they_lack():
    """Much is known of the real molecules without RDKit; what is not known is looked up."""
    env = gym.make(ID, variant="windows-3")
    good = MoleculeTask.from_ranges({"logp": (1, 4)}, required="nitrile")
    env.reset(options={"task": good})
    for change, why in (
        ({"lead": tuple(parse(BENZANILIDE).astype(float).tolist())}, "similarity to the lead"),
        ({"terms": packed_terms([Term("forbidden", "C#N")])}, "asked for: forbidden C#N"),
        ({"forbidden": 10.0}, "has the forbidden group 'nitrile'"),
    ):
        with pytest.raises(TaskError, match=why):
            env.reset(options={"task": dataclasses.replace(good, **change)})


def test_molecules_that_break_the_constraints_certify_nothing(monkeypatch):
    real = real_molecules()
    half = np.arange(len(real)) % 2 == 0
    monkeypatch.setattr(objective_splits, "real_molecules", lambda chemistry: dataclasses.replace(real, feasible=half))
    found = objective_splits.objectives("windows-3", "test")["certificate"].astype(np.int16)
    allowed = {row.tobytes() for row in real.actions[half]}
    assert len(found) > 100 and {row.tobytes() for row in found} <= allowed


def test_what_is_removed_from_a_molecule_is_said():
    with pytest.warns(UserWarning, match="without its isotopes, atom maps"):
        assert to_smiles(parse("[13cH:1]1ccccc1")[None]) == ["c1ccccc1"]
    with pytest.warns(UserWarning, match="without its stereochemistry"):
        parse("C[C@H]1CCCN1Cc1ccccc1")
    with pytest.warns(UserWarning, match="without its charges"):
        parse("C1C[NH2+]CCC1Cc1ccccc1")


@pytest.mark.parametrize(
    "given",
    [
        ("banned", "C#N"),
        ("required", 3),
        ("range", "qed", "0.9"),
        ("range", "qed", 0.1, float("inf")),
        ("range", "qed", 0.1, 0.2, 0.0),
    ],
)
def test_each_fault_of_a_term_is_refused(given):
    with pytest.raises(TaskError, match="expected a term of kind range, required, forbidden, similar"):
        Term(*given)


@pytest.mark.parametrize("terms", [(1.0,), (-5.0,), (2.0**60,), (0.5,), packed_terms([Term("required", "C")])[:-1]])
def test_numbers_that_are_no_terms_are_refused(terms):
    with pytest.raises(TaskError, match="holds no terms"):
        dataclasses.replace(MoleculeTask.from_ranges({"logp": (1, 4)}), terms=terms)
