"""Light curves: known formulas, what is stored, and files in PLAsTiCC's format."""

from __future__ import annotations

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


def test_a_kilonova_rises_for_half_a_day_and_fades_as_a_power_of_time():
    """By hand: power 1.25, 7,500 K at the peak, which cools as t^-0.6; what a body of that temperature shows at 481 nm
    of light of the size t^-1.25."""
    days = np.array([[0.0, 0.3, 0.6, 1.5, 3.0]])
    visits = light_curve_light.Visits(days, np.full((1, 5), 1), 900.0, 24.0)  # all in the band of 481 nm
    u = np.full((1, 8), 0.5)
    u[0, 2] = 0.0  # it begins at the visit that is drawn

    class FirstVisit:
        def integers(self, high, size):
            return np.zeros(size, int)

    found = light_curve_models.kilonova(u, visits, FirstVisit())
    z = found.redshift[0]
    age = days[0, 1:] / (1 + z)
    temperature = np.maximum(7500 * (age / 0.6) ** -0.6, 2000)
    size = np.where(age < 0.6, age / 0.6, (age / 0.6) ** -1.25)
    h, c, k = 6.62607015e-34, 299_792_458.0, 1.380649e-23
    peak, seen = (np.expm1(h * c / (481e-9 * k * t)) for t in (7500.0, temperature))
    luminosity = size * (7500 / temperature) ** 4 * peak / seen
    nu = c / (light_curve_light.WAVELENGTH_NM[1] * 1e-9 / (1 + z))
    colour = (
        np.expm1(h * c / (481e-9 * k * temperature)) / np.expm1(h * nu / (k * temperature)) * (nu * 481e-9 / c) ** 3
    )
    np.testing.assert_allclose(
        found.flux[0, 1:] / found.flux[0, 2], luminosity * colour / (luminosity * colour)[1], rtol=2e-3
    )
    assert found.flux[0, 0] == 0 and age[0] < 0.6 < age[2]


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
