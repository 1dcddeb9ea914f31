"""A scaffold and R-groups of one's own: every molecule is what a chemist draws, and what cannot be used is named."""

import gymnasium as gym
import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

from metaenv.baselines import baselines_of
from metaenv.errors import TaskError
from metaenv.molecules.chem.fragmentation import MoleculeError
from metaenv.molecules.lead.env import LeadOptimizationVectorEnv
from metaenv.molecules.lead.library import libraries, notation
from metaenv.molecules.lead.series import lead_series
from metaenv.molecules.lead.series_tasks import SeriesTask
from metaenv.policies import play_trials
from metaenv.testing import check_distribution, check_meta_env, check_vector_env
from metaenv.trial import make_trials

ID = "metaenv:metaenv/LeadOptimization-v0"
SCAFFOLD = "c1ccc([*:1])cc1[*:2]"
GROUPS = ["H", "*C", "*OC", "*C(F)(F)F", "*C#N", "[*:1]C(=O)N", "*N1CCOCC1", "F*"]
OWN = {"scaffold": SCAFFOLD, "r_groups": GROUPS}


def test_molecules_are_those_that_a_chemist_draws():
    series = lead_series("Cn1cc([*:1])c([*:2])n1", {1: ["H", "*Cl"], 2: ["*C(=O)O", "[*:2]c1ccncc1", "*N"]})
    drawn = ["Cn1ccc(C(=O)O)n1", "Cn1ccc(-c2ccncc2)n1", "Cn1ccc(N)n1"]
    drawn += ["Cn1cc(Cl)c(C(=O)O)n1", "Cn1cc(Cl)c(-c2ccncc2)n1", "Cn1cc(Cl)c(N)n1"]
    assert list(series.texts) == [Chem.CanonSmiles(text) for text in drawn]
    for text, values in zip(drawn, series.values, strict=True):
        mol = Chem.MolFromSmiles(text)
        np.testing.assert_allclose(values[:3], [Descriptors.MolWt(mol), Crippen.MolLogP(mol), Descriptors.TPSA(mol)])
    assert series.numbers(np.zeros(2, int), np.array([[1, 2], [0, 3]])).tolist() == [5, -1]


def test_it_keeps_the_contract():
    check_meta_env(gym.make(ID, **OWN))
    check_vector_env(lambda **settings: gym.make_vec(ID, **OWN, **settings), num_envs=3, steps=40)
    check_distribution(LeadOptimizationVectorEnv(1, **OWN).distribution)


def test_a_step_exchanges_the_r_group():
    env = LeadOptimizationVectorEnv(4, text_info=True, render_mode="ansi", **OWN)
    env.reset(seed=0)
    assert env.single_action_space.n == 16 and env.steps == 3
    env.step(np.array([0, 1, 2, 3]))
    _, _, _, _, info = env.step(np.array([8 + 7, 8, 8 + 1, 8 + 4]))
    expected = ["Fc1ccccc1", "Cc1ccccc1", "COc1cccc(C)c1", "N#Cc1cccc(C(F)(F)F)c1"]
    assert info["smiles"].tolist() == [Chem.CanonSmiles(text) for text in expected]
    assert "8 *[H]" in env.render()[0]


def test_sites_may_have_different_numbers_of_r_groups():
    groups = {1: ["H", "*C"], 2: [text.replace(":1", ":2") for text in GROUPS]}
    env = LeadOptimizationVectorEnv(50, scaffold=SCAFFOLD, r_groups=groups, tasks=2)
    _, info = env.reset(seed=0)
    mask = info["action_mask"].reshape(50, 2, 8)
    assert (mask[:, 0].sum(axis=1) == 2).all() and (mask[:, 1].sum(axis=1) == 8).all()
    before = env.choice.copy()
    env.step(np.full(50, 5))  # a group that site 1 does not have
    np.testing.assert_array_equal(env.choice, before)


def test_baselines_play_a_series_of_ones_own():
    trials = make_trials("LeadOptimization", 16, **OWN)
    frozen = trials.distribution.frozen("test")
    assert (frozen.reference.oracle == 1).all() and 0.05 < frozen.reference.random.mean() < 0.5
    policies, fixed = baselines_of(trials)
    means = {
        n: play_trials(p, trials, frozen.tasks.take(np.arange(32)), 0).scores[:, -1].mean() for n, p in policies.items()
    }
    assert means["Bayesian chemist"] > means[fixed] and means["hill climbing, remembering"] > means["random"]


def test_a_task_of_ones_own_belongs_to_its_series():
    env = gym.make(ID, **OWN, text_info=True)
    task = SeriesTask.from_ranges(env.unwrapped.batch.library, {"logp": (None, 1.5), "hbd": (0, 0)})
    assert SeriesTask.from_json(task.to_json()) == task
    env.reset(seed=0, options={"task": task})
    for site, group in enumerate(task.certificate):
        _, _, _, _, info = env.step(int(8 * site + group))
    assert info["score"] == 1 and Crippen.MolLogP(Chem.MolFromSmiles(info["smiles"])) <= 1.5
    other = gym.make(ID, scaffold=SCAFFOLD, r_groups=GROUPS[:4])
    asked = (other.unwrapped.batch.library.key, task.wanted, task.low, task.high)
    for wrong, why in (
        (task, "expected tasks of the series"),
        (SeriesTask(*asked, (9.0, 0.0)), "no molecule"),
        (SeriesTask(*asked, (0.0,)), "must have 2 numbers"),
        (SeriesTask(*asked, (3.0, 3.0)), "outside the task"),
    ):
        with pytest.raises(TaskError, match=why):
            other.reset(options={"task": wrong})
    with pytest.raises(TaskError, match="no molecule of 64 lies in all ranges"):
        SeriesTask.from_ranges(env.unwrapped.batch.library, {"mw": (None, 20)})
    with pytest.raises(TaskError, match="asks for nothing"):
        SeriesTask.from_ranges(env.unwrapped.batch.library, {})


