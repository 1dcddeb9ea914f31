import numpy as np
import pytest

from metaenv.telescope.sim import exposure as x
from metaenv.telescope.sim.moonlight import nanolamberts


def test_zero_point_by_hand() -> None:
    """1000 photons /s/cm^2/A x 40,000 cm^2 x 50 A x 0.1 = 2e8 electrons/s at V = 0."""
    assert x.electrons_per_second(0.0) == pytest.approx(2.0e8, rel=0.003)
    assert x.electrons_per_second(np.array([20.75, 23.25])) == pytest.approx([1.0, 0.1])


def test_sky_rate_is_that_of_a_star_of_its_magnitude() -> None:
    assert x.sky_electrons_per_second(nanolamberts(21.2)) == pytest.approx(x.electrons_per_second(21.2), rel=2e-4)


def test_photon_noise_alone_is_the_square_root() -> None:
    assert x.signal_to_noise(4.0, 0.25, 0.0, 1.0, 400.0, read_noise=0.0) == pytest.approx(20.0)


def test_ccd_equation_by_hand() -> None:
    """100 s of 10 e/s at 50 %: 500 e; sky 2 e/s/arcsec^2 on 3 arcsec^2: 600 e; 3/0.16 pixels of 4^2: 300 e."""
    assert x.signal_to_noise(10.0, 0.5, 2.0, 3.0, 100.0) == pytest.approx(500 / np.sqrt(1400))
    assert x.signal_to_noise(10.0, 0.5, 2.0, 3.0, 0.0) == 0


def test_noise_area_of_rubins_seeing_model() -> None:
    """0.7 arcsec at 500 nm: 1.16 sqrt(0.3986^2 + 1.04 x 0.49) = 0.9488 arcsec, 2.266 of its squares."""
    assert x.zenith_noise_area(np.array(0.7), 500.0) == pytest.approx(2.266 * 0.9488**2, rel=1e-3)
    assert x.zenith_noise_area(np.array(0.7), 550.0) < x.zenith_noise_area(np.array(0.7), 500.0)


def test_the_default_instrument_starves_the_median_target() -> None:
    """V = 20.7 in a quarter of an hour, dark, airmass 1.2, seeing 0.9: quality one half."""
    seeing_area = x.zenith_noise_area(np.array(0.9)) * 1.2**1.2
    through = 10 ** (-0.4 * 0.12 * 1.2)
    snr = x.signal_to_noise(
        x.electrons_per_second(20.7), through, x.electrons_per_second(21.5), seeing_area, 900.0
    )  # fmt: skip
    assert x.quality(snr) == pytest.approx(0.5, abs=0.06)


def test_quality_is_steep() -> None:
    """Twice the needed ratio gives 16/17, half of it 1/17."""
    assert x.quality(np.array([30.0, 15.0, 7.5, 0.0])) == pytest.approx([16 / 17, 0.5, 1 / 17, 0.0])


def test_slews_eat_exposure() -> None:
    slews = np.array([37.0, 0.0])  # s, a quarter turn at 2.5 deg/s and settling, and none
    assert x.exposure_seconds(0.25, slews, 8.0) == pytest.approx([855.0, 892.0])
    assert x.exposure_seconds(0.01, 50.0) == 0
