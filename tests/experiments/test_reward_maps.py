"""What the maps of expected reward draw, by hand."""

import numpy as np
import pytest

from metaenv import make_trials

pytest.importorskip("matplotlib", reason="maps are drawn with it")
from metaenv.experiments.beliefs import Trace
from metaenv.experiments.reward_maps import PATH_COLOURS, _draw_paths, world_of
from metaenv.plots import new_figure


def test_a_path_ends_where_its_last_action_leads():
    """Two episodes of two and three steps; the observation after the second step is the start of the third."""
    world = world_of(make_trials("SparsePointRobot", 1))
    places = [[0.0, 0.0], [0.1, 0.0], [0.0, 0.0], [0.0, 0.1], [0.0, 0.2], [0.0, 0.0]]
    actions = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]]
    trace = Trace(
        np.array([places], np.float32), np.array([actions]), np.zeros((1, 5)), np.array([[2, 5]]), np.zeros((1, 2))
    )
    axes = new_figure(3, 3).subplots()
    _draw_paths(axes, world, trace, 2)
    lines = [np.column_stack(line.get_data()) for line in axes.lines if line.get_color() in PATH_COLOURS]
    first, end_of_first, second, end_of_second = lines
    np.testing.assert_allclose(first, [[0, 0], [0.1, 0], [0.2, 0.1]], atol=1e-6)
    np.testing.assert_allclose(end_of_first, [[0.2, 0.1]], atol=1e-6)
    np.testing.assert_allclose(second, [[0, 0], [0, 0.1], [0, 0.2], [-0.1, 0.2]], atol=1e-6)
    np.testing.assert_allclose(end_of_second, [[-0.1, 0.2]], atol=1e-6)
    assert [line.get_color() for line in axes.lines[1::3]] == [PATH_COLOURS[0], PATH_COLOURS[1]], "the last is white"


def test_other_environments_have_no_map():
    assert world_of(make_trials("BernoulliBandit", 1)) is None
