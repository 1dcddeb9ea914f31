import numpy as np
import pytest

from metaenv.telescope.sim import weather as w
from metaenv.telescope.sim.julian_dates import julian_date

TOLOLO_2_H = [[0.937, 0.046, 0.016], [0.303, 0.412, 0.286], [0.055, 0.123, 0.822]]  # ten years of reports


def test_seeing_has_the_median_and_memory_it_was_given() -> None:
    rng = np.random.default_rng(0)
    n, hours = 20_000, np.full(20_000, 0.75)
    level = rng.standard_normal(n)
    seeing = np.log(w.seeing_path(np.full(n, 0.8), level, rng.standard_normal((n, 12)), hours))
    assert np.exp(np.median(seeing)) == pytest.approx(0.8, rel=0.01)
    within = seeing - np.log(0.8) - 0.25 * level[:, None]
    assert within.std(axis=0) == pytest.approx(np.full(12, 0.28), rel=0.03)
    for lag in (1, 2, 8):
        measured = np.mean(within[:, :-lag] * within[:, lag:]) / 0.28**2
        assert measured == pytest.approx(np.exp(-lag * 0.75 / 1.5), abs=0.02)


def test_autoregression_is_the_recursion() -> None:
    normal, hours = np.random.default_rng(1).standard_normal((3, 80)), np.array([0.1, 0.4, 2.0])
    path = w.autoregressive(normal, hours, 0.5)
    keep = np.exp(-hours / 0.5)
    x = normal[:, 0]
    for t in range(1, 80):
        x = keep * x + np.sqrt(1 - keep**2) * normal[:, t]
        assert path[:, t] == pytest.approx(x, abs=1e-9)


def test_next_nights_remember_this_one() -> None:
    z = np.random.default_rng(2).standard_normal((2, 50_000))
    following = w.next_night(z[0], z[1])
    assert following.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(z[0], following)[0, 1] == pytest.approx(0.4, abs=0.02)


def test_clouds_of_tololo() -> None:
    two_hours = w.cloud_transition(w.STATIONARY[2:], np.array([2.0]))[0]
    assert two_hours == pytest.approx(np.array(TOLOLO_2_H), abs=0.008)
    assert two_hours.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-12)


def test_transitions_against_scipy_and_their_stationary_shares() -> None:
    linalg = pytest.importorskip(
        "scipy.linalg", reason="scipy, the reference for matrix exponentials, is not installed"
    )
    closed, hours = np.array([0.05, 0.22, 0.45, 0.6]), np.array([0.25, 1.0, 8.0, 30.0])
    whole, tiny = w.cloud_transition(closed, hours), w.cloud_transition(closed, np.full(4, 1e-4))
    for i in range(4):
        rates = (tiny[i] - np.eye(3)) / 1e-4
        assert whole[i] == pytest.approx(linalg.expm(rates * hours[i]), abs=1e-3)
        shares = w.cloud_stationary(closed[i : i + 1])[0]
        assert shares @ whole[i] == pytest.approx(shares, abs=1e-12)
        assert shares[2] == closed[i]


def test_cloud_paths_follow_their_chain() -> None:
    rng = np.random.default_rng(3)
    n, closed = 40_000, np.full(40_000, 0.3)
    transition = w.cloud_transition(closed[:1], np.array([0.5]))
    first = w.draw_state(w.cloud_stationary(closed), rng.random(n))
    path = w.cloud_path(first, np.repeat(transition, n, 0), rng.random((n, 6)))
    for t in (0, 5):
        shares = np.bincount(path[:, t], minlength=3) / n
        assert shares == pytest.approx(w.cloud_stationary(closed[:1])[0], abs=0.01)
    for state in range(3):
        after = path[:, 1:][path[:, :-1] == state]
        assert np.bincount(after, minlength=3) / len(after) == pytest.approx(transition[0, state], abs=0.015)


def test_the_season_is_tololos_and_the_north_half_a_year_later() -> None:
    june, december = julian_date("2026-06-16"), julian_date("2026-12-16")
    south, north = np.radians([-30.0, 30.0])
    assert w.closed_fraction(np.array([june]), south) == pytest.approx(0.45, abs=0.02)
    assert w.closed_fraction(np.array([december]), south) == pytest.approx(0.07, abs=0.02)
    assert w.closed_fraction(np.array([december]), north) == pytest.approx(0.45, abs=0.02)
    assert w.closed_fraction(np.array([june]), south, 5.0) == w.CLOSED_RANGE[1]


def test_cloud_extinction_by_state() -> None:
    cloud = np.array([[w.CLEAR, w.PART, w.CLOSED, w.PART]], np.int8)
    loss = w.cloud_extinction(cloud, np.zeros((1, 4)), np.array([0.5]))
    assert loss.tolist() == [[0, 0.4, np.inf, 0.4]]


def test_the_bank_hangs_over_one_horizon() -> None:
    """Bank in the east: 2 mag low in the east, nothing overhead or in the west, half of it at cos(altitude) 0.45."""
    east = np.array([0.9, 0.0, -0.9, 0.45])
    loss = w.bank_extinction(east, np.zeros(4), 2.0, np.pi / 2)
    assert loss == pytest.approx([2.0, 0.0, 0.0, 1.0], abs=1e-12)
    moved = w.bank_path(np.array([0.1]), np.array([0.2]), np.array([0.5]), 3)
    assert moved == pytest.approx(np.array([[0.1, 0.2, 0.3]]))
