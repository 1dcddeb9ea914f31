"""A chemistry of one's own: mined from a file, played, and nothing of the package touched."""

import gzip
import hashlib
import json
import pickle
import shutil
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import QED, rdFingerprintGenerator
from rdkit.DataStructs import TanimotoSimilarity

from metaenv.cli import main
from metaenv.errors import TaskError
from metaenv.molecules.build import build_data, mine
from metaenv.molecules.build.coverage import coverage, read_molecules
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import OWN, load_chemistry
from metaenv.molecules.chem.fragmentation import MoleculeError, cut, standardise
from metaenv.molecules.chem.fragments import DATA, load_vocabulary
from metaenv.molecules.chem.functional_groups import GROUPS
from metaenv.molecules.chem.properties import by_smiles, properties_of
from metaenv.molecules.chem.property_tables import Tabulator, load_property_tables
from metaenv.molecules.chem.scoring import GROUP_PENALTY
from metaenv.molecules.chem.smiles import parse, to_smiles
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.objective_splits import objectives
from metaenv.molecules.design.profiles import ProfileDistribution
from metaenv.molecules.design.tasks import VARIANTS, MoleculeDistribution, MoleculeTask
from metaenv.molecules.lead.env import LeadOptimizationVectorEnv
from metaenv.molecules.lead.tasks import LeadTask
from metaenv.molecules.reference_molecules import real_molecules, real_sequences
from metaenv.registry import task_from_json
from metaenv.tasks import TaskBatch


def package_hash():
    digest = hashlib.sha256()
    for path in sorted(path for path in DATA.rglob("*") if path.is_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


BEFORE = package_hash()
PATTERNS = {name: Chem.MolFromSmarts(smarts) for name, smarts in GROUPS.items()}
OPTIONS = ["--fragments", "25", "--placements", "12", "--heavy-atoms", "34", "--least", "50", "--held-out", "40"]
RARE = "*S(C)=O"  # a sulfoxide, which one reference molecule has


def some_molecules():
    """Real molecules of few kinds of fragments."""
    common = replay(real_sequences()).fragment.max(axis=1) < 24
    return to_smiles(real_sequences()[common])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, capfd_module):
    """A chemistry by the command line, of small evaluation pools; what it said is kept beside it."""
    here = tmp_path_factory.mktemp("chemistry")
    (here / "my.smi").write_text("\n".join([*some_molecules(), "CCO", "c1ccccc1C[N+](C)(C)C", "?"]) + "\n")
    (here / "references.smi").write_text("\n".join([*some_molecules(), "CS(=O)c1ccccc1"]) + "\n")
    more = ["--references", str(here / "references.smi"), "--include", RARE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_data, "POOL_SIZE", 128)
        patch.setattr("metaenv.molecules.build.progress.EVERY", 0.0)
        made = main(
            ["molecules", "mine", "--molecules", str(here / "my.smi"), "--out", str(here / "own"), *OPTIONS, *more]
        )
    said = capfd_module.readouterr()
    assert made == 0, said.err
    (here / "said.txt").write_text(said.out + said.err)
    return here / "own"


@pytest.fixture(scope="module")
def capfd_module():
    """Captured output for a fixture of the module."""
    import io
    from contextlib import redirect_stderr, redirect_stdout
    from types import SimpleNamespace

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        yield SimpleNamespace(readouterr=lambda: SimpleNamespace(out=out.getvalue(), err=err.getvalue()))


def test_mining_says_how_far_it_is_and_what_it_covers(folder):
    said = (folder.parent / "said.txt").read_text()
    assert "[1/8] cut molecules" in said and "s left" in said and "[8/8] coverage" in said
    known = json.loads((folder / "provenance.json").read_text())
    told, smiles = known["coverage"], (folder.parent / "my.smi").read_text().split()
    assert known["molecules_read"] == len(smiles) - 40 and known["include"] == [RARE]
    smiles = [smiles[i] for i in np.random.default_rng(known["seed"]).permutation(len(smiles))[:40]]
    assert told["molecules"] == len(smiles) and told["held_out"]
    vocabulary = load_chemistry(folder).vocabulary
    really = 0
    for text in smiles:
        try:
            really += to_smiles(parse(text, vocabulary)[None], vocabulary) == [text]
        except MoleculeError:
            continue
    assert told["built"] == really > 30
    assert f"{really:,} of {len(smiles):,} molecules" in said
    assert [p.name for p in folder.parent.iterdir() if "tmp" in p.name] == []


