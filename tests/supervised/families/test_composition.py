"""Material properties: simulated laws, tables from files, and what is divided between the splits."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from metaenv.supervised import Dataset, evaluate, frozen_episodes, make_learner
from metaenv.supervised.families import make_family
from metaenv.supervised.families.alloys import AlloyProperties, alloy_systems
from metaenv.supervised.families.composition import MaterialProperties
from metaenv.supervised.families.compounds import (
    ANIONS,
    CATIONS,
    COLUMNS,
    DESCRIPTORS,
    HELD_OUT,
    SPLITS,
    CompoundProperties,
    compounds,
    property_of,
    relation_terms,
)
from metaenv.supervised.families.elements import SYMBOLS, column
from metaenv.supervised.families.formulas import formula_features, parse_formula
from metaenv.supervised.families.property_tables import held_out_elements, read_properties
from metaenv.tasks import TaskBatch

TABLES = [Path(p) for p in os.environ.get("METAENV_COMPOSITION_TABLES", "").split(os.pathsep) if p]
"""CSV files with columns formula and target, which are not part of the project."""
METALS = ("Al", "Cu", "Fe", "Mg", "Ni", "Ti", "Zr")


def write_table(path: Path, header: str = "formula,target", per_system: int = 20, kind: str = "number") -> Path:
    """Binary alloys of seven metals, 20 of each pair; y follows the mean electronegativity."""
    rows = [header]
    for i, first in enumerate(METALS):
        for second in METALS[i + 1 :]:
            for k in range(1, per_system + 1):
                formula = f"{first}{k}{second}{per_system + 1 - k}"
                mean = formula_features([formula])[0, 7]
                rows.append(f"{formula},{mean if kind == 'number' else 'glass' if mean > 1.7 else 'none'}")
    path.write_text("\n".join(rows) + "\n")
    return path


# SIMULATED


def test_compounds_are_neutral_and_anions_attract_electrons_most():
    for split in SPLITS:
        pool = compounds(split)
        assert len(set(pool.formulas)) == len(pool.formulas) > 500
        for formula in pool.formulas[::25]:
            *cations, anion = parse_formula(formula).items()
            negative = -ANIONS[anion[0]] * anion[1]
            charges = [{q * n for q in CATIONS[symbol]} for symbol, n in cations]
            sums = charges[0] if len(charges) == 1 else {a + b for a in charges[0] for b in charges[1]}
            assert negative in sums, formula
    pauling = dict(zip(SYMBOLS, column("electronegativity"), strict=True))
    # Pauling: tellurium, 2.1, is the least of the anions; nobler metals than that lie above it.
    assert min(pauling[a] for a in ANIONS) > np.median([pauling[c] for c in CATIONS])


def test_no_chemical_system_or_relation_is_in_two_splits():
    for pieces in (
        {s: {frozenset(parse_formula(f)) for f in compounds(s).formulas} for s in SPLITS},
        {s: {tuple(row) for row in alloy_systems(s).tolist()} for s in SPLITS},
        {s: {tuple(row) for row in relation_terms(s)[0].tolist()} for s in SPLITS[:3]},
    ):
        names = list(pieces)
        assert not any(pieces[a] & pieces[b] for i, a in enumerate(names) for b in names[i + 1 :])


def test_held_out_elements_are_in_the_ood_split_only():
    for split in SPLITS:
        ood = split == "ood-element"
        assert all(any(e in parse_formula(f) for e in HELD_OUT) == ood for f in compounds(split).formulas)
        held = [SYMBOLS.index(e) + 1 for e in HELD_OUT]
        assert (np.isin(alloy_systems(split), held).any(axis=1) == ood).all()


def test_laws_have_three_terms_and_unit_weight_and_noise_as_told():
    rng = np.random.default_rng(0)
    tasks = CompoundProperties().sample(200, "train", rng)
    assert ((tasks.weight != 0).sum(axis=1) == 3).all()
    assert (tasks.weight**2).sum(axis=1) + tasks.bend**2 == pytest.approx(np.ones(200))
    pool = compounds("train")
    clean = property_of(tasks, np.broadcast_to(pool.descriptors, (200, *pool.descriptors.shape)))
    assert clean.var(axis=1).mean() == pytest.approx(1, rel=0.25)  # descriptors are correlated
    # The same compounds measured again differ by the noise, with twice its variance.
    some, size = tasks.take(slice(0, 20)), len(pool.formulas)
    again = [CompoundProperties().labelled(some, size, np.random.default_rng(s)) for s in (1, 2)]
    ordered = [np.take_along_axis(a.y, np.argsort(a.x[..., COLUMNS[0]] + a.x[..., -2], axis=1), axis=1) for a in again]
    spread = np.median(np.abs(ordered[0] - ordered[1]), axis=1) / 0.6745 / np.sqrt(2)
    assert spread == pytest.approx(tasks.noise[:20], rel=0.2)


def test_a_law_by_hand():
    weight = np.zeros((1, len(DESCRIPTORS)))
    weight[0, [0, 6]] = 0.6, 0.4
    tasks = TaskBatch(CompoundProperties.task_type, {"weight": weight, "peak": [0.5], "bend": [0.3], "noise": [0.1]})
    z = np.zeros((1, 1, len(DESCRIPTORS)))
    z[0, 0, [0, 6]] = 2.0, -1.0
    assert property_of(tasks, z) == pytest.approx(0.6 * 2 - 0.4 - 0.3 * ((-1.5) ** 2 - 1 - 0.25) / np.sqrt(2))


def test_alloys_depart_from_mixing_by_the_products_of_their_shares():
    """Without interactions and with one, of the first two metals: the difference is 4 x1 x2."""
    metals = np.array([[22.0, 26.0, 28.0]])  # Ti, Fe, Ni
    made = [
        TaskBatch(AlloyProperties.task_type, {"metals": metals, "interaction": [[omega, 0.0, 0.0]], "noise": [0.0]})
        for omega in (0.0, 4.0)
    ]
    plain, excess = (AlloyProperties().labelled(t, 50, np.random.default_rng(3)) for t in made)
    x = np.random.default_rng(3).dirichlet(np.ones(3), (1, 50))
    assert excess.y - plain.y == pytest.approx(4 * x[..., 0] * x[..., 1])
    assert plain.x[0, :, COLUMNS[0]] == pytest.approx(x[0] @ column("weight")[[21, 25, 27]])


@pytest.mark.parametrize("family", [CompoundProperties(), AlloyProperties()])
def test_noise_lies_evenly_between_its_ends(family):
    noise = family.sample(2_000, "train", np.random.default_rng(5)).noise
    assert noise.min() == pytest.approx(0.1, abs=0.002) and noise.max() == pytest.approx(0.4, abs=0.002)
    assert noise.mean() == pytest.approx(0.25, abs=0.01)


def test_a_learned_metric_beats_the_mean_and_a_fit_to_the_task_on_new_laws():
    family = make_family("material-properties")
    train, test = family.episodes("train", 10, 20), frozen_episodes(family.episodes("test", 10, 20, seed=1), 100)
    learners = {n: make_learner(n, train.problem) for n in ("prototypical", "nearest-centroid", "linear")}
    for learner in learners.values():
        learner.meta_fit(train, 80)
    report = evaluate(learners, test)
    assert report.difference("prototypical", "nearest-centroid", "rmse").high < 0
    assert report.difference("prototypical", "linear", "rmse").high < 0


# TABLES


def test_tasks_by_system_and_the_elements_held_out(tmp_path: Path):
    family = MaterialProperties(write_table(tmp_path / "t.csv"), by="system", least=15)
    systems = {}
    for split in family.splits:
        source = family.source(split, "regression", 0)
        assert isinstance(source, Dataset)
        systems[split] = set(source.groups.tolist())
    assert not any(systems[a] & systems[b] for a in systems for b in systems if a != b)
    batch = family.episodes("test", 5, 6).draw(4)
    assert batch.support_x.shape == (4, 5, 93) and set(batch.task_ids) <= systems["test"]
    seen = {e for s in ("train", "validation", "test") for name in systems[s] for e in name.split("-")}
    if "ood-element" in systems:
        assert all(set(name.split("-")) - seen for name in systems["ood-element"])


def test_elements_that_are_rare_enough_are_held_out(tmp_path: Path):
    path = write_table(tmp_path / "t.csv")
    path.write_text(path.read_text() + "".join(f"Fe{k}Gd{21 - k},{k}.5\n" for k in range(1, 21)))
    family = MaterialProperties(path, by="system", least=15)
    source = family.source("ood-element", "regression", 0)
    assert isinstance(source, Dataset) and set(source.groups.tolist()) == {"Fe-Gd"}


def test_fifteen_in_a_hundred_compositions_at_most_have_an_element_that_is_held_out():
    """Oxides of iron; gadolinium is in exactly 15 of the 100, or in one more."""
    for rows, held in ((15, ["Gd"]), (16, [])):
        share = np.zeros((100, len(SYMBOLS)))
        share[:, [SYMBOLS.index("O"), SYMBOLS.index("Fe")]] = 0.4
        share[:rows, SYMBOLS.index("Gd")] = 0.2
        assert [SYMBOLS[i] for i in held_out_elements(share)] == held


def test_properties_are_tasks_and_new_in_tests_if_there_are_several(tmp_path: Path):
    rng = np.random.default_rng(0)
    rows = [f"Fe{k}O{j}," + ",".join(f"{v:.3f}" for v in rng.normal(size=4)) for k in range(1, 8) for j in range(1, 9)]
    path = tmp_path / "several.csv"
    path.write_text("formula,gap,modulus,density,price\n" + "\n".join(rows) + "\n")
    family = MaterialProperties(path, least=20)
    held = {s: set(family.source(s, "regression", 0).groups.tolist()) for s in family.splits}  # type: ignore[union-attr]
    assert family.splits == ("train", "validation", "test") and sum(map(len, held.values())) == 4
    with pytest.raises(ValueError, match="choose by target"):
        MaterialProperties(path, by="system")
    one = read_properties(path, target="gap")
    assert set(one.names.tolist()) == {"gap"} and len(one) == len(
        {Fraction(k, j) for k in range(1, 8) for j in range(1, 9)}
    )


def test_classes_in_words_are_told_apart_over_systems_not_seen(tmp_path: Path):
    family = MaterialProperties(write_table(tmp_path / "t.csv", kind="word"))
    assert family.kinds == ("classification",) and family.ways == 2
    batch = family.episodes("test", 5, 6).draw(3)
    assert set(batch.task_ids.ravel().tolist()) == {"glass", "none"}
    groups = [set(family.source(s, "classification", 0).groups.tolist()) for s in ("train", "test")]  # type: ignore[union-attr]
    assert not groups[0] & groups[1]


def test_numbers_can_be_classed_at_the_training_median(tmp_path: Path):
    family = MaterialProperties(write_table(tmp_path / "t.csv"))
    train = family.source("train", "classification", 0)
    assert isinstance(train, Dataset)
    assert np.mean(train.y == "below") == pytest.approx(0.5, abs=0.01)


def test_the_same_composition_twice_is_one_sample(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("formula,target\nFe2O3,1.5\nO6Fe4,2.5\nNaCl,7.25\nKCl,\n")
    table = read_properties(path)
    assert len(table) == 2 and table.numbers.tolist() == [2.0, 7.25]
    path.write_text("formula,target\nFe2O3,a\nO6Fe4,b\nFe0.4O0.6,b\nNaCl,a\n")
    assert read_properties(path).y.tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("formula,target\nFe2O3,1\nXx,2\n", "row 3, .*no element 'Xx'.*leave the row out"),
        ("formula,target\nFe2O3,1\n,2\n", "row 3, .*empty"),
        (
            "formula,target\nFe2O3,1.5\nNaCl,nan\n",
            "row 3, .*expected a finite number as target, got 'nan'",
        ),
        (
            "formula,target\nFe2O3,1.5\nNaCl,2.5\nKCl,high\n",
            "row 4, .*expected a finite number as target, got 'high'",
        ),
        ("composition,target\nFe2O3,1\n", "no column formula; it has composition, target"),
        ("", "the file is empty"),
        ("formula,target\n", "found no row"),
        ("formula,target\nFe2O3,1.5\nNaCl,2.5\n", "at least 3 chemical systems or properties"),
    ],
)
def test_bad_tables_are_refused_with_the_place(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        MaterialProperties(path)


def test_tables_that_are_too_small_or_uneven_say_what_to_lower(tmp_path: Path):
    path = write_table(tmp_path / "t.csv", per_system=4)
    with pytest.raises(ValueError, match="the largest 4; lower least"):
        MaterialProperties(path, by="system")
    with pytest.raises(ValueError, match="expected by='property'"):
        MaterialProperties(path, by="element")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="expected a CSV file"):
        MaterialProperties(tmp_path / "none.csv")
    one_class = tmp_path / "one.csv"
    one_class.write_text("formula,target\n" + "".join(f"Fe{k}{m},x\n" for k in range(1, 20) for m in METALS[3:]))
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        MaterialProperties(one_class, least=5).episodes("train", 2, 2)


def test_replicates_are_averaged_whole_numbers_too(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("formula,yield\nFe1O2,10\nFe1O2,20\nO2Fe,60\nNaCl,50\n")
    table = read_properties(path)
    assert table.numbers.tolist() == [30, 50] and table.y.tolist() == ["30", "50"] and not table.classes
    assert "2 rows repeat a composition" in table.notes[0]
    # Codes are classes, which is said; as numbers they are averaged.
    path.write_text("formula,glass\nFe1O2,0\nFe1O2,1.0\nO2Fe,1\nNaCl,0\n")
    table = read_properties(path)
    assert table.classes and table.y.tolist() == ["1", "0"] and table.numbers.tolist() == pytest.approx([2 / 3, 0])
    assert "the values 0, 1 are taken for classes; kind='regression'" in table.notes[0]
    path.write_text("formula,phase\nFe1O2,b\nFe1O2,a\n")
    assert read_properties(path).notes[0].startswith("1 compositions have several classes equally often")


def test_what_is_assumed_and_left_out_is_said(tmp_path: Path):
    path = tmp_path / "t.csv"
    text = "id;formula;gap;phase;sample no\n7;CuSO4.5H2O;2,1 eV;a;1\n3;NaCl;;b;2\n9;KCl;3,25 eV;b;3\n"
    path.write_bytes(text.encode("utf-16"))
    table = read_properties(path)
    assert table.numbers.tolist() == [2.1, 3.25] and set(table.names.tolist()) == {"gap"}
    assert table.share[0, [7, 0]].tolist() == pytest.approx([9 / 21, 10 / 21])  # O and H
    for said in (
        "';'", "formulas such as CuSO4.5H2O", "column id tells rows apart", "column sample no",
        "decimal comma",
        "unit 'eV'", "1 empty cells of gap", "phase: words among columns of numbers",
    ):  # fmt: skip
        assert any(said in note for note in table.notes), said
    assert read_properties(path, target="id").numbers.tolist() == [7, 3, 9]
    with pytest.raises(ValueError, match="all numbers or all classes, got words as phase"):
        read_properties(path, target=["gap", "phase"])
    assert make_family("material-properties").notes == ()


@pytest.mark.skipif(not TABLES, reason="set METAENV_COMPOSITION_TABLES to CSV files of formulas and targets")
@pytest.mark.parametrize("path", TABLES, ids=lambda p: p.stem)
def test_real_tables_by_path(path: Path):
    family = make_family("material-properties", path=path)
    for split in family.splits:
        batch = family.episodes(split, 3, 4, seed=2).draw(2)
        assert np.isfinite(batch.support_x.numpy()).all() and batch.support_x.shape[2] == 93
