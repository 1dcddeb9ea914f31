"""The table of real data, on small files that are written here, and the tests that tell generated from real samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metaenv.cli import main
from metaenv.experiments.real_data import PROBLEMS, RealData
from metaenv.experiments.realism import _of_picture, log_intensities, realism, two_samples
from metaenv.supervised.families import make_family
from metaenv.supervised.families.grouped_table import GroupedTable
from metaenv.supervised.families.light_curve_models import FAMILIES, Pulsation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipes of twelve pairs of substrates, and two kinds of blood in 72 patients with 300 genes."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    lines = [
        f"pair {pair},{base},{ligand},{10 * pair + 20 * (base == 'b') + repeat}"
        for pair in range(12)
        for base in "abc"
        for ligand in "lmn"
        for repeat in range(5)
    ]
    (folder / "measured").mkdir()
    (folder / "measured/suzuki_edbo.csv").write_text("substrates,base,ligand,yield_percent\n" + "\n".join(lines))
    (folder / "microarray").mkdir()
    y = np.repeat([0, 1], [47, 25])
    x = np.exp(rng.normal(7 + y[:, None] * (np.arange(300) < 40), 1.0, (72, 300)))
    np.savez(folder / "microarray/golub.npz", x=x.astype(np.float32), y=y, classes=np.array(["ALL", "AML"]))
    return folder


def reproduced(data: Path, out: Path, *problems: str) -> str:
    command = ["reproduce", "real-data", "--data", str(data), "--quick", "--seeds", "1", "--problems", *problems]
    assert main([*command, "--learners", "prototypical", "knn", "--no-baselines", "--out", str(out)]) == 0
    return (out / "table.md").read_text()


def test_the_table_holds_what_the_folder_has(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metaenv.experiments.realism.TREES", 10)
    golub = PROBLEMS["golub"]
    monkeypatch.setitem(PROBLEMS, "golub", replace(golub, divisions=golub.divisions[1:2]))
    text = reproduced(data, tmp_path, "golub", "khan")
    assert "## leukaemia (Golub)" in text and "tumours" not in text
    assert "; 50 episodes, ±" in text
    stored = json.loads((tmp_path / "table.json").read_text())
    assert set(stored) == {"golub", "realism"} and stored["golub"]["n_shot"] == 2
    assert [row["what"] for row in stored["realism"]] == ["gene expression: single cells, golub's arrays"]
    with np.load(tmp_path / "golub/golub.npz") as prepared, np.load(data / "microarray/golub.npz") as given:
        np.testing.assert_allclose(prepared["x"], np.log10(given["x"].clip(100, 16_000)), rtol=1e-6)


@pytest.mark.slow  # a dozen divisions with their pictures
def test_each_pair_of_substrates_is_a_unit_and_the_same_command_goes_on(data: Path, tmp_path: Path, capsys):
    text = reproduced(data, tmp_path, "suzuki")
    assert "## Suzuki couplings, yield in %" in text and "; 12 pairs, ±" in text  # each is tested in one of four folds
    stored = json.loads((tmp_path / "table.json").read_text())
    assert stored["suzuki"]["shots"]["10"]["prototypical"]["rmse"]["estimate"] > 0
    capsys.readouterr()
    assert reproduced(data, tmp_path, "suzuki") == text
    assert "2 of 2 cells are done already" in capsys.readouterr().out


def test_a_folder_without_any_file_and_an_unknown_problem_are_refused(data: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"expected some of bccd/bccd_crops28.npz, .* found none"):
        RealData(data=tmp_path, out=tmp_path / "out").run()
    with pytest.raises(ValueError, match=r"no problem 'suzuky'\. Did you mean 'suzuki'"):
        RealData(data=data, problems=("suzuky",)).run()


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem.family == "table"])
def test_no_feature_is_measured_together_with_the_target(name: str, tmp_path: Path):
    columns = {
        "suzuki": ("substrates", "base", "ligand", "solvent", "yield_percent"),
        "suzuki-flow": ("case", "ligand", "res_time", "temperature", "catalyst_loading", "yield", "turnover"),
        "lipids": (
            "solid_lipid", "drug_input", "solid_lipid_input", "liquid_lipid_input", "surfractant_input",
            "drug_loading", "encap_efficiency", "particle_diameter",
        ),
        "crystals": ("organic", "solvent", "reaction_temperature", "crystal_score"),
    }[name]  # fmt: skip
    problem, rng = PROBLEMS[name], np.random.default_rng(0)
    rows = [[f"group {i // 40}", *rng.random(len(columns) - 1).round(3).astype(str)] for i in range(200)]
    if name == "crystals":
        for i, row in enumerate(rows):
            row[-1] = ("large_crystallites", "clear")[i % 2]
    (tmp_path / "table.csv").write_text("\n".join(map(",".join, [columns, *rows])))
    known = make_family("table", data=str(tmp_path / "table.csv"), **problem.options, **problem.divisions[0])
    measured = {"turnover", "drug_loading", "particle_diameter", problem.options["target"]}
    assert isinstance(known, GroupedTable) and known.columns is not None
    assert set(known.columns) == {*columns[1:]} - measured


def test_each_kind_of_tumour_is_new_in_half_of_the_divisions():
    pairs = [set(division["hold_out"]) for division in PROBLEMS["khan"].divisions]
    assert len(pairs) == 6 and len({frozenset(pair) for pair in pairs}) == 6
    assert all(sum(kind in pair for pair in pairs) == 3 for kind in ("BL", "EWS", "NB", "RMS"))


# TWO-SAMPLE TESTS


def test_a_classifier_cannot_tell_samples_of_the_same_distribution_and_tells_others():
    """Two normals a distance d apart have an AUROC of Phi(d / sqrt(2)): 0.92 at d = 2."""
    rng = np.random.default_rng(1)
    a, b, far = rng.normal(size=(400, 3)), rng.normal(size=(500, 3)), rng.normal([2.0, 0, 0], 1, (400, 3))
    same, other = two_samples(a, b, rng), two_samples(a, far, rng)
    assert same["tested"] == other["tested"] == 400
    assert abs(same["auroc"] - 0.5) < 0.08 and abs(same["accuracy"] - 0.5) < 0.08
    assert abs(other["auroc"] - 0.92) < 0.04
    apart = two_samples(a, a + 100, rng)
    assert apart["auroc"] == apart["accuracy"] == 1.0


def test_what_is_said_of_a_picture_and_of_intensities():
    red, stripes = np.zeros((1, 3, 4, 4)), np.zeros((1, 3, 4, 4))
    red[:, 0], stripes[..., 1::2] = 1, 1
    assert [float(v[0]) for v in _of_picture(red).values()] == pytest.approx([1 / 3, 0, 0, 0])
    assert [float(v[0]) for v in _of_picture(stripes).values()] == pytest.approx([0.5, 0.5, 0, 1])
    assert log_intensities(np.array([-5.0, 100.0, 1000.0, 9e9])).tolist() == pytest.approx([2, 2, 3, 4.20412])


def test_stars_as_the_generator_draws_them_are_not_told_from_a_catalogue_of_such(tmp_path: Path):
    """A table of Cepheids that were drawn by the generator, with other seeds, instead of OGLE's."""
    model = next(f.model for f in FAMILIES if f.name == "Cepheid F")
    assert isinstance(model, Pulsation)
    stars = model.parameters(np.random.default_rng(3).random((300, 8)))
    rows = [f"Cep,F,{p},{a},{r2},{f2},{r3},{f3}" for p, a, r2, r3, f2, f3 in stars] + ["Cep,F,1,1,0.1,-99.99,0.1,2"]
    (tmp_path / "astro").mkdir()
    head = "type,subtype,period_day,amplitude_I_mag,R21,phi21,R31,phi31"
    (tmp_path / "astro/ogle3_fourier_sample.csv").write_text("\n".join([head, *rows]))
    found = realism(tmp_path)
    told = [row for row in found.values if row["tested"]]
    assert [row["what"] for row in told] == ["light curves: Cepheid F, OGLE-III"] and told[0]["tested"] == 300
    assert abs(told[0]["auroc"] - 0.5) < 0.1
    assert realism(tmp_path / "astro").lines == []


def test_a_period_is_in_days_and_an_amplitude_in_magnitudes():
    """The uniform number 0.5 is the mean of every parameter: 10 ** 0.48 = 3.02 days, 10 ** -0.33 = 0.468 mag."""
    model = next(f.model for f in FAMILIES if f.name == "Cepheid F")
    assert isinstance(model, Pulsation)
    np.testing.assert_allclose(
        model.parameters(np.full((1, 8), 0.5)), [[3.01995, 0.46774, 0.444, 0.241, 4.53, 2.75]], rtol=1e-4
    )
