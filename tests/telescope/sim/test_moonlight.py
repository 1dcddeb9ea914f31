import numpy as np
import pytest

from metaenv.telescope.sim.moonlight import (
    CLOSEST_DEG,
    moon_illuminance,
    moonlight_source,
    nanolamberts,
    scattering,
    sky_brightness,
)


def magnitude(brightness: np.ndarray) -> np.ndarray:
    """V mag/arcsec^2 from nanolamberts: equation 1 of Krisciunas and Schaefer, solved."""
    return (20.7233 - np.log(brightness / 34.08)) / 0.92104


def cosine(degrees: float) -> np.ndarray:
    return np.array(np.cos(np.radians(degrees)))


def test_moonlight_check_value_of_specsim() -> None:
    """DESI's specsim documents 19.855: target 20 deg and moon 70 deg from the zenith, 50 deg apart, k 0.15."""
    quarter_of_the_way_to_new = np.array(np.radians(0.25 * 180))
    source = moonlight_source(quarter_of_the_way_to_new, cosine(70), np.array(0.15))
    moonlight = sky_brightness(cosine(20), 0.15, 0.0, source, scattering(cosine(50)))
    assert magnitude(moonlight) == pytest.approx(19.855, abs=0.001)


def test_nanolamberts_of_the_paper() -> None:
    """Krisciunas and Schaefer, section 2: a zenith of V = 21.587 is 79.0 nL."""
    assert nanolamberts(21.587) == pytest.approx(79.0, abs=0.1)
    assert magnitude(nanolamberts(20.3)) == pytest.approx(20.3, abs=1e-12)


def test_full_moon_is_3_84_and_a_quarter_moon_a_tenth_of_it() -> None:
    """Eq. 20 by hand: at 90 deg 10^(-0.4 (2.34 + 0.2624)) = 0.0910."""
    full, quarter = moon_illuminance(np.array(0.0)), moon_illuminance(np.array(np.pi / 2))
    assert -2.5 * np.log10(full) == pytest.approx(3.84, abs=1e-9)
    assert quarter / full == pytest.approx(0.0910, abs=1e-4)


def test_scattering_by_hand() -> None:
    """Eq. 21 at 90 deg: 10^5.36 x 1.06 + 10^(6.15 - 2.25)."""
    assert scattering(cosine(90)) == pytest.approx(10**5.36 * 1.06 + 10**3.9, rel=1e-12)
    assert scattering(cosine(1)) == scattering(cosine(CLOSEST_DEG))
    assert scattering(np.float32([0.3])).dtype == np.float32


def test_dark_sky_by_hand() -> None:
    """Eq. 2 at 60 deg: X = (1 - 0.96 x 0.75)^-0.5 = 1.8898, dimmed by 0.8898 k and X times as deep."""
    source = moonlight_source(np.array(0.0), np.array(-0.1), np.array(0.2))  # a full moon, below the horizon
    dark = sky_brightness(cosine(60), 0.2, nanolamberts(21.5), source, scattering(cosine(90)))
    by_hand = 21.5 + 0.2 * 0.8898 - 2.5 * np.log10(1.8898)
    assert magnitude(dark) == pytest.approx(by_hand, abs=1e-3)
