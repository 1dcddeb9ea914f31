"""Light curves: known formulas, what is stored, and files in PLAsTiCC's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaenv.supervised.families import light_curve_light, light_curve_models
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.supervised.families.light_curve_survey import (
    FEATURES,
    N_CHANNELS,
    N_VISITS,
    SHALLOW,
    WIDE,
    Photometry,
    features,
    sequences,
    simulate,
)
from metaenv.supervised.families.light_curves import LightCurves
from metaenv.supervised.families.plasticc import read_plasticc
from metaenv.supervised.families.rare_transients import RareTransients, families_of


def numbers(name: str) -> int:
    return next(i for i, family in enumerate(FAMILIES) if family.name == name)


def test_microlensing_at_one_einstein_radius_gives_1_34():
    """A(u = 1) = 3 / sqrt 5 (Paczynski 1986)."""
    visits = light_curve_light.Visits(np.array([[0.0, 450.0, 900.0]]), np.full((1, 3), 2), 900.0, 24.0)
    unit = np.full((1, light_curve_light.N_UNIT), 0.5)
    unit[0, 1], unit[0, 2], unit[0, 3] = 1.0, (0.5 + 0.1) / 1.1, 1.0  # u0 = 1, the peak at 450 days, no blend
    light = light_curve_models.microlensing(unit, visits, np.random.default_rng(0))
    assert light.flux[0, 1] / light.constant[0, 1] + 1 == pytest.approx(3 / np.sqrt(5), rel=1e-6)
    assert abs(light.flux[0, 0] / light.constant[0, 0]) < 1e-4


def test_distances_are_those_of_flat_cosmology():
    """z = 0.1, 0.5, 1.0 with H0 70 and Omega_m 0.3: 460.3, 2832.9, 6607.7 Mpc (Wright's calculator)."""
    modulus = 5 * np.log10(np.array([460.3, 2832.9, 6607.7])) + 25
    assert light_curve_light.redshift_of(modulus) == pytest.approx([0.1, 0.5, 1.0], rel=3e-3)


def test_supernovae_peak_where_bazin_says():
    t = np.linspace(-30, 90, 4001)[None]
    for rise, fall in ((4.0, 17.0), (5.0, 30.0)):
        light = light_curve_models.bazin(t, np.array([[rise]]), np.array([[fall]]))
        assert light.max() == pytest.approx(1.0, abs=1e-3) and abs(t[0, light.argmax()]) < 0.1


def test_blackbodies_follow_planck():
    """The Sun's 5,772 K: f_nu at 868 nm over that at 481 nm, from Planck's law with CODATA constants."""
    h, c, k = 6.62607015e-34, 299_792_458.0, 1.380649e-23
    nu = c / (np.array([868e-9, 481e-9]))
    law = nu**3 / np.expm1(h * nu / (k * 5772))
    assert light_curve_light.blackbody(np.array(868.0), np.array(5772.0)) == pytest.approx(law[0] / law[1], rel=1e-4)


def test_noise_is_calibrated_and_seasons_have_gaps():
    """A supernova's flux before it explodes is noise of the errors stated."""
    rng = np.random.default_rng(0)
    p, _ = simulate(numbers("kilonova"), rng.random((300, light_curve_light.N_UNIT)), WIDE, rng)
    assert np.median(np.abs(p.flux / p.error)) == pytest.approx(0.6745, rel=0.05)  # of a standard normal
    assert (np.diff(p.t, axis=1) >= 0).all()
    assert ((p.t % 365.25) < 181).all() and p.t.max() > 800


@pytest.mark.parametrize("survey", [WIDE, SHALLOW], ids=lambda s: s.name)
def test_every_family_is_found_and_described(survey):
    for i, family in enumerate(FAMILIES):
        rng = np.random.default_rng(i)
        p, found = simulate(i, rng.random((160, light_curve_light.N_UNIT)), survey, rng)
        assert found.mean() > (0.01 if family.name == "kilonova" else 0.4), family.name
        described, sequence = features(p), sequences(p)
        assert described.shape == (160, len(FEATURES)) and np.isfinite(described).all(), family.name
        assert sequence.shape == (160, N_CHANNELS, N_VISITS) and np.isfinite(sequence).all()
        if survey is SHALLOW:
            assert set(np.unique(p.band)) == {1, 2}


def test_features_of_a_hand_made_curve():
    """Visits in r: 0, 100, 0 with errors 1 at days 0, 10, 30."""
    p = Photometry(
        np.array([[0.0, 10.0, 30.0]]), np.full((1, 3), 2), np.array([[0.0, 100.0, 0.0]]), np.ones((1, 3)),
        np.zeros(1), np.ones((1, 3), bool),
    )  # fmt: skip
    row = dict(zip(FEATURES, features(p)[0], strict=True))
    assert row["share of detections r"] == pytest.approx(1 / 3)
    assert row["largest r"] == pytest.approx(np.arcsinh(10), rel=1e-5)
    variance = 2 / 9 * 100**2
    assert row["scatter r"] == pytest.approx(np.log10(variance) / 2, rel=1e-4)
    assert row["roughness r"] == pytest.approx(100**2 / variance, rel=1e-4) or row["roughness r"] == 4.0
    assert row["share of detections g"] == 0
    assert row["detections"] == 0 and row["positive detections"] == 1


def test_whole_families_are_held_out():
    parts = [set(families_of(split)) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(FAMILIES) == 21


def test_rare_transients_are_of_held_out_families():
    tasks = RareTransients(per_class=2, objects_of="test").sample(40, "test", np.random.default_rng(0))
    assert {FAMILIES[int(i)].name for i in tasks.rare} == {"microlensing", "tidal disruption", "kilonova"}
    assert not np.isin(tasks.common, families_of("test")).any()


def test_mixtures_refuse_objects_that_are_not_there():
    tasks = RareTransients().sample(3, "test", np.random.default_rng(0))
    with pytest.raises(ValueError, match="objects_of"):
        RareTransients(per_class=2).labelled(tasks, 8, np.random.default_rng(0))


def plasticc(folder: Path, n_classes: int = 5) -> tuple[Path, Path]:
    curves, meta = folder / "curves.csv", folder / "meta.csv"
    lines, about = ["object_id,mjd,passband,flux,flux_err,detected"], ["object_id,target,hostgal_photoz"]
    for i in range(n_classes * 4):
        about.append(f"{i},{i % n_classes},{0.1 * (i % n_classes)}")
        lines += [f"{i},{59_600 - 3 * j},{j % 6},{10 * j + i},{1 + j / 10},1" for j in range(5)]
    curves.write_text("\n".join(lines))
    meta.write_text("\n".join(about))
    return curves, meta


def test_plasticc_files_are_read_sorted(tmp_path: Path):
    photometry, targets, _, _ = read_plasticc(*plasticc(tmp_path))
    assert targets.tolist() == [str(i % 5) for i in range(20)]
    assert photometry.t[2, :5].tolist() == [0, 3, 6, 9, 12] and photometry.seen.sum(axis=1).tolist() == [5] * 20
    assert photometry.flux[2, :5].tolist() == [42, 32, 22, 12, 2] and photometry.band[2, :5].tolist() == [4, 3, 2, 1, 0]
    assert photometry.redshift[3] == pytest.approx(0.3)


def test_plasticc_files_make_a_family(tmp_path: Path):
    family = LightCurves("sequence", data=plasticc(tmp_path, 10))
    batch = family.episodes("test", 1, 2, n_way=2).draw(3)
    assert batch.support_x.shape == (3, 2, N_CHANNELS, N_VISITS)


def test_bad_files_are_refused(tmp_path: Path):
    curves, meta = plasticc(tmp_path)
    (tmp_path / "bad.csv").write_text("object_id,mjd\n1,2\n")
    with pytest.raises(ValueError, match="passband"):
        read_plasticc(tmp_path / "bad.csv", meta)
    (tmp_path / "text.csv").write_text(curves.read_text() + "\n0,abc,1,2,3,1")
    with pytest.raises(ValueError, match="expected numbers"):
        read_plasticc(tmp_path / "text.csv", meta)
    with pytest.raises(ValueError, match="sequence"):
        LightCurves("pictures")  # type: ignore[arg-type]


CURVES, OBJECTS = (
    "object_id,mjd,passband,flux,flux_err\n1,59000,0,10,1\n",
    "object_id,target,hostgal_photoz\n1,90,0.5\n",
)


@pytest.mark.parametrize(
    ("curves", "objects"),
    [
        (CURVES, OBJECTS.replace("\n1", "\n       1")),
        (CURVES.replace("\n1,", "\n1.0,"), OBJECTS),
        ("\ufeff" + CURVES, "\ufeff" + OBJECTS),
        (CURVES.replace(",", ", "), OBJECTS.replace(",", ", ")),
        (CURVES.replace(",0,", ",u,"), OBJECTS),
        (CURVES.replace("\n", "\r\n"), OBJECTS + "\n\n"),
        (CURVES.replace("1,5", '"1",5'), OBJECTS.replace("1,90", '"1",90.0')),
    ],
)
def test_plasticc_files_as_people_write_them(tmp_path: Path, curves: str, objects: str):
    (tmp_path / "c.csv").write_bytes(curves.encode())
    (tmp_path / "m.csv").write_bytes(objects.encode())
    found = read_plasticc(tmp_path / "c.csv", tmp_path / "m.csv")
    assert (found.classes.tolist(), found.ids.tolist(), found.notes) == (["90"], ["1"], ())
    assert found.photometry.flux[0, 0] == 10 and found.photometry.redshift.tolist() == [0.5]


@pytest.mark.parametrize(
    ("curves", "objects", "message"),
    [
        (CURVES + "1,59001,7,1,1\n", OBJECTS, "object 1: .*passbands"),
        (CURVES + "1,59001,0,nan,1\n", OBJECTS, "object 1: .*finite"),
        (CURVES + "1,59001,0,1,0\n", OBJECTS, "object 1: .*positive"),
        (CURVES + "1,59001,0,abc,1\n", OBJECTS, "line 3: expected numbers"),
        (CURVES + "1,59001\n", OBJECTS, "expected numbers"),
        (CURVES, OBJECTS + "1,42,0\n", "object '1' stands twice"),
        (CURVES, OBJECTS + "2,,0\n", "no target"),
        (CURVES, OBJECTS + "2,42,far\n", "object 2: hostgal_photoz"),
        (CURVES, OBJECTS.replace("\n1,", "\n2,"), "must agree"),
        ("", OBJECTS, "object_id"),
    ],
)
def test_bad_plasticc_files_are_refused_by_name(tmp_path: Path, curves: str, objects: str, message: str):
    (tmp_path / "c.csv").write_text(curves)
    (tmp_path / "m.csv").write_text(objects)
    with pytest.raises(ValueError, match=message):
        read_plasticc(tmp_path / "c.csv", tmp_path / "m.csv")


def test_unknown_redshifts_and_thinned_visits_are_said(tmp_path: Path):
    rows = [f"1,{59000 + i},2,{1000 if i == 1 else i},1" for i in range(1280)]
    (tmp_path / "c.csv").write_text(CURVES.splitlines()[0] + "\n" + "\n".join(rows))
    (tmp_path / "m.csv").write_text(OBJECTS.replace("0.5", "-9"))
    found = read_plasticc(tmp_path / "c.csv", tmp_path / "m.csv")
    assert found.photometry.redshift.tolist() == [0] and len(found.notes) == 2
    assert found.photometry.t[0, [0, -1]].tolist() == [0, 1279] and np.diff(found.photometry.t[0]).max() <= 11
    assert 1000 not in found.photometry.flux  # the most significant visit is not preferred


def test_files_for_tests_only_leave_training_to_the_generator(tmp_path: Path):
    family = LightCurves(per_class=8, data=plasticc(tmp_path, 14), shares={"test": 1.0})
    assert set(np.unique(family.episodes("test", 1, 2, n_way=14).draw(1).task_ids)) == {str(i) for i in range(14)}
    assert " " in str(family.episodes("train", 1, 2).draw(1).task_ids[0, 0])
    for wrong in ({"exam": 1.0}, "test:1"):
        with pytest.raises(ValueError, match="shares"):
            LightCurves(data=plasticc(tmp_path), shares=wrong)
