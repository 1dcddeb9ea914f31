"""Actions and recipes, and what recipes are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metaenv.materials.recipes import ACTION_DIM, ACTION_NAMES, PRECURSORS, from_action, one_step, to_action
from metaenv.materials.utility import costs, utility


def test_the_corners_of_the_box_are_the_bounds():
    low, high = from_action(np.array([[-1.0] * 5, [1.0] * 5])).take(np.array([0])), from_action(np.ones((1, 5)))
    for recipe, expected in ((low, (700, 0.33, 1, -0.10, 0.1)), (high, (1800, 100, 20, 0.30, 5))):
        got = recipe.temperature_K, recipe.hold_h, recipe.ramp_K_per_min, recipe.excess_a, recipe.particle_um
        assert [float(x[0]) for x in got] == pytest.approx(expected)
    assert low.second_hold_h[0] == 0 and PRECURSORS[low.precursor[0]] == "carbonate"
    assert 10 ** low.log10_pco2_bar[0] == pytest.approx(400e-6)


def test_the_middle_is_geometric_where_the_axis_is_logarithmic():
    recipe = from_action(np.zeros((1, 5)))
    assert recipe.temperature_K[0] == 1250
    assert recipe.hold_h[0] == pytest.approx(np.sqrt(0.33 * 100))
    assert recipe.particle_um[0] == pytest.approx(np.sqrt(0.5))


def test_the_full_variant_has_a_second_step_a_gas_and_a_precursor():
    action = np.zeros((2, 11))
    action[:, 5], action[:, 7], action[:, 9] = 1.0, 1.0, 0.5
    action[0, 6], action[1, 6] = -0.01, 1.0
    recipe = from_action(action, "full")
    assert recipe.second_hold_h.tolist() == pytest.approx([0, 100])
    assert recipe.second_temperature_K.tolist() == [1250, 1800]
    assert recipe.log10_pco2_bar.tolist() == [0, 0]
    assert [PRECURSORS[k] for k in recipe.precursor] == ["nitrate", "nitrate"]


@pytest.mark.parametrize("variant", ["recipe", "full"])
@given(data=st.data())
def test_actions_of_recipes_make_the_same_recipes(variant, data):
    action = data.draw(arrays(float, (3, ACTION_DIM[variant]), elements=st.floats(-1, 1)))
    recipe = from_action(action, variant)
    again = from_action(to_action(recipe, variant), variant)
    for name in recipe.__dataclass_fields__:
        np.testing.assert_allclose(getattr(again, name), getattr(recipe, name), rtol=1e-9, atol=1e-12)


def test_actions_outside_the_box_and_of_other_widths_are_refused():
    for far in (7.0, np.nan):
        with pytest.raises(ValueError, match=f"ramp of action 1: expected a number from -1 to 1, got {far:g}"):
            from_action(np.array([[0.0] * 5, [0, 0, far, 0, 0]]))
    assert from_action(np.full((1, 5), 1 + 1e-7)).temperature_K[0] == 1800  # rounding to single precision
    with pytest.raises(ValueError, match=r"actions \(n, 5\)"):
        from_action(np.zeros((1, 11)))
    with pytest.raises(ValueError, match=r"actions \(n, 11\)"):
        from_action(np.zeros(11), "full")
    assert {variant: len(names) for variant, names in ACTION_NAMES.items()} == {"recipe": 5, "full": 11}


def test_the_utility_by_hand():
    # 300 to 1200 K at 5 K/min takes 3 h; with 5 h of hold the furnace works 8 h.
    recipe = one_step(1200.0, 5.0, 5.0, 0.0, 1.0)
    by_hand = (
        0.08 / np.log(101) * np.log(9)
        + 0.10 * 0.08**2
        + 0.08 * (0.33 / 5) ** 2
        + 0.06 * (2 / 3) ** 4
        + 0.05 / 16
        + 0.02 * 0.09
        + 0.15 / 25
    )
    assert costs(recipe)[0] == pytest.approx(by_hand)
    one, goal = np.ones(1), np.full(1, 2.0)
    assert utility(one, goal, goal, recipe)[0] == pytest.approx(1 - by_hand)
    off = utility(one, goal * np.exp(0.6), goal, recipe)[0]
    assert off == pytest.approx(0.3 + 0.7 * np.exp(-0.5) - by_hand)
    assert utility(0 * one, goal, goal, recipe)[0] == pytest.approx(-by_hand)


def test_recipes_never_cost_more_than_a_fraction_of_what_they_make():
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T
    assert (costs(from_action(corners)) > 0).all() and (costs(from_action(corners)) < 0.75).all()
    # A furnace run that was stopped at once has no hold at all, and still a finite cost.
    assert np.isfinite(costs(one_step(800.0, 0.0))).all()