@pytest.mark.parametrize(
    ("scaffold", "groups", "why"),
    [
        ("c1ccccc1", GROUPS, r"1 to 6 sites .*\[\*:1\].*got 0"),
        ("c1ccc([*:1])cc1[*:3]", GROUPS, r"numbered 1 to 2 .*\[\*:3\] \(atom 7\)"),
        ("c1ccc([*:1])cc1[*:1]", GROUPS, "numbered 1 to 2"),
        ("c1ccc([*:1])cc1.Cl", GROUPS, "scaffold .*several components, .* and Cl; leave out salts"),
        ("C1CC(=[*:1])CC1", GROUPS, r"expected \[\*:1\] \(atom 3\) to have one single bond"),
        ("C1CC[*:1]1", GROUPS, r"expected \[\*:1\] \(atom 3\) to have one single bond"),
        ("c1ccc([*:1])cc", GROUPS, "the scaffold: .*RDKit cannot read it.*mark open attachments"),
        ("[R1]c1ccccc1", GROUPS, r"such as \[\*:1\]"),
        ("CN(C)(C)[*:1]", GROUPS, "valence for atom # 1 N"),
        ("C[C](C)[*:1]", GROUPS, r"\[C\] \(atom 1\) is a radical"),
        ("", GROUPS, "RDKit cannot read"),
        (None, GROUPS, "expected the scaffold as a SMILES, got None"),
        (SCAFFOLD, [], "expected a list of SMILES as the R-groups for all sites"),
        (SCAFFOLD, "*C", "expected a list of SMILES as the R-groups for all sites"),
        (SCAFFOLD, {1: ["*C"]}, "for the sites 1 to 2, got them for"),
        (SCAFFOLD, {1: ["*C"], 2: ["*C"], 3: ["*C"]}, "for the sites 1 to 2"),
        (SCAFFOLD, {1: ["*C"], 2: "*C"}, "R-groups of site 2"),
        (SCAFFOLD, {1: ["*C"], 2: ["[*:1]C"]}, r"R-group 1 of site 2: \[\*:1\] \(atom 0\) .* another site"),
        (SCAFFOLD, ["*C", "C*"], "R-group 2 of site 1: 'C\\*' is there twice, as R-group 1"),
        (SCAFFOLD, ["H", "[*:1][H]"], "R-group 2 of site 1: .* is there twice"),
        (SCAFFOLD, ["C"], "R-group 1 of site 1: expected one dummy atom"),
        (SCAFFOLD, ["*C*"], "R-group 1 of site 1: expected one dummy atom"),
        (SCAFFOLD, ["*"], "R-group 1 of site 1.*dummy atom|one single bond"),
        (SCAFFOLD, ["*C", "*C.[Na+]"], r"R-group 2 of site 1 .*several components, \*C and \[Na\+\]"),
        (SCAFFOLD, ["*=O"], r"R-group 1 of site 1 .*\* \(atom 0\) to have one single bond"),
        (SCAFFOLD, ["*C", None], "R-group 2 of site 1: expected a SMILES as text, got None"),
        (SCAFFOLD, ["*" + "C" * n for n in range(1, 300)], "at most 50,000 molecules .*299 x 299 = 89,401"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(scaffold, groups, why):
    with pytest.raises(MoleculeError, match=why) as refused:
        lead_series(scaffold, groups)
    assert "\n" not in str(refused.value)


def test_scaffold_and_r_groups_belong_together():
    with pytest.raises(ValueError, match="needs both"):
        gym.make(ID, scaffold=SCAFFOLD)
    with pytest.raises(ValueError, match="steps of at least 2"):
        gym.make(ID, steps=1, **OWN)


def test_what_is_kept_and_what_is_left_out_is_said():
    series = lead_series("C[C@H]([*:1])[NH3+]", ["H", "[13CH3]*", "*/C=C/C"])
    assert list(series.texts) == ["CC[NH3+]", "C[C@H]([13CH3])[NH3+]", Chem.CanonSmiles("C/C=C/[C@@H](C)[NH3+]")]
    said = " ".join(series.notes)
    assert all(word in said for word in ("charges are kept", "stereochemistry is kept", "isotopes are kept"))
    mapped = lead_series("[CH3:7]c1ccc(*)cc1*", ["H", "*C"])
    assert mapped.texts[1] == Chem.CanonSmiles("Cc1ccccc1C")
    assert "atom maps" in mapped.notes[0] and "as they stand in the SMILES" in mapped.notes[1]
    assert lead_series(SCAFFOLD, GROUPS).notes == ()


def test_smiles_of_the_packages_libraries_are_canonical_and_without_dots():
    env = gym.make_vec(ID, num_envs=30, text_info=True, render_mode="ansi")
    _, info = env.reset(seed=0)
    tasks = env.unwrapped.tasks
    smiles = [*info["smiles"], *(task.certificate_smiles() for task in tasks.tasks())]
    assert smiles == [Chem.CanonSmiles(text) for text in smiles] and not any("." in text for text in smiles)
    dotted = notation(tasks.scaffold.astype(int), env.unwrapped.choice)
    assert [Chem.CanonSmiles(text) for text in dotted] == smiles[:30] and "%10" not in env.render()[0]
    assert libraries().group_names(0)[0] == "hydrogen or methyl"