def test_its_numbers_are_its_own_and_its_properties_are_rdkits(folder):
    known = load_chemistry(folder)
    v, real = known.vocabulary, real_molecules(known)
    assert (v.n_fragments, v.max_actions, v.max_heavy_atoms, v.cuts) == (25, 12, 34, "rings")
    assert v.smiles[-1] == "[1*]S(C)=O" and v.count[-1] == 1
    assert to_smiles(parse("Cc1ccc(S(C)=O)cc1", v)[None], v) == ["Cc1ccc(S(C)=O)cc1"]
    assert real.actions.shape[1] == 12 and real.actions.max() < v.n_actions
    exact = np.array([by_smiles(text) for text in to_smiles(real.actions[:60], v)])
    np.testing.assert_allclose(real.values[:60], exact, atol=1e-9)
    np.testing.assert_allclose(known.centre, real.values.mean(axis=0), rtol=0.01)
    for j, bins in enumerate(known.bins):
        inside = np.mean([(bins[0][0] <= x <= bins[-1][1]) for x in real.values[:, j]])
        assert inside > 0.9 and all(low <= high for low, high in bins), known.bins[j]
    assert known.bins != OWN.bins and set(known.groups) <= set(OWN.groups)


def test_brics_cuts_more_bonds_than_rings_do():
    mol = standardise("CCOc1ccc(CC(=O)NCCN2CCCC2)cc1")
    rings, brics = ([p.smiles for p in cut(mol, cuts)] for cuts in ("rings", "brics"))
    assert len(brics) > len(rings) and "*N*" in brics and "*N*" not in rings


@pytest.mark.parametrize("variant", VARIANTS)
def test_frozen_objectives_of_its_own_are_met_by_their_certificates(folder, variant):
    distribution = MoleculeDistribution(variant, chemistry=load_chemistry(folder))
    split = "ood-combination" if distribution.manifest()["ood-combination"]["tasks"] else "test"
    tasks = distribution.frozen(split).tasks.take(np.arange(20))
    env = MoleculeDesignVectorEnv(len(tasks), variant=variant, chemistry=str(folder))
    played = build(env, tasks.certificate.astype(int), tasks)
    np.testing.assert_allclose(played["score"], 1, atol=1e-9)
    assert env.single_observation_space.shape[0] == played["obs"].shape[1]


def test_profiles_of_its_own_are_met_by_their_certificates(folder, tmp_path):
    family = ProfileDistribution(load_chemistry(folder))
    tasks = family.frozen("test").tasks.take(np.arange(20))
    env = MoleculeDesignVectorEnv(20, chemistry=str(folder))
    assert env.variant == "profile" and env.distribution == family
    np.testing.assert_allclose(build(env, tasks.certificate.astype(int), tasks)["score"], 1, atol=1e-6)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "references.npz").unlink()  # as in a chemistry that was mined before there were profiles
    changed(copy, "facts.npz", unused=np.zeros(1))  # another digest, so that nothing is remembered
    drawn = ProfileDistribution(load_chemistry(copy)).draw_list("test")
    np.testing.assert_allclose(drawn.matrix()[:20], tasks.matrix(), atol=2e-6)


def test_tasks_of_its_own(folder):
    env = gym.make("metaenv:metaenv/MoleculeDesign-v1", chemistry=str(folder))
    kind = env.unwrapped.distribution.task_type
    task = kind.from_ranges({"logp": (1, 4), "aromatic_rings": (1, 2)})
    env.reset(seed=0, options={"task": task})
    assert kind.from_json(task.to_json()) == task == task_from_json(task.to_json()) == pickle.loads(pickle.dumps(task))
    assert by_smiles(task.certificate_smiles())[1] == pytest.approx(task.certificate_properties()[1])
    with pytest.raises(TaskError, match="family"):
        MoleculeTask.from_json(task.to_json())
    with pytest.raises(TaskError):
        env.reset(options={"task": MoleculeTask.from_ranges({"logp": (1, 4)})})
    lacking = next(
        s for s in to_smiles(real_sequences()[:50]) if coverage(load_chemistry(folder).vocabulary, [s]).missing
    )
    with pytest.raises(MoleculeError, match="not in the vocabulary"):
        kind.from_ranges({"logp": (1, 4)}, certificate=lacking)


def test_the_baselines_play_it(folder):
    env = MoleculeDesignVectorEnv(2, chemistry=str(folder), variant="windows-3")
    from metaenv.trial import make_trials

    trials = make_trials("MoleculeDesign", 2, chemistry=str(folder), variant="windows-3")
    for policy in env.baselines().values():
        observation, _ = trials.reset(seed=0)
        policy.start(trials, np.random.default_rng(0))
        for _ in range(30):
            action = policy.act(observation)
            observation, _, _, _, _ = trials.step(action)
            policy.observe(action, trials.trial_state.last_reward.copy())


def changed(folder, name, **arrays):
    with np.load(folder / name) as file:
        np.savez_compressed(folder / name, **{**dict(file), **arrays})


def test_molecules_that_are_hard_to_make_certify_nothing(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    n = len(real_molecules(load_chemistry(folder)))
    changed(copy, "facts.npz", anchor_feasible=np.arange(n) % 2 == 0)
    known = load_chemistry(copy)
    refused = {row.tobytes() for row in real_molecules(known).actions[1::2]}
    certificates = objectives("windows-3", "train", known)["certificate"].astype(np.int16)
    assert len(certificates) > 100 and not refused & {row.tobytes() for row in certificates}
    with pytest.raises(TaskError, match="not the one that was frozen; mine the chemistry again"):
        MoleculeDistribution(chemistry=known).frozen("test")


def test_lead_optimisation_needs_enough_r_groups(folder):
    with pytest.raises(ValueError, match=r"31 fragments with one, and the chemistry .* more --fragments"):
        gym.make("metaenv:metaenv/LeadOptimization-v0", chemistry=str(folder))


@pytest.mark.parametrize("kind", [partial(MoleculeDesignVectorEnv, variant="windows-3"), LeadOptimizationVectorEnv])
def test_a_copy_of_the_packages_chemistry_plays_as_the_package_does(kind, tmp_path):
    copy = shutil.copytree(DATA, tmp_path / "copy")
    envs = kind(6), kind(6, chemistry=str(copy))
    seen = [env.reset(seed=3) for env in envs]
    rng = np.random.default_rng(0)
    for _ in range(12):
        np.testing.assert_array_equal(seen[0][0], seen[1][0])
        mask = seen[0][1]["action_mask"]
        np.testing.assert_array_equal(mask, seen[1][1]["action_mask"])
        action = np.argmax(rng.random(mask.shape) * mask, axis=1)
        steps = [env.step(action) for env in envs]
        np.testing.assert_array_equal(steps[0][1], steps[1][1])
        seen = [(step[0], step[4]) for step in steps]
    assert load_chemistry(DATA) is OWN


def test_neighbours_beyond_sight_make_no_difference():
    """Classes of neighbours were once told apart by measuring every one of them: the package's tables are of then."""
    v = load_vocabulary()
    known, tabulator = load_property_tables(v), Tabulator(v)
    ends = np.append(known.base, len(known.values))
    for f in (0, 1):
        table = tabulator.of(f)
        np.testing.assert_array_equal(table.local, known.local[f])
        np.testing.assert_array_equal([row for row, _ in table.rows], known.values[ends[f] : ends[f + 1]])


# WHAT MAY BE WRONG


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mine, "choose", stop)
    (tmp_path / "my.smi").write_text("Cc1ccccc1\n")
    status = main(["molecules", "mine", "--molecules", str(tmp_path / "my.smi"), "--out", str(tmp_path / "own")])
    assert status == 130 and [p.name for p in tmp_path.iterdir()] == ["my.smi"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shutil.rmtree(f), "there is none at"),
        (lambda f: (f / "facts.npz").unlink(), "lacks facts.npz"),
        (lambda f: (f / "contexts.npz").write_bytes(b"?"), "damaged"),
        (lambda f: (f / "chemistry.json").write_text("{}"), "damaged"),
        (lambda f: (f / "fragments.csv").write_text("smiles\nC\n"), "damaged"),
        (lambda f: shutil.copy(DATA / "contexts.npz", f / "contexts.npz"), "do not belong together"),
    ],
)
def test_a_broken_folder_is_refused(folder, tmp_path, spoil, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    spoil(copy)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        gym.make("metaenv:metaenv/MoleculeDesign-v1", chemistry=str(copy))


TWO = ["Cc1ccccc1", "CC(=O)c1ccccc1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.smi", b"Cc1ccccc1\nCC(=O)c1ccccc1\n"),
        ("names.smi", b"Cc1ccccc1 toluene\nCC(=O)c1ccccc1\tacetophenone\n"),
        ("header.smi", b"smiles\nCc1ccccc1\nCC(=O)c1ccccc1"),
        ("windows.smi", b"Cc1ccccc1\r\nCC(=O)c1ccccc1\r\n\r\n"),
        ("comment.smi", b"# mine\nCc1ccccc1\nCC(=O)c1ccccc1\n"),
        ("mark.smi", b"\xef\xbb\xbfCc1ccccc1\nCC(=O)c1ccccc1\n"),
        ("wide.txt", "Cc1ccccc1\nCC(=O)c1ccccc1\n".encode("utf-16")),
        ("latin.smi", b"Cc1ccccc1 tolu\xe8ne\nCC(=O)c1ccccc1\n"),
        ("twice.smi", b"Cc1ccccc1\nCC(=O)c1ccccc1\nCc1ccccc1\n"),
        ("table.csv", b"id,SMILES\n1,Cc1ccccc1\n2,CC(=O)c1ccccc1\n"),
        ("table.tsv", b"canonical_smiles\tid\nCc1ccccc1\t1\nCC(=O)c1ccccc1\t2\n"),
        ("semicolon.csv", b"id;smiles\n1;Cc1ccccc1\n2;CC(=O)c1ccccc1\n3;\n"),
        ("packed.smi.gz", gzip.compress(b"Cc1ccccc1\nCC(=O)c1ccccc1\n", mtime=0)),
        ("packed.csv.gz", gzip.compress(b"smiles\nCc1ccccc1\nCC(=O)c1ccccc1\n", mtime=0)),
    ],
)
def test_files_that_are_read(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    found, _, notes = read_molecules(tmp_path / name)
    said = {"latin.smi": "Windows-1252", "twice.smi": "repeat a SMILES", "table.tsv": r"'\t'", "semicolon.csv": "';'"}
    assert found == TWO and (said[name] in notes[0] if name in said else not notes)


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("none.smi", None, [], "there is none at"),
        ("empty.smi", b"", [], "there is none"),
        ("blank.smi", b"\n \n", [], "there is none"),
        ("binary.smi", b"\x00\x01\x02", [], "row 1: contains a NUL"),
        ("broken.smi.gz", b"\x1f\x8b\x08", [], "gzip archive is cut short or damaged"),
        ("wheel.whl", b"PK", [], "expected a wheel"),
        ("table.csv", b"id,name\n1,toluene\n", [], "no column ends in smiles; it has id, name; name it smiles"),
        ("words.smi", b"these\nare\nno\nmolecules\n", [], "no ring that is fit"),
        ("chains.smi", b"CCO\nCCCC\n", [], "no ring that is fit"),
        ("few.smi", b"Cc1ccccc1\nCC(=O)c1ccccc1\n", [], r"(?s)expected at least 200 molecules.*can be built"),
        ("few.smi", b"Cc1ccccc1\n", ["--fragments", "3"], "--fragments from 8"),
        ("few.smi", b"Cc1ccccc1\n", ["--placements", "2"], "--placements from 3"),
        ("few.smi", b"Cc1ccccc1\n", ["--heavy-atoms", "1000"], "--heavy-atoms from 6"),
        ("few.smi", b"Cc1ccccc1\n", ["--limit", "0"], "--limit from 1"),
        ("few.smi", b"Cc1ccccc1\n", ["--workers", "0"], "workers of at least 1"),
        ("few.smi", b"Cc1ccccc1\n", ["--groups", "groups.csv"], "8 to 32"),
        ("few.smi", b"Cc1ccccc1\n", ["--groups", "wrong.csv"], "row 2: expected a name and a SMARTS"),
        ("few.smi", b"Cc1ccccc1\n", ["--groups", "columns.csv"], "columns name and smarts"),
        ("few.smi", b"Cc1ccccc1\n", ["--out", "full"], "a new or an empty folder"),
    ],
)
def test_files_and_options_that_are_refused(name, content, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    (tmp_path / "groups.csv").write_text("name,smarts\nnitrile,C#N\n")
    (tmp_path / "wrong.csv").write_text("name,smarts\nnitrile,C#(\n")
    (tmp_path / "columns.csv").write_text("group,pattern\nnitrile,C#N\n")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(p.name for p in tmp_path.iterdir())
    status = main(["molecules", "mine", "--molecules", name, "--out", "own", *options])
    said = capsys.readouterr().err
    assert status == 2, said
    with pytest.raises(ValueError, match=message):
        raise ValueError(said)
    assert sorted(p.name for p in tmp_path.iterdir()) == before, "nothing is left behind"


def test_an_objective_with_terms_on_it(folder):
    known = load_chemistry(folder)
    kind = MoleculeDistribution(chemistry=known).task_type
    name = list(known.groups)[-1]
    certificate = next(s for s in some_molecules() if Chem.MolFromSmiles(s).HasSubstructMatch(PATTERNS[name]))
    lead = "COc1ccc(CC(=O)N2CCOCC2)cc1"
    task = kind.from_ranges({"qed": (0.4, None)}, name, "[Br,I]", lead=lead, similarity=0.3, softness={"qed": 0.05})
    assert task.required == len(known.groups) - 1 and task_from_json(task.to_json()) == task
    met = Chem.MolFromSmiles(task.certificate_smiles())
    assert QED.qed(met) >= 0.4 and met.HasSubstructMatch(PATTERNS[name])
    with pytest.raises(TaskError, match=r"does not score 1.* similarity .* to COc1ccc"):
        kind.from_ranges({"mw": (0, 900)}, name, lead=lead, similarity=1.0, certificate=certificate)
    real = real_molecules(known)
    chosen = real.actions[np.flatnonzero(real.feasible)[:40]]
    env = MoleculeDesignVectorEnv(len(chosen), chemistry=str(folder), variant="windows-3")
    played = build(env, chosen.astype(int), TaskBatch.from_tasks([task] * len(chosen)))
    fingerprint = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024).GetFingerprint
    for score, smiles in zip(played["score"], played["smiles"], strict=True):
        mol = Chem.MolFromSmiles(smiles)
        alike = TanimotoSimilarity(*map(fingerprint, (mol, Chem.MolFromSmiles(lead))))
        flank = np.exp(-0.5 * (max(0.4 - QED.qed(mol), 0) / 0.05) ** 2)
        faults = (not mol.HasSubstructMatch(PATTERNS[name])) + mol.HasSubstructMatch(Chem.MolFromSmarts("[Br,I]"))
        assert score == pytest.approx(min(alike / 0.3, 1) * flank * GROUP_PENALTY**faults, rel=1e-6)
    assert len(set(played["score"].round(3))) > 10


def test_a_function_of_ones_own_scores_its_molecules(folder):
    asked = []

    def score(smiles):
        asked.extend(smiles)
        return [Chem.MolFromSmiles(text).GetNumAtoms() / 34 for text in smiles]

    known = load_chemistry(folder)
    chosen, tasks = real_molecules(known).actions[:10], MoleculeDistribution(chemistry=known).frozen("test").tasks
    env = MoleculeDesignVectorEnv(10, chemistry=known, score=score, max_oracle_calls=3, variant="windows-3")
    played = build(env, chosen.astype(int), tasks.take(np.arange(10)))
    assert played["smiles"].tolist() == to_smiles(chosen, known.vocabulary)
    assert set(played["smiles"]) <= set(asked) and len(asked) == len(set(asked))
    np.testing.assert_allclose(played["score"], score(played["smiles"]))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (MoleculeDesignVectorEnv, {"variant": "assay"}, "variant 'assay' has the chemistry 'zinc'"),
        (MoleculeDesignVectorEnv, {"assay_data": "my.csv"}, "measurements are for variant 'assay'"),
        (LeadOptimizationVectorEnv, {"scaffold": "*c1ccccc1", "r_groups": ["H", "*C"]}, "expected not both"),
    ],
)
def test_what_goes_with_no_chemistry_of_ones_own(folder, kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(chemistry=str(folder), **options)


def test_leads_of_another_chemistry_are_its_own(tmp_path):
    copy = shutil.copytree(DATA, tmp_path / "copy")
    settings = json.loads((copy / "chemistry.json").read_text())
    settings["spread"][0] /= 1000
    (copy / "chemistry.json").write_text(json.dumps(settings))
    env = LeadOptimizationVectorEnv(4, chemistry=str(copy))
    kind = env.distribution.task_type
    task = kind.from_ranges(env.library.smiles[0], {"mw": (150, 250)})
    assert env.library.chemistry == load_chemistry(copy) and env.distribution.all_tasks("test").task_type is kind
    assert kind.family != LeadTask.family and "." not in task.certificate_smiles()
    assert task_from_json(task.to_json()) == task
    seen, _ = env.reset(seed=0, options={"task": task})
    assert env.single_observation_space.contains(seen[0]) and np.abs(seen[:, env.layout.properties]).max() == 10
    assert [by_smiles(s)[0] for s in env.smiles()] == pytest.approx(env._properties[:, 0])
    with pytest.raises(TaskError):
        env.reset(options={"task": LeadTask.from_ranges(env.library.smiles[0], {"mw": (150, 250)})})


def test_an_agent_learns_on_it(folder, tmp_path):
    run = tmp_path / "run"
    args = ["--steps", "40", "--num-envs", "4", "--agent.network.hidden-size", "8", "--verbose", "1"]
    args += ["--settings", "chemistry", str(folder), "--out", str(run)]
    assert main(["train", "rl2", "MoleculeDesign", *args]) == 0
    assert str(folder) in (run / "config.json").read_text()


def test_nothing_of_the_package_was_changed(folder):
    assert properties_of(real_sequences()[:2]).shape == (2, 7) and package_hash() == BEFORE
